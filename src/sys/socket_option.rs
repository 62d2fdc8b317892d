//! `socket_option`: SO_NOSIGPIPE, set when a socket is adopted.
//!
//! These systems have it:
//! * Apple since 10.2 (xnu uipc_socket.c, sys_socket.c `soo_write`).
//! * FreeBSD (`soo_write`, `sousrsend`) and DragonFly (`kern_sendmsg`, `soo_write`).
//! * NetBSD (`sys_setsockopt` copies it into the file's flags).
//!
//! It covers every write, also the writev of foreign code. (On NetBSD any `F_SETFL` removes it.)
//! Accepted sockets inherit it from their
//! listener (xnu uipc_socket2.c; BSD's `sonewconn`).

#![allow(unsafe_code, reason = "the caller says which type the value of a socket option has")]

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::SOL_SOCKET;

use super::constant::SO_NOSIGPIPE;
use super::option;

/// Sets the option on a borrowed descriptor, unless it is 0 to 2: these are inherited. The option
/// belongs to the socket, which other processes may share.
pub(super) fn set_on_borrowed(fd: BorrowedFd<'_>) -> bool {
    fd.as_raw_fd() > 2 && set(fd)
}

/// Sets the option, and returns whether it is set.
///
/// It reads the option first. An accepted socket has inherited it, and XNU rejects a change
/// (EINVAL) once both directions are shut down (uipc_socket.c). The close of a Unix peer does that
/// at once. A read of the option has no such check.
///
/// NetBSD reports the option of the socket, while the flag of the file may have been cleared. There
/// the option is always set, which sets the file's flag again (uipc_syscalls.c `sys_setsockopt`).
pub(super) fn set(socket: BorrowedFd<'_>) -> bool {
    if cfg!(epipe_refused = "socket_option") {
        return false;
    }
    // SAFETY: SO_NOSIGPIPE has an int as its value, here and below.
    let found = || unsafe { option::get::<c_int>(socket, SOL_SOCKET, SO_NOSIGPIPE) };
    (cfg!(stays_set) && found().is_ok_and(|value| value != 0))
        // SAFETY: as above.
        || unsafe { option::set::<c_int>(socket, SOL_SOCKET, SO_NOSIGPIPE, &1) }.is_ok()
}
