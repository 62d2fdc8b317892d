//! `poll(2)`: for a copy whose sink would block, for the peer's last bytes before a close, for the testing kit.

#![allow(unsafe_code, reason = "poll takes a pointer")]

use std::ffi::{c_int, c_short};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::thread;
use std::time::{Duration, Instant};

use cfg_if::cfg_if;
use libc::{POLLERR, POLLIN, POLLNVAL, pollfd};
use socket2::SockRef;

pub(super) fn entry(fd: BorrowedFd<'_>, events: c_short) -> pollfd {
    pollfd {
        fd: fd.as_raw_fd(),
        events,
        revents: 0,
    }
}

/// poll(2), made again after a signal.
pub(super) fn wait(polled: &mut [pollfd], deadline: Option<Instant>) -> io::Result<()> {
    loop {
        let milliseconds = match deadline {
            None => -1,
            // Rounded up: it never returns too early.
            Some(deadline) => deadline
                .saturating_duration_since(Instant::now())
                .as_nanos()
                .div_ceil(1_000_000)
                .try_into()
                .unwrap_or(c_int::MAX),
        };
        // SAFETY: the slice is valid for the call, and so is its length.
        match unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as _, milliseconds) } {
            -1 => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            _ if polled.iter().any(|entry| entry.revents & POLLNVAL != 0) => {
                return Err(super::errno::bad_descriptor());
            }
            _ => return Ok(()),
        }
    }
}

/// Waits until one handle is ready, or at an end. An error of kind `TimedOut` without a code tells that the deadline
/// came first.
pub(super) fn wait_for(
    fd: BorrowedFd<'_>,
    events: c_short,
    deadline: Option<Instant>,
) -> io::Result<()> {
    let mut polled = [entry(fd, events)];
    wait(&mut polled, deadline)?;
    match polled[0].revents {
        0 => Err(io::ErrorKind::TimedOut.into()),
        POLLERR => {
            // What stands in an error queue, as a timestamp or an answer to MSG_ZEROCOPY, is its owner's to take;
            // until then poll does not wait.
            thread::sleep(Duration::from_millis(1));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Waits until there is something to read, as above.
pub(crate) fn wait_readable(fd: &impl AsFd, deadline: Instant) -> io::Result<()> {
    wait_for(fd.as_fd(), POLLIN, Some(deadline))
}

/// One receive that waits until the deadline, as above, whatever the socket's mode.
pub(crate) fn receive_by(
    socket: &impl AsFd,
    buffer: &mut [MaybeUninit<u8>],
    deadline: Instant,
) -> io::Result<usize> {
    cfg_if! {
        if #[cfg(target_os = "aix")] {
            // No flag: the stream itself is non-blocking from here on.
            const DONTWAIT: c_int = 0;
            SockRef::from(socket).set_nonblocking(true)?;
        } else {
            use libc::MSG_DONTWAIT as DONTWAIT;
        }
    }
    loop {
        match SockRef::from(socket).recv_with_flags(buffer, DONTWAIT) {
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
