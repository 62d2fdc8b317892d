//! `poll(2)`: for a copy whose sink would block, and for the testing kit.

#![allow(unsafe_code, reason = "poll takes a pointer")]

use std::ffi::{c_int, c_short};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::thread;
use std::time::{Duration, Instant};

use libc::{POLLERR, POLLNVAL, pollfd};

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
