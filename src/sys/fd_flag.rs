//! `fd_flag`: F_SETNOSIGPIPE, for pipes and FIFOs on Apple since 10.7 and on NetBSD. XNU looks at
//! the flag for every file but a socket, NetBSD for every file (sys_generic.c of both).
//!
//! The flag belongs to the open file description, which dup, fork and SCM_RIGHTS share. So it is
//! never set on descriptors 0 to 2, which another process gave to this one. On others it is set at
//! a write and not before: an end that goes to a child must reach it unchanged. It is set at each
//! write, since dup2 may have put another pipe in the descriptor's place. On a socket the command
//! sets the socket's option.

#![allow(unsafe_code, reason = "fcntl is variadic")]

use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::constant::F_SETNOSIGPIPE;

/// Sets the flag, and returns whether it is set.
pub(super) fn set(fd: BorrowedFd<'_>) -> bool {
    !cfg!(epipe_refused = "fd_flag")
        && fd.as_raw_fd() > 2
        // SAFETY: F_SETNOSIGPIPE takes one integer, and the descriptor is borrowed.
        && unsafe { libc::fcntl(fd.as_raw_fd(), F_SETNOSIGPIPE, 1 as c_int) } != -1
}
