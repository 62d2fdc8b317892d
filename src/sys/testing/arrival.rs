//! What has arrived in the local kernel, asked by `poll(2)`: it takes nothing from the socket, no
//! byte and no error. (`SO_ERROR`, a read or a peek would take the ECONNRESET.)

use std::ffi::c_short;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use cfg_if::cfg_if;
use libc::{POLLERR, POLLHUP, POLLIN, POLLOUT};

use super::super::poll::{entry, wait};
#[cfg(any(target_os = "android", target_os = "linux"))]
use super::super::queue;

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
        /// Waits for one of `events`, or an end in both directions. Who asks for nothing is not woken
        /// elsewhere (XNU poll_nocancel, FreeBSD sopoll_generic), and who asks for more is woken by that
        /// all the time: so it asks once a millisecond. On XNU POLLOUT makes poll look at the direction
        /// that a FIN leaves open.
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
        /// What the other side of a TCP connection has not acknowledged, FIN included. `None`: the
        /// system does not tell.
        pub(crate) fn unacknowledged(fd: BorrowedFd<'_>) -> io::Result<Option<usize>> {
            queue::with_fin(&fd).map(Some)
        }

        /// Whether a TCP connection is gone: reset, or closed by both sides with all acknowledged.
        pub(crate) fn is_closed(fd: BorrowedFd<'_>) -> bool {
            queue::is_closed(&fd)
        }
    } else {
        /// What the other side of a TCP connection has not acknowledged, FIN included. `None`: the
        /// system does not tell.
        pub(crate) fn unacknowledged(_: BorrowedFd<'_>) -> io::Result<Option<usize>> {
            Ok(None)
        }

        /// Whether a TCP connection is gone, of one that has something unacknowledged: never here.
        pub(crate) fn is_closed(_: BorrowedFd<'_>) -> bool {
            false
        }
    }
}
