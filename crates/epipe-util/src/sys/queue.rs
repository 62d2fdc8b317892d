//! The queues of a socket: ioctl(2), and TCP's own report. One file a kind of system; all have the
//! same functions.

#![allow(unsafe_code, reason = "ioctl and getsockopt take pointers")]
#![cfg_attr(not(target_os = "linux"), allow(dead_code))] // others need less of it

use std::io;

use super::AsSocket;
use super::tcp_info::TcpState;

#[cfg(any(target_os = "freebsd", target_os = "netbsd", target_vendor = "apple"))]
mod bsd;
#[cfg(any(target_os = "android", target_os = "linux"))]
mod linux;
#[cfg(not(any(
    target_os = "android",
    target_os = "freebsd",
    target_os = "linux",
    target_os = "netbsd",
    target_vendor = "apple",
)))]
mod missing;

#[cfg(any(target_os = "freebsd", target_os = "netbsd", target_vendor = "apple"))]
pub(crate) use bsd::*;
#[cfg(any(target_os = "android", target_os = "linux"))]
pub(crate) use linux::*;
#[cfg(not(any(
    target_os = "android",
    target_os = "freebsd",
    target_os = "linux",
    target_os = "netbsd",
    target_vendor = "apple",
)))]
pub(crate) use missing::*;

/// FreeBSD's and NetBSD's soisdisconnected drops what was unacknowledged, XNU's perhaps. Linux
/// keeps the count.
pub(crate) const RESET_EMPTIES_THE_QUEUE: bool =
    cfg!(not(any(target_os = "android", target_os = "linux")));

/// Whether a connection is gone: reset, or closed by both sides with all acknowledged. Never where
/// the system does not report it.
pub(crate) fn is_closed(socket: &impl AsSocket) -> bool {
    tcp_state(socket).is_ok_and(|state| state == TcpState::Close)
}

/// How many bytes have come. Of those that call themselves Unix, newlib's have no such number.
#[cfg(all(
    unix,
    not(any(
        target_os = "espidf",
        target_os = "horizon",
        target_os = "nuttx",
        target_os = "rtems",
        target_os = "vita",
    ))
))]
pub(crate) fn unread(socket: &impl AsSocket) -> io::Result<usize> {
    ask(socket, libc::FIONREAD as _)
}

#[cfg(any(
    not(unix),
    target_os = "espidf",
    target_os = "horizon",
    target_os = "nuttx",
    target_os = "rtems",
    target_os = "vita",
))]
pub(crate) fn unread(_: &impl AsSocket) -> io::Result<usize> {
    unsupported()
}

/// Where the system does not report it.
fn unsupported<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

/// An ioctl that writes one int. The type of its number differs between systems.
#[cfg(unix)]
fn ask(socket: &impl AsSocket, number: std::ffi::c_ulong) -> io::Result<usize> {
    use std::os::fd::AsRawFd;

    let mut answer: std::ffi::c_int = 0;
    // SAFETY: the callers' numbers write one int.
    match unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), number as _, &raw mut answer) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(usize::try_from(answer).unwrap_or(0)),
    }
}

/// Reads an option, and how many bytes of it the system has written: an older one may know less.
///
/// # Safety
///
/// `T` must be the option's type or its head, and made of integers.
#[cfg(unix)]
unsafe fn option<T: Copy>(
    socket: &impl AsSocket,
    level: std::ffi::c_int,
    name: std::ffi::c_int,
) -> io::Result<(T, usize)> {
    use std::os::fd::AsRawFd;

    let mut value = std::mem::MaybeUninit::<T>::zeroed();
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: value and length are valid for the call, and the length is the value's.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            value.as_mut_ptr().cast(),
            &mut len,
        )
    };
    if answer == -1 {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            // How some systems say that this kind of socket does not know it.
            Some(libc::ENOPROTOOPT) => unsupported(),
            _ => Err(error),
        };
    }
    // SAFETY: zeroed, and written by the successful call; the caller vouches for the type.
    Ok((unsafe { value.assume_init() }, len as usize))
}
