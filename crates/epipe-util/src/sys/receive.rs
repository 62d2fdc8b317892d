//! A receive with a deadline, by `poll(2)` where the system has it.

#![allow(unsafe_code, reason = "poll takes a pointer")]

use std::ffi::c_int;
use std::io;
use std::mem::MaybeUninit;
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::AsSocket;

#[cfg(all(has_poll, not(target_os = "aix")))]
use libc::MSG_DONTWAIT as DONTWAIT;
/// This system has no such flag, or none that is known to work.
#[cfg(not(all(has_poll, not(target_os = "aix"))))]
const DONTWAIT: c_int = 0;

/// Waits until there is data or an end to read.
///
/// If the deadline comes first: an error of kind `TimedOut` without a code.
#[cfg(has_poll)]
pub(crate) fn wait_readable(fd: &impl AsSocket, deadline: Instant) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    let mut entry = libc::pollfd { fd: fd.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
    loop {
        // Rounded up, so that it never returns too early.
        let milliseconds = deadline
            .saturating_duration_since(Instant::now())
            .as_nanos()
            .div_ceil(1_000_000)
            .try_into()
            .unwrap_or(c_int::MAX);
        // SAFETY: the pointer is to one entry, valid for the call.
        if unsafe { libc::poll(&mut entry, 1, milliseconds) } == -1 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
            continue;
        }
        return match entry.revents {
            // One poll waits 24 days at most. The deadline may be later.
            0 if Instant::now() < deadline => continue,
            0 => Err(io::ErrorKind::TimedOut.into()),
            libc::POLLERR => {
                // The socket's error queue has an entry, such as a timestamp or the completion of
                // a MSG_ZEROCOPY send. Only the owner may take it, and until then poll does not
                // wait.
                thread::sleep(Duration::from_millis(1));
                Ok(())
            }
            found if found & libc::POLLNVAL != 0 => Err(io::Error::from_raw_os_error(libc::EBADF)),
            _ => Ok(()),
        };
    }
}

/// Waits 5 ms at most.
///
/// A read timeout would not do: on Windows it is half a second late, and afterwards the state of a
/// TCP socket is undefined.
#[cfg(not(has_poll))]
fn wait_readable(_: &impl AsSocket, deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    thread::sleep(left.min(Duration::from_millis(5)));
    Ok(())
}

/// An error for a non-blocking socket, which belongs to a runtime. The message names the function
/// to call there.
pub(crate) fn refuse_nonblocking(socket: &impl AsSocket, instead: &str) -> io::Result<()> {
    #[cfg(not(windows))] // Windows does not report it.
    if SockRef::from(socket).nonblocking()? {
        let reason = format!("the socket is non-blocking: call {instead}, or make it blocking");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    #[cfg(windows)]
    let _ = (socket, instead);
    Ok(())
}

/// Receives once, and waits until the deadline, for a blocking or a non-blocking socket.
///
/// Without MSG_DONTWAIT the socket is non-blocking afterwards.
pub(crate) fn receive_by(
    socket: &impl AsSocket,
    buffer: &mut [MaybeUninit<u8>],
    deadline: Instant,
) -> io::Result<usize> {
    let from = SockRef::from(socket);
    if DONTWAIT == 0 {
        from.set_nonblocking(true)?;
    }
    loop {
        match from.recv_with_flags(buffer, DONTWAIT) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if Instant::now() >= deadline {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                wait_readable(socket, deadline)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            answer => return answer,
        }
    }
}
