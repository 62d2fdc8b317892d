//! A range of a file into a socket: `sendfile(2)`, and read and write where that is refused.
//!
//! Linux takes whatever file can be mapped, Apple and FreeBSD regular ones. No flag covers it; the
//! socket's option does, else the guard. By libc and not by socket2, which drops what Apple's and
//! FreeBSD's call has sent before it fails.

#![allow(unsafe_code, reason = "sendfile takes descriptors and pointers")]

use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::{Bound, RangeBounds};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;

use cfg_if::cfg_if;

use super::handle::SocketHandle;
use super::socket::SocketState;
use super::trust::is_refusal_of_call;

/// What is read at once where the system does not move the bytes by itself; for `io::copy` too.
pub(super) const BUFFER: usize = 128 << 10;

/// What Linux cuts a call to (linux/fs.h).
pub(super) const MAX_RW_COUNT: u64 = 0x7fff_f000;

pub(crate) fn sendfile(
    state: &SocketState,
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
    let mut buffer = Vec::new(); // while it is empty, the system sends
    while at < end {
        let sent = if buffer.is_empty() {
            state.run(stream, || send(stream.fd(), file, at, end - at))
        } else {
            let len = (end - at).min(buffer.len() as u64) as usize;
            file.read_at(&mut buffer[..len], at).and_then(|read| match read {
                0 => Ok(0),
                read => state.write(stream, &buffer[..read]),
            })
        };
        match sent {
            Ok(0) => break, // the file ends
            Ok(sent) => at += sent as u64,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock && at > start => break,
            // The call is refused for this file, or here: on with read and write. If the file can
            // be sent to a socket of our own, the error is what this one reports, once.
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

cfg_if! {
    if #[cfg(any(target_os = "android", target_os = "linux"))] {
        // Elsewhere the name without a number has the wide offset (std does the same).
        #[cfg(not(any(target_os = "android", target_env = "gnu")))]
        use libc::sendfile as sendfile64;
        #[cfg(any(target_os = "android", target_env = "gnu"))]
        use libc::sendfile64;

        fn send(socket: BorrowedFd<'_>, file: &File, at: u64, len: u64) -> io::Result<usize> {
            let mut at = at.try_into().map_err(|_| refused())?;
            let len = len.min(MAX_RW_COUNT) as usize;
            // SAFETY: the offset is valid for the call, which writes there how far it came.
            let sent = unsafe { sendfile64(socket.as_raw_fd(), file.as_raw_fd(), &mut at, len) };
            usize::try_from(sent).map_err(|_| io::Error::last_os_error())
        }
    } else if #[cfg(any(target_os = "freebsd", target_vendor = "apple"))] {
        /// One that fails on the way has sent something all the same.
        fn send(socket: BorrowedFd<'_>, file: &File, at: u64, len: u64) -> io::Result<usize> {
            let at = at.try_into().map_err(|_| refused())?;
            let len = len.min(1 << 30); // a length of 0 would mean all
            let (file, socket) = (file.as_raw_fd(), socket.as_raw_fd());
            #[cfg(target_vendor = "apple")]
            let (answer, sent) = {
                let mut len = len as libc::off_t;
                let no_header = std::ptr::null_mut();
                // SAFETY: the length is valid for the call, which writes there what it has sent.
                (unsafe { libc::sendfile(file, socket, at, &mut len, no_header, 0) }, len)
            };
            #[cfg(target_os = "freebsd")]
            let (answer, sent) = {
                let mut sent: libc::off_t = 0;
                let no_header = std::ptr::null_mut();
                let len = len as usize;
                // SAFETY: the count is valid for the call, which writes there what it has sent.
                (unsafe { libc::sendfile(file, socket, at, len, no_header, &mut sent, 0) }, sent)
            };
            if answer == -1 && sent == 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(sent as usize)
        }
    } else {
        fn send(_: BorrowedFd<'_>, _: &File, _: u64, _: u64) -> io::Result<usize> {
            Err(refused())
        }
    }
}

/// Whether the call takes this file, to a socket of our own. (At its end there is nothing to send.)
fn can_be_sent(file: &File, at: u64) -> bool {
    UnixStream::pair().and_then(|(socket, _peer)| send(socket.as_fd(), file, at, 1)).is_ok()
}

fn refused() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOSYS)
}
