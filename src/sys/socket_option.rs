//! `socket_option`: SO_NOSIGPIPE, set when a socket is adopted.
//!
//! Apple since 10.2 (xnu uipc_socket.c, sys_socket.c `soo_write`), FreeBSD (`soo_write`,
//! `sousrsend`), DragonFly (`kern_sendmsg`, `soo_write`) and NetBSD (`sys_setsockopt` copies it
//! into the file's flags). It covers every write, foreign code's writev included, and accepted
//! sockets inherit it from their listener (xnu uipc_socket2.c; BSD's `sonewconn`).

#![allow(unsafe_code, reason = "the value of a socket option has the type we say")]

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::SOL_SOCKET;

use super::constant::SO_NOSIGPIPE;
use super::option;

/// Of a borrowed descriptor. The option belongs to the socket and is shared with other processes,
/// so the inherited ones (0 to 2) stay untouched.
pub(super) fn set_on_borrowed(fd: BorrowedFd<'_>) -> bool {
    fd.as_raw_fd() > 2 && set(fd)
}

/// Asks before it sets: an accepted socket has inherited the option, and XNU refuses to set
/// it (EINVAL) once both directions are shut down, which the close of a Unix peer does at
/// once (uipc_socket.c); reading has no such check. Not where it may have been taken away: NetBSD
/// answers of the socket, and setting that sets the file's flag (uipc_syscalls.c `sys_setsockopt`).
pub(super) fn set(socket: BorrowedFd<'_>) -> bool {
    if cfg!(epipe_refused = "socket_option") {
        return false;
    }
    // SAFETY: the option's value is an int, here and below.
    let found = || unsafe { option::get::<c_int>(socket, SOL_SOCKET, SO_NOSIGPIPE) };
    (cfg!(stays_set) && found().is_ok_and(|value| value != 0))
        // SAFETY: as above.
        || unsafe { option::set::<c_int>(socket, SOL_SOCKET, SO_NOSIGPIPE, &1) }.is_ok()
}
