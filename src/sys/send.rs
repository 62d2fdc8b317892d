//! `send` and `sendmsg` as std's `write` and `write_vectored` would make them, with flags.
//!
//! By libc and not by socket2, which makes the same calls with more instructions round them.

#![allow(unsafe_code, reason = "both calls take pointers")]

use std::ffi::c_int;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd};

#[inline]
pub(crate) fn send(socket: BorrowedFd<'_>, buf: &[u8], flags: c_int) -> io::Result<usize> {
    // SAFETY: the buffer is valid for the call, at its length.
    let sent = unsafe { libc::send(socket.as_raw_fd(), buf.as_ptr().cast(), buf.len(), flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

#[cfg(not(target_os = "redox"))] // it has no sendmsg
#[inline]
pub(crate) fn send_vectored(
    socket: BorrowedFd<'_>,
    bufs: &[IoSlice<'_>],
    flags: c_int,
) -> io::Result<usize> {
    // SAFETY: all zeros is a valid msghdr: no address, no slices, no control data.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = bufs.as_ptr().cast_mut().cast();
    message.msg_iovlen = bufs.len() as _;
    // SAFETY: IoSlice is ABI-compatible with iovec, the message names `bufs.len()` of them, and
    // sendmsg only reads.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &message, flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}
