//! What has arrived: how much of what was sent the peer's system has acknowledged, and how much of
//! what it sent has not been read.
//!
//! All of it counts the caller's bytes: the SYN and FIN that systems count along are taken off.
//!
//! **None of it tells that the peer's application has read anything.** Acknowledged means that the
//! bytes are in the memory of the peer's system, where a crash or a reset still destroys them. Only
//! an answer of the protocol's own tells more.
//!
//! # Platforms
//!
//! | | Linux, Android | Apple | FreeBSD, NetBSD | elsewhere |
//! |---|---|---|---|---|
//! | [`unread`] | `SIOCINQ` | `FIONREAD` | `FIONREAD` | other Unix: `FIONREAD`; else `Unsupported` |
//! | [`unacknowledged`], [`wait_acknowledged`] | `SIOCOUTQ` | `SO_NWRITE` | `FIONWRITE` | `Unsupported` |
//! | [`unsent`] | `SIOCOUTQNSD` | `Unsupported` | `Unsupported` | `Unsupported` |
//! | [`tcp_info()`] | `TCP_INFO` | `TCP_CONNECTION_INFO` | FreeBSD: `TCP_INFO` | `Unsupported` |
//!
//! A Unix stream has no acknowledgements: what is written is with the peer. There Linux counts
//! memory in place of bytes, so that all but [`unread`] is `Unsupported`. Run on Linux; for the
//! others type-checked, and read in their sources. What Windows could tell is not asked. Of MPTCP
//! the FIN is counted.

use std::io;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::sys::{AsSocket, queue};

pub use crate::sys::tcp_info::{TcpInfo, TcpState};

/// How many bytes have come and wait to be read. On Linux it ends at urgent data (tcp(7)).
///
/// # Errors
///
/// What `ioctl` says.
pub fn unread(stream: impl AsSocket) -> io::Result<usize> {
    queue::unread(&stream)
}

/// How many of the bytes that were written to a TCP stream its system has not sent yet.
///
/// # Errors
///
/// `Unsupported` where the system does not tell; what it says of a handle that is no TCP stream, or
/// listens.
pub fn unsent(stream: impl AsSocket) -> io::Result<usize> {
    queue::unsent(&stream)
}

/// How many of the bytes that were written to a TCP stream the peer's system has not acknowledged;
/// those that were not sent count too.
///
/// When the connection is gone ([`TcpState::Close`] by a reset) the number stays what it was on
/// Linux, and may count a FIN; BSDs throw away what was unacknowledged, and count 0.
///
/// # Errors
///
/// As of [`unsent`]; on Linux `NotConnected` until the handshake is done.
pub fn unacknowledged(stream: impl AsSocket) -> io::Result<usize> {
    queue::unacknowledged(&stream)
}

/// Waits until the peer's system has acknowledged all that was written to a TCP stream. No event
/// tells it: it asks again, first after 50 µs, then less often, up to once in 10 ms.
///
/// # Errors
///
/// `TimedOut`, without a code, if `deadline` comes first. If the connection is gone with something
/// unacknowledged, the error that waits at the socket (`SO_ERROR`): it is taken, and no later call
/// is told; if an earlier call has been told, `ConnectionReset`. (FreeBSD, NetBSD and Apple have no
/// count then: there it is the waiting error, and without one `Ok`.) What was acknowledged before
/// the connection ended is `Ok` on Linux. And those of
/// [`unacknowledged`].
pub fn wait_acknowledged(stream: impl AsSocket, deadline: Instant) -> io::Result<()> {
    let mut pause = Duration::from_micros(50);
    loop {
        // This first: of what ends well in between, nothing is left to count.
        let is_gone = queue::is_closed(&stream);
        let count = queue::unacknowledged(&stream)?;
        if count == 0 {
            return match queue::RESET_EMPTIES_THE_QUEUE {
                true => SockRef::from(&stream).take_error()?.map_or(Ok(()), Err),
                false => Ok(()),
            };
        }
        if is_gone {
            return Err(SockRef::from(&stream)
                .take_error()?
                .unwrap_or(io::ErrorKind::ConnectionReset.into()));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// What the system knows of a TCP connection.
///
/// # Errors
///
/// `Unsupported` where the system does not tell; what it says of a handle that is no TCP socket.
pub fn tcp_info(stream: impl AsSocket) -> io::Result<TcpInfo> {
    queue::tcp_info(&stream)
}
