//! Asks what has arrived in the local kernel, by `poll(2)`. This takes no byte and no error from
//! the socket. (`SO_ERROR`, a read or a peek would take the ECONNRESET.)

#![allow(unsafe_code, reason = "poll, ioctl and getsockopt take pointers")]

use std::ffi::{c_int, c_short};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use cfg_if::cfg_if;
use libc::{POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, pollfd};

/// What poll should report of a socket. It also reports the end of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Nothing, not even the end.
    Nothing,
    End,
    Read,
    Write,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ready(c_short);

impl Ready {
    pub(crate) fn readable(self) -> bool {
        self.0 & POLLIN != 0
    }

    pub(crate) fn writable(self) -> bool {
        self.0 & POLLOUT != 0
    }

    /// Reset, or closed in both directions: no byte can be sent.
    pub(crate) fn gone(self) -> bool {
        self.0 & (POLLHUP | POLLERR) != 0
    }
}

fn entry(fd: BorrowedFd<'_>, events: c_short) -> pollfd {
    pollfd { fd: fd.as_raw_fd(), events, revents: 0 }
}

/// Repeats poll(2) after a signal.
fn wait(polled: &mut [pollfd], deadline: Option<Instant>) -> io::Result<()> {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let milliseconds = left.map_or(-1, |left| {
            // Rounded up, so as not to return too early. A time longer than poll's longest takes
            // several calls.
            let rounded_up = left.as_nanos().div_ceil(1_000_000);
            rounded_up.try_into().unwrap_or(c_int::MAX)
        });
        // SAFETY: the slice is valid for the call, and so is its length.
        match unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as _, milliseconds) } {
            -1 => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            _ if polled.iter().any(|entry| entry.revents & POLLNVAL != 0) => {
                return Err(io::Error::from_raw_os_error(libc::EBADF));
            }
            0 if milliseconds == c_int::MAX => {}
            _ => return Ok(()),
        }
    }
}

