//! Sends a range of a file to a socket: by `sendfile(2)`, or by read and write where that is
//! refused.
//!
//! Linux takes every file that can be mapped, Apple and FreeBSD take regular files. No flag covers
//! the call; the socket's option protects it, else the guard. The calls are libc's: socket2 loses
//! the byte count of a call that fails after it has sent something (Apple and FreeBSD).

#![allow(unsafe_code, reason = "sendfile takes descriptors and pointers")]

use std::fs::File;
use std::io::{self, ErrorKind};
#[cfg(has_sendfile)]
use std::num::NonZeroUsize;
use std::ops::{Bound, RangeBounds};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;

use cfg_if::cfg_if;

use super::handle::SocketHandle;
use super::socket;
use super::trust::is_refusal_of_call;

/// How much is read at once where the system does not move the bytes itself. Also for `io::copy`.
pub(super) const BUFFER: usize = 128 << 10;

/// The most that Linux moves in one call (linux/fs.h).
pub(super) const MAX_RW_COUNT: u64 = 0x7fff_f000;

pub(crate) fn sendfile(
    stream: &impl SocketHandle,
    file: &File,
    range: impl RangeBounds<u64>,
) -> io::Result<u64> {
    let start = match range.start_bound() {
        Bound::Included(&start) => start,
        Bound::Excluded(&before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&last) => last.saturating_add(1),
        Bound::Excluded(&end) => end,
        Bound::Unbounded => u64::MAX,
    };
    if start < end && i64::try_from(start).is_err() {
        return Err(io::Error::from_raw_os_error(libc::EOVERFLOW));
    }
    let mut at = start;
    let mut buffer = Vec::new(); // as long as it is empty, `sendfile(2)` sends
    while at < end {
        let sent = if buffer.is_empty() {
            socket::run(stream, || send(stream.fd(), file.as_fd(), at, end - at))
        } else {
            let len = (end - at).min(buffer.len() as u64) as usize;
            file.read_at(&mut buffer[..len], at).and_then(|read| match read {
                0 => Ok(0),
                read => socket::write(stream, &buffer[..read]),
            })
        };
        match sent {
            Ok(0) => break, // the file ends
            Ok(sent) => at += sent as u64,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock && at > start => break,
            // The call is refused, for this file or on this system: continue with read and write.
            // But if the file can be sent to a socket of our own, this is an error of the caller's
            // socket, which reports it once.
            Err(error)
                if buffer.is_empty() && is_refusal_of_call(&error) && !can_be_sent(file, at) =>
            {
                buffer = vec![0; BUFFER];
            }
            Err(error) => return Err(error),
        }
    }
    Ok(at - start)
}

#[cfg(forced)]
use {
    libc::off_t,
    std::ffi::{c_int, c_void},
};

/// One call, as socket2 makes it. `None`: as much as one call sends.
#[cfg(has_sendfile)]
pub(crate) fn sendfile_once(
    stream: &impl SocketHandle,
    file: BorrowedFd<'_>,
    offset: usize,
    length: Option<NonZeroUsize>,
) -> io::Result<usize> {
    let len = length.map_or(u64::MAX, |length| length.get() as u64);
    socket::run(stream, || send(stream.fd(), file, offset as u64, len))
}

cfg_if! {
    if #[cfg(any(kernel = "android", kernel = "linux", kernel = "x32"))] {
        // Elsewhere the name without the number takes a 64-bit offset (std does the same).
        #[cfg(not(any(target_os = "android", target_env = "gnu")))]
        use libc::sendfile as sendfile64;
        #[cfg(any(target_os = "android", target_env = "gnu"))]
        use libc::sendfile64;

        fn send(
            socket: BorrowedFd<'_>,
            file: BorrowedFd<'_>,
            at: u64,
            len: u64,
        ) -> io::Result<usize> {
            let mut at = at.try_into().map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
            let len = len.min(MAX_RW_COUNT) as usize;
            // SAFETY: the offset is valid for the call, which writes the new offset there.
            let sent = unsafe { sendfile64(socket.as_raw_fd(), file.as_raw_fd(), &mut at, len) };
            usize::try_from(sent).map_err(|_| io::Error::last_os_error())
        }
    } else if #[cfg(any(kernel = "freebsd", kernel = "apple"))] {
        /// A call that fails may have sent something first, and reports how much.
        fn send(
            socket: BorrowedFd<'_>,
            file: BorrowedFd<'_>,
            at: u64,
            len: u64,
        ) -> io::Result<usize> {
            let at = at.try_into().map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
            let len = len.min(1 << 30); // a length of 0 would mean the whole file
            #[cfg(not(forced))]
            let call = libc::sendfile;
            #[cfg(forced)]
            let call = by_model()?;
            let (file, socket) = (file.as_raw_fd(), socket.as_raw_fd());
            #[cfg(kernel = "apple")]
            let (answer, sent) = {
                let mut sent = len as libc::off_t;
                let no_header = std::ptr::null_mut();
                // SAFETY: the length is valid for the call, which writes the sent length there.
                let answer = unsafe { call(file, socket, at, &mut sent, no_header, 0) };
                // A call that is refused before it begins (by a sandbox) leaves the length
                // unchanged. After other errors the whole length may have been sent
                // (uipc_syscalls.c `sendfile`: EAGAIN, EPIPE).
                let may_be_unsent = answer == -1 && sent as u64 == len;
                if may_be_unsent && is_refusal_of_call(&io::Error::last_os_error()) {
                    sent = 0;
                }
                (answer, sent)
            };
            #[cfg(kernel = "freebsd")]
            let (answer, sent) = {
                let mut sent: libc::off_t = 0;
                let no_header = std::ptr::null_mut();
                let len = len as usize;
                // SAFETY: the count is valid for the call, which writes the sent length there.
                (unsafe { call(file, socket, at, len, no_header, &mut sent, 0) }, sent)
            };
            if answer == -1 && sent == 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(sent as usize)
        }

        #[cfg(all(forced, kernel = "apple"))]
        type Call = unsafe extern "C" fn(
            c_int, c_int, off_t, *mut off_t, *mut c_void, c_int
        ) -> c_int;
        #[cfg(all(forced, kernel = "freebsd"))]
        type Call = unsafe extern "C" fn(
            c_int, c_int, off_t, usize, *mut c_void, *mut off_t, c_int
        ) -> c_int;

        /// The call of a model that is loaded before libc.
        #[cfg(forced)]
        fn by_model() -> io::Result<Call> {
            let is_apple = cfg!(kernel = "apple");
            let name = if is_apple { c"model_sendfile_apple" } else { c"model_sendfile_freebsd" };
            // SAFETY: the name is a C string. The model defines a function of this name and type.
            unsafe {
                let found = libc::dlsym(std::ptr::null_mut(), name.as_ptr()); // RTLD_DEFAULT
                if found.is_null() {
                    return Err(io::Error::from_raw_os_error(libc::ENOSYS));
                }
                Ok(std::mem::transmute::<*mut c_void, Call>(found))
            }
        }
    } else {
        fn send(_: BorrowedFd<'_>, _: BorrowedFd<'_>, _: u64, _: u64) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(libc::ENOSYS))
        }
    }
}

/// Whether the call sends this file to a socket of our own. (At the file's end it sends nothing.)
fn can_be_sent(file: &File, at: u64) -> bool {
    UnixStream::pair().and_then(|(socket, _peer)| send(socket.as_fd(), file.as_fd(), at, 1)).is_ok()
}
