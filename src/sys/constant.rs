//! The numbers that the libc crate lacks, or lacked until lately.
//!
//! `ci/constants` compares these, and those of the libc crate that the techniques use, with the
//! systems' own headers.

use std::ffi::c_int;

/// Linux include/uapi/linux/fs.h, from 6.18.
#[cfg(target_os = "linux")]
pub(crate) const RWF_NOSIGNAL: c_int = 0x100;

/// xnu bsd/sys/fcntl.h; in the libc crate only since 0.2.191.
#[cfg(target_vendor = "apple")]
pub(crate) const F_SETNOSIGPIPE: c_int = 73;

/// NetBSD sys/fcntl.h.
#[cfg(target_os = "netbsd")]
pub(crate) const F_SETNOSIGPIPE: c_int = libc::F_SETNOSIGPIPE;