/// Waits until poll reports one of them, or the deadline has passed: then none is ready.
pub(crate) fn poll<const N: usize>(
    watched: [(BorrowedFd<'_>, Interest); N],
    deadline: Option<Instant>,
) -> io::Result<[Ready; N]> {
    let mut polled = watched.map(|(fd, interest)| {
        let events = match interest {
            Interest::Nothing | Interest::End => 0,
            Interest::Read => POLLIN,
            Interest::Write => POLLOUT,
        };
        let mut entry = entry(fd, events);
        if interest == Interest::Nothing {
            entry.fd = -1; // poll ignores it
        }
        entry
    });
    wait(&mut polled, deadline)?;
    Ok(polled.map(|entry| Ready(entry.revents)))
}

cfg_if! {
    if #[cfg(any(target_os = "android", target_os = "linux"))] {
        /// Waits for one of `events`, or an end in both directions.
        fn until(fd: BorrowedFd<'_>, events: c_short, timeout: Duration) -> io::Result<c_short> {
            let mut polled = [entry(fd, events)];
            // A time beyond the clock's range is for ever.
            wait(&mut polled, Instant::now().checked_add(timeout))?;
            match polled[0].revents {
                0 => Err(io::ErrorKind::TimedOut.into()),
                events => Ok(events),
            }
        }
    } else {
        /// Waits for one of `events`, or an end in both directions.
        ///
        /// It asks once a millisecond. A poll for no event does not wake at the end here (XNU
        /// poll_nocancel, FreeBSD sopoll_generic), and a poll for more events wakes at those all
        /// the time. On XNU, POLLOUT makes poll look at the direction that a FIN leaves open.
        fn until(fd: BorrowedFd<'_>, events: c_short, timeout: Duration) -> io::Result<c_short> {
            let deadline = Instant::now().checked_add(timeout);
            loop {
                let now = Instant::now();
                let mut polled = [entry(fd, events | POLLOUT)];
                wait(&mut polled, Some(now))?;
                let found = polled[0].revents & (events | POLLHUP | POLLERR);
                if found != 0 {
                    return Ok(found);
                }
                if deadline.is_some_and(|deadline| now >= deadline) {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// Waits for a reset, or for the close of a Unix socket's peer.
pub(crate) fn wait_reset(fd: BorrowedFd<'_>, timeout: Duration) -> io::Result<()> {
    until(fd, 0, timeout).map(drop)
}

cfg_if! {
    if #[cfg(any(
        target_os = "android",
        target_os = "freebsd",
        target_os = "illumos",
        target_os = "linux",
    ))] {
        /// Waits for a FIN, or a reset.
        pub(crate) fn wait_end(fd: BorrowedFd<'_>, timeout: Duration) -> io::Result<()> {
            until(fd, libc::POLLRDHUP, timeout).map(drop)
        }
    } else {
        /// Waits for a FIN, or a reset. Without POLLRDHUP it needs a peek, which finds unread data
        /// in front of the end.
        pub(crate) fn wait_end(fd: BorrowedFd<'_>, timeout: Duration) -> io::Result<()> {
            if until(fd, POLLIN, timeout)? & (POLLHUP | POLLERR) != 0 {
                return Ok(());
            }
            let mut byte = [std::mem::MaybeUninit::uninit()];
            let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
            match socket2::SockRef::from(&fd).recv_with_flags(&mut byte, flags)? {
                0 => Ok(()),
                _ => Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "this system does not report an end behind unread data: read the data first",
                )),
            }
        }
    }
}

cfg_if! {
    if #[cfg(any(target_os = "android", target_os = "linux"))] {
        /// The bytes that the other side of a TCP connection has not acknowledged, with the FIN.
        pub(crate) fn unacknowledged(fd: BorrowedFd<'_>) -> usize {
            // SIOCOUTQ and TIOCOUTQ are the same number (linux/sockios.h).
            queued(fd, libc::TIOCOUTQ as c_int)
        }

        /// The bytes of those that have not even been sent, with the FIN.
        pub(crate) fn unsent(fd: BorrowedFd<'_>) -> usize {
            /// linux/sockios.h; libc has no name for it.
            const SIOCOUTQNSD: c_int = 0x894B;
            queued(fd, SIOCOUTQNSD)
        }

        fn queued(fd: BorrowedFd<'_>, request: c_int) -> usize {
            let mut count: c_int = 0;
            // SAFETY: both requests write one int.
            match unsafe { libc::ioctl(fd.as_raw_fd(), request as _, &raw mut count) } {
                -1 => 0,
                _ => usize::try_from(count).unwrap_or(0),
            }
        }

        /// Whether a TCP connection is gone: reset, or closed by both sides with all bytes
        /// acknowledged.
        pub(crate) fn is_closed(fd: BorrowedFd<'_>) -> bool {
            /// linux/tcp_states.h.
            const TCP_CLOSE: u8 = 7;
            // The first byte of `struct tcp_info` (linux/tcp.h): the kernel writes only `len`
            // bytes.
            let mut state: u8 = 0;
            let mut len = size_of::<u8>() as libc::socklen_t;
            // SAFETY: the value and the length are valid for the call, and the length is the
            // value's.
            let answer = unsafe {
                libc::getsockopt(
                    fd.as_raw_fd(),
                    libc::IPPROTO_TCP,
                    libc::TCP_INFO,
                    (&raw mut state).cast(),
                    &mut len,
                )
            };
            answer == 0 && state == TCP_CLOSE
        }
    } else {
        /// The bytes that the other side has not acknowledged: unknown on these systems.
        pub(crate) fn unacknowledged(_: BorrowedFd<'_>) -> usize {
            0
        }

        /// The bytes that have not even been sent: unknown on these systems.
        pub(crate) fn unsent(_: BorrowedFd<'_>) -> usize {
            0
        }

        /// Whether a connection with unacknowledged bytes is gone: there are none on these systems.
        pub(crate) fn is_closed(_: BorrowedFd<'_>) -> bool {
            false
        }
    }
}
