//! `fd_flag`: F_SETNOSIGPIPE, for pipes and FIFOs on Apple since 10.7 (xnu sys_generic.c looks at
//! it for all that is no socket) and on NetBSD (sys_generic.c looks at it for every file).
//!
//! The flag lives in the open file description, which dup, fork and SCM_RIGHTS share: so it
//! is set at a write and not before (an end that goes to a child must reach it untouched), and
//! never on descriptors 0 to 2, which others gave to this process. It is set at each write: by
//! dup2 another pipe may have come into the descriptor's place. Of a socket it sets the option.

#![allow(unsafe_code, reason = "fcntl is variadic")]

use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::constant::F_SETNOSIGPIPE;

/// Sets the flag, and returns whether it is set.
pub(super) fn set(fd: BorrowedFd<'_>) -> bool {
    !cfg!(epipe_refused = "fd_flag")
        && fd.as_raw_fd() > 2
        // SAFETY: this command takes one integer, and the descriptor is borrowed.
        && unsafe { libc::fcntl(fd.as_raw_fd(), F_SETNOSIGPIPE, 1 as c_int) } != -1
}
