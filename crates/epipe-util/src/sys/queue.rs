//! The queues of a socket (ioctl(2)) and TCP's own report.
//!
//! Each kind of system has a file. All files have the same functions.

#![allow(unsafe_code, reason = "ioctl and getsockopt take pointers")]
#![cfg_attr(not(target_os = "linux"), allow(dead_code))] // Other systems need less of it.

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

/// Whether a reset clears the count of unacknowledged bytes.
///
/// soisdisconnected of FreeBSD and NetBSD drops these bytes, that of XNU perhaps. Linux keeps the
/// count.
pub(crate) const RESET_EMPTIES_THE_QUEUE: bool =
    cfg!(not(any(target_os = "android", target_os = "linux")));

/// Returns whether a connection is gone: reset, or closed by both sides with everything
/// acknowledged. `false` where the system does not report it.
pub(crate) fn is_closed(socket: &impl AsSocket) -> bool {
    tcp_state(socket).is_ok_and(|state| state == TcpState::Close)
}

/// Returns how many bytes have arrived. The excluded systems have no `FIONREAD` in libc.
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

/// The error where the system has no such report.
fn unsupported<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Calls an ioctl that writes one int. The type of its number differs between systems.
#[cfg(unix)]
fn ask(socket: &impl AsSocket, number: std::ffi::c_ulong) -> io::Result<usize> {
    use std::os::fd::AsRawFd;

    let mut answer: std::ffi::c_int = 0;
    // SAFETY: the callers pass only numbers that write one int.
    match unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), number as _, &raw mut answer) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(usize::try_from(answer).unwrap_or(0)),
    }
}

/// Reads a socket option.
///
/// Also returns how many bytes the system has written: an older system may write fewer.
///
/// # Safety
///
/// `T` must be the option's type or the start of it, and consist of integers.
#[cfg(unix)]
unsafe fn option<T: Copy>(
    socket: &impl AsSocket,
    level: std::ffi::c_int,
    name: std::ffi::c_int,
) -> io::Result<(T, usize)> {
    use std::os::fd::AsRawFd;

    let mut value = std::mem::MaybeUninit::<T>::zeroed();
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the pointers are valid for the call, and `len` is the size of `value`.
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
            // Some systems report this for a kind of socket that does not have the option.
            Some(libc::ENOPROTOOPT) => unsupported(),
            _ => Err(error),
        };
    }
    // SAFETY: the value was zeroed and the call succeeded. The caller guarantees that `T` consists
    // of integers, for which any bytes are valid.
    Ok((unsafe { value.assume_init() }, len as usize))
}
