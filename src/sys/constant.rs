//! The numbers that the libc crate lacks, or has only in recent releases.
//!
//! `ci/constants` compares them with the systems' own headers. It also compares the numbers of the
//! libc crate that the techniques use.

use std::ffi::c_int;

/// Linux include/uapi/linux/fs.h, from 6.18.
#[cfg(target_os = "linux")]
pub(crate) const RWF_NOSIGNAL: c_int = 0x100;

/// xnu bsd/sys/fcntl.h. The libc crate has it since 0.2.191.
#[cfg(kernel = "apple")]
pub(crate) const F_SETNOSIGPIPE: c_int = 73;

/// NetBSD sys/fcntl.h.
#[cfg(kernel = "netbsd")]
pub(crate) const F_SETNOSIGPIPE: c_int = 14;

#[cfg(all(send_flag, not(forced)))]
#[allow(unused_imports, reason = "the build script and a test need the other constants alone")]
pub(crate) use libc::MSG_NOSIGNAL;
#[cfg(all(socket_option, not(forced)))]
pub(crate) use libc::SO_NOSIGPIPE;

// The numbers of a kernel whose model is loaded before libc.
#[cfg(forced)]
pub(crate) const MSG_NOSIGNAL: c_int = match () {
    () if cfg!(kernel = "apple") => 0x8_0000,
    () if cfg!(kernel = "freebsd") => 0x2_0000,
    () => 0x400, // NetBSD, OpenBSD
};
#[cfg(all(forced, socket_option))]
pub(crate) const SO_NOSIGPIPE: c_int = if cfg!(kernel = "apple") { 0x1022 } else { 0x800 };
