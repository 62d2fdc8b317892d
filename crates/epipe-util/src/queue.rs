//! What has arrived: how much of what was sent the peer's system has acknowledged, and how much of
//! what it sent has not been read.
//!
//! All of it counts the caller's bytes: the SYN and FIN that systems count along are taken off.
//!
//! **None of it shows that the peer's application has read anything.** Acknowledged means that the
//! bytes are in the memory of the peer's system, where a crash or a reset still destroys them. Only
//! an answer of the protocol's own shows more.
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

use crate::sys::{self, AsSocket, queue};

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
/// reports it: it asks again, first after 50 µs, then less often, up to once in 10 ms.
///
/// # Errors
///
/// `TimedOut`, without a code, if `deadline` comes first. If the connection is gone with something
/// unacknowledged, the error that waits at the socket (`SO_ERROR`): it is taken, and no later call
/// reports it; if an earlier call has reported it, `ConnectionReset`. (FreeBSD, NetBSD and Apple
/// have no count then: there it is the waiting error, and without one `Ok`.) What was acknowledged
/// before the connection ended is `Ok` on Linux. And those of [`unacknowledged`].
///
/// `InvalidInput` for a non-blocking stream, as those of tokio are: this blocks the thread, and
/// with it a runtime's other tasks. (Windows does not report it.)
#[cfg_attr(feature = "tokio", doc = "There call [`wait_acknowledged_async`].")]
#[cfg_attr(not(feature = "tokio"), doc = "There call `wait_acknowledged_async` (feature `tokio`).")]
pub fn wait_acknowledged(stream: impl AsSocket, deadline: Instant) -> io::Result<()> {
    sys::refuse_nonblocking(&stream, "wait_acknowledged_async")?;
    wait_blocking(&stream, deadline)
}

pub(crate) fn wait_blocking(stream: &impl AsSocket, deadline: Instant) -> io::Result<()> {
    let mut pause = FIRST_PAUSE;
    while !is_acknowledged(stream)? {
        std::thread::sleep(next_pause(&mut pause, deadline)?);
    }
    Ok(())
}

/// Like [`wait_acknowledged`], and the runtime's other tasks go on meanwhile.
///
/// It takes any socket: tokio's streams, those of `epipe::tokio`, references to these.
///
/// # Errors
///
/// Those of [`wait_acknowledged`], but a non-blocking stream is none.
///
/// # Panics
///
/// Outside a runtime of tokio's with its timer, as `tokio::time::sleep` does.
#[cfg(feature = "tokio")]
pub async fn wait_acknowledged_async(stream: impl AsSocket, deadline: Instant) -> io::Result<()> {
    let mut pause = FIRST_PAUSE;
    while !is_acknowledged(&stream)? {
        tokio::time::sleep(next_pause(&mut pause, deadline)?).await;
    }
    Ok(())
}

const FIRST_PAUSE: Duration = Duration::from_micros(50);

/// How long to wait before the next question; an error of kind `TimedOut` at the deadline.
fn next_pause(pause: &mut Duration, deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let now = (*pause).min(left);
    *pause = (*pause * 2).min(Duration::from_millis(10));
    Ok(now)
}

fn is_acknowledged(stream: &impl AsSocket) -> io::Result<bool> {
    // This first: of what ends well in between, nothing is left to count.
    let is_gone = queue::is_closed(stream);
    let waiting_error = || SockRef::from(stream).take_error();
    if queue::unacknowledged(stream)? == 0 {
        return match queue::RESET_EMPTIES_THE_QUEUE {
            true => waiting_error()?.map_or(Ok(true), Err),
            false => Ok(true),
        };
    }
    match is_gone {
        true => Err(waiting_error()?.unwrap_or(io::ErrorKind::ConnectionReset.into())),
        false => Ok(false),
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
