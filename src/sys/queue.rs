//! What the testing kit asks of a TCP connection, until it is a crate of its own.

#![cfg(any(target_os = "android", target_os = "linux"))]
#![allow(unsafe_code, reason = "ioctl takes a pointer")]

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// What the other side has not acknowledged, FIN included.
pub(crate) fn with_fin(socket: &BorrowedFd<'_>) -> io::Result<usize> {
    let mut answer: c_int = 0;
    // SIOCOUTQ has the number of TIOCOUTQ (linux/sockios.h).
    // SAFETY: the call writes one int.
    match unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ as _, &raw mut answer) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(usize::try_from(answer).unwrap_or(0)),
    }
}

/// Whether a connection is gone: reset, or closed by both sides with all acknowledged.
pub(crate) fn is_closed(socket: &BorrowedFd<'_>) -> bool {
    const CLOSE: u8 = 7; // linux/tcp_states.h
    // SAFETY: the report begins with the state, one byte.
    let state = unsafe { super::option::get::<u8>(*socket, libc::IPPROTO_TCP, libc::TCP_INFO) };
    state.is_ok_and(|state| state == CLOSE)
}
