//! What has arrived in the local kernel, asked by `poll(2)`: it takes nothing from the socket, no
//! byte and no error. (`SO_ERROR`, a read or a peek would take the ECONNRESET.)

#![allow(unsafe_code, reason = "poll, ioctl and getsockopt take pointers")]

use std::ffi::{c_int, c_short};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use cfg_if::cfg_if;
use libc::{POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, pollfd};

/// What a socket is watched for. Its end is told as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// It is not watched, not even for its end.
    Nothing,
    End,
    Read,
    Write,
}

/// What poll has told of one socket.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ready(c_short);

impl Ready {
    pub(crate) fn readable(self) -> bool {
        self.0 & POLLIN != 0
    }

    pub(crate) fn writable(self) -> bool {
        self.0 & POLLOUT != 0
    }

    /// Reset, or closed in both directions: nothing can be sent any more.
    pub(crate) fn gone(self) -> bool {
        self.0 & (POLLHUP | POLLERR) != 0
    }
}

fn entry(fd: BorrowedFd<'_>, events: c_short) -> pollfd {
    pollfd { fd: fd.as_raw_fd(), events, revents: 0 }
}

/// poll(2), made again after a signal.
fn wait(polled: &mut [pollfd], deadline: Option<Instant>) -> io::Result<()> {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let milliseconds = left.map_or(-1, |left| {
            // Rounded up: it never returns too early. What is longer than poll can wait takes
            // several rounds.
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

/// Waits until one of them has something to tell, or the time is over: then none has.
pub(crate) fn poll<const N: usize>(
    watched: [(BorrowedFd<'_>, Wish); N],
    deadline: Option<Instant>,
) -> io::Result<[Ready; N]> {
    let mut polled = watched.map(|(fd, wish)| {
        let events = match wish {
            Wish::Nothing | Wish::End => 0,
            Wish::Read => POLLIN,
            Wish::Write => POLLOUT,
        };
        let mut entry = entry(fd, events);
        if wish == Wish::Nothing {
            entry.fd = -1; // poll passes over it
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
            // A time that no clock can tell is for ever.
            wait(&mut polled, Instant::now().checked_add(timeout))?;
            match polled[0].revents {
                0 => Err(io::ErrorKind::TimedOut.into()),
                told => Ok(told),
            }
        }
    } else {
        /// Waits for one of `events`, or an end in both directions. Who asks for nothing is not
        /// woken elsewhere (XNU poll_nocancel, FreeBSD sopoll_generic), and who asks for more is
        /// woken by that all the time: so it asks once a millisecond. On XNU POLLOUT makes poll
        /// look at the direction that a FIN leaves open.
        fn until(fd: BorrowedFd<'_>, events: c_short, timeout: Duration) -> io::Result<c_short> {
            let deadline = Instant::now().checked_add(timeout);
            loop {
                let now = Instant::now();
                let mut polled = [entry(fd, events | POLLOUT)];
                wait(&mut polled, Some(now))?;
                let told = polled[0].revents & (events | POLLHUP | POLLERR);
                if told != 0 {
                    return Ok(told);
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
        /// Waits for a FIN, or a reset. Without POLLRDHUP a peek must tell, and what was sent
        /// before stands in front of the end.
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
                    "this system does not tell of an end behind unread data: read it first",
                )),
            }
        }
    }
}

cfg_if! {
    if #[cfg(any(target_os = "android", target_os = "linux"))] {
        /// How much the other side of a TCP connection has not acknowledged, FIN included.
        pub(crate) fn unacknowledged(fd: BorrowedFd<'_>) -> usize {
            // SIOCOUTQ has the number of TIOCOUTQ (linux/sockios.h).
            queued(fd, libc::TIOCOUTQ as c_int)
        }

        /// How much of it has not even been sent, FIN included.
        pub(crate) fn unsent(fd: BorrowedFd<'_>) -> usize {
            /// linux/sockios.h; libc has no name for it.
            const SIOCOUTQNSD: c_int = 0x894B;
            queued(fd, SIOCOUTQNSD)
        }

        fn queued(fd: BorrowedFd<'_>, question: c_int) -> usize {
            let mut count: c_int = 0;
            // SAFETY: both questions write one int.
            match unsafe { libc::ioctl(fd.as_raw_fd(), question as _, &raw mut count) } {
                -1 => 0,
                _ => usize::try_from(count).unwrap_or(0),
            }
        }

        /// Whether a TCP connection is gone: reset, or closed by both sides with all acknowledged.
        pub(crate) fn is_closed(fd: BorrowedFd<'_>) -> bool {
            /// linux/tcp_states.h.
            const TCP_CLOSE: u8 = 7;
            // The first byte of linux/tcp.h's `struct tcp_info`. Of the rest only this is written.
            let mut state: u8 = 0;
            let mut len = size_of::<u8>() as libc::socklen_t;
            // SAFETY: value and length are valid for the call, and the length is the value's.
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
        /// How much the other side of a TCP connection has not acknowledged: not known here.
        pub(crate) fn unacknowledged(_: BorrowedFd<'_>) -> usize {
            0
        }

        /// How much of it has not even been sent: not known here.
        pub(crate) fn unsent(_: BorrowedFd<'_>) -> usize {
            0
        }

        /// Whether a TCP connection is gone, of one that has something unacknowledged: never here.
        pub(crate) fn is_closed(_: BorrowedFd<'_>) -> bool {
            false
        }
    }
}
