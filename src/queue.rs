//! What has arrived: how much of what was sent the peer's system has acknowledged, and how much of what it
//! sent has not been read.
//!
//! All of it counts the caller's bytes: the SYN and FIN that systems count along are taken off.
//!
//! **None of it tells that the peer's application has read anything.** Acknowledged means that the bytes are in the
//! memory of the peer's system, where a crash or a reset still destroys them. Only an answer of the protocol's own
//! tells more.
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
//! A Unix stream has no acknowledgements: what is written is with the peer. There Linux counts memory in place of
//! bytes, so that all but [`unread`] is `Unsupported`. Run on Linux; for the others type-checked, and read in their
//! sources. What Windows could tell is not asked. Of
//! MPTCP the FIN is counted.

use std::io;
use std::time::{Duration, Instant};

use crate::sys::handle::AsSocket;
use crate::sys::queue as sys;

/// How many bytes have come and wait to be read. On Linux it ends at urgent data (tcp(7)).
///
/// # Errors
///
/// What `ioctl` says.
pub fn unread(stream: impl AsSocket) -> io::Result<usize> {
    sys::unread(&stream)
}

/// How many of the bytes that were written to a TCP stream its system has not sent yet.
///
/// # Errors
///
/// `Unsupported` where the system does not tell; what it says of a handle that is no TCP stream, or listens.
pub fn unsent(stream: impl AsSocket) -> io::Result<usize> {
    sys::unsent(&stream)
}

/// How many of the bytes that were written to a TCP stream the peer's system has not acknowledged; those that were
/// not sent count too.
///
/// When the connection is gone ([`TcpState::Close`] by a reset) the number stays what it was on Linux, and may count
/// a FIN; BSDs throw away what was unacknowledged, and count 0.
///
/// # Errors
///
/// As of [`unsent`]; on Linux `NotConnected` until the handshake is done.
pub fn unacknowledged(stream: impl AsSocket) -> io::Result<usize> {
    sys::unacknowledged(&stream)
}

/// Waits until the peer's system has acknowledged all that was written to a TCP stream. No event tells it: it asks
/// again, first after 50 µs, then less often, up to once in 10 ms.
///
/// # Errors
///
/// `TimedOut`, without a code, if `deadline` comes first. If the connection is gone with something unacknowledged,
/// the error that waits at the socket (`SO_ERROR`): it is taken, and no later call is told; if an earlier call has
/// been told, `ConnectionReset`. (FreeBSD, NetBSD and Apple have no count then: there it is the waiting error, and
/// without one `Ok`.) What was acknowledged before the connection ended is `Ok` on Linux. And those of
/// [`unacknowledged`].
pub fn wait_acknowledged(stream: impl AsSocket, deadline: Instant) -> io::Result<()> {
    let mut pause = Duration::from_micros(50);
    loop {
        // This first: of what ends well in between, nothing is left to count.
        let is_gone = sys::is_closed(&stream);
        let count: usize = sys::unacknowledged(&stream)?;
        if count == 0 {
            return match sys::RESET_EMPTIES_THE_QUEUE {
                true => sys::take_error(&stream)?.map_or(Ok(()), Err),
                false => Ok(()),
            };
        }
        if is_gone {
            return Err(sys::take_error(&stream)?.unwrap_or(io::ErrorKind::ConnectionReset.into()));
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
    sys::tcp_info(&stream)
}

/// What [`tcp_info()`] tells. A field is `None` where the system does not tell it, or is too old to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpInfo {
    /// The state of the connection.
    pub state: TcpState,
    /// The smoothed round-trip time; zero before the first was measured.
    pub rtt: Duration,
    /// How many segments were sent again, since the connection began.
    pub retransmits: Option<u32>,
    /// How many segments are sent and unacknowledged, a FIN included.
    pub unacknowledged_segments: Option<u32>,
    /// How many of the caller's bytes were acknowledged; one off where a transmission has failed on this side, or
    /// another thread writes at the moment. Linux 4.19.
    pub bytes_acknowledged: Option<u64>,
    /// How many of the peer's bytes have come. In state [`Close`](TcpState::Close) its FIN may be counted. Linux 4.1.
    pub bytes_received: Option<u64>,
}

/// The states of RFC 9293.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TcpState {
    /// Connecting.
    SynSent,
    /// Being accepted.
    SynReceived,
    /// Connected.
    Established,
    /// This side's sending half is ended; its FIN is not acknowledged.
    FinWait1,
    /// This side's sending half is ended, and the peer knows it.
    FinWait2,
    /// The peer's sending half is ended.
    CloseWait,
    /// Both ended at once; this side's FIN is not acknowledged.
    Closing,
    /// The peer ended first; this side's FIN is not acknowledged.
    LastAck,
    /// Both ended. (Linux tells `Close` of a socket that is still open.)
    TimeWait,
    /// Never connected, or **gone: it does not tell whether both ended well or one has reset**. A read does, or
    /// `SO_ERROR`.
    Close,
    /// A listener.
    Listen,
}
