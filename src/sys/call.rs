//! The calls that carry a flag: `send` and `sendmsg` as std's `write` and `write_vectored` would make
//! them, and `pwritev2`. `build.rs` reads this file too.
//!
//! By libc and not by socket2, which makes the same calls with more instructions round them.

#![allow(unsafe_code, reason = "the calls take pointers")]

use std::ffi::c_int;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd};

#[inline]
pub(crate) fn send(socket: BorrowedFd<'_>, buf: &[u8], flags: c_int) -> io::Result<usize> {
    // SAFETY: the buffer is valid for the call, at its length.
    let sent = unsafe { libc::send(socket.as_raw_fd(), buf.as_ptr().cast(), buf.len(), flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// `sendto` without an address, which is `send`: for the probe.
#[allow(dead_code)] // the library's own `sendto` has an address
pub(crate) fn send_to(socket: BorrowedFd<'_>, buf: &[u8], flags: c_int) -> io::Result<usize> {
    let (to, len) = (std::ptr::null(), 0);
    // SAFETY: the buffer is valid for the call, at its length; there is no address.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            buf.as_ptr().cast(),
            buf.len(),
            flags,
            to,
            len,
        )
    };
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

/// The raw system call: musl before 1.2.5 and glibc before 2.26 have no `pwritev2`, and a
/// program that asks for it would not load.
#[cfg(target_os = "linux")]
#[allow(dead_code)] // not where the offset is one word (x32)
pub(crate) fn pwritev2(
    fd: BorrowedFd<'_>,
    bufs: &[IoSlice<'_>],
    flags: c_int,
) -> io::Result<usize> {
    // Offset -1, in two words: the file's own position, O_APPEND and all, as write has it.
    const CURRENT: libc::c_long = -1;
    // SAFETY: IoSlice is ABI-compatible with iovec, and `bufs` holds `bufs.len()` of them,
    // borrowed for the call.
    let written = unsafe {
        libc::syscall(
            libc::SYS_pwritev2,
            fd.as_raw_fd(),
            bufs.as_ptr(),
            bufs.len() as libc::c_long,
            CURRENT,
            CURRENT,
            flags,
        )
    };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}
