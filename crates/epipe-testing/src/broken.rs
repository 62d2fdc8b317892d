//! The ways in which a connection breaks, and the waits for a break.

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use crate::sys;

/// How a [`Peer`](super::Peer) or a [`Proxy`](super::Proxy) breaks a connection. The byte count
/// starts at the first byte that the other side sends.
///
/// ```
/// use std::io::Write;
/// use std::net::TcpStream;
/// use std::time::Duration;
///
/// use epipe_testing::{Break, Peer, Script};
///
/// let scripts: [Script; 7] = [
///     Break::RESET_AT_ACCEPT.into(),             // resets as soon as `connect` has returned
///     Break::ResetAfter(5).answering("partial"), // receives 5 bytes, answers, resets
///     Break::FinAfter(5).greeting("220 ready"),  // greets, receives 5 bytes, closes cleanly
///     Break::CloseUnread(4).into(),              // leaves the fifth byte unread, closes
///     Break::FinThenReset(5).into(),             // the next write reports `EPIPE`
///     Break::HalfClose(5).into(),                // sends no more, still receives
///     Break::StopReading(5).into(),              // reads no more, stays open
/// ];
/// for script in scripts {
///     let peer = Peer::listen(script)?;
///     let mut stream = TcpStream::connect(peer.address().unwrap())?;
///     let _ = stream.write(b"hello");
///     peer.wait_broken(&stream, Duration::from_secs(5))?;
/// }
/// // Never breaks: receives one byte at a time.
/// let slow = Peer::listen(Break::Trickle(1))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Two tables show [what the next write reports](super#what-the-next-write-reports), and [which
/// break kills which server](super#which-break-kills-which-server).
///
/// After [`ResetAfter`](Break::ResetAfter) and [`FinThenReset`](Break::FinThenReset), every end of
/// the connection is a reset, also when the peer is dropped too soon or the process ends.
///
/// # Limits
///
/// A [`Peer`](super::Peer) that listens on TCP delays a reset at byte 0 until
/// [`wait_broken`](super::Peer::wait_broken) is called, for at most 50 ms. Without that delay the
/// other side's `connect` may report `ECONNRESET`. On a busy machine `connect` may take longer than
/// 50 ms, and report it nevertheless.
#[doc(alias("RST", "FIN"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Break {
    /// Receives exactly this many bytes, then resets without a FIN (`SO_LINGER` of zero, and
    /// close). A Unix socket has no reset: it closes.
    #[doc(alias("SO_LINGER", "RST", "ECONNRESET"))]
    ResetAfter(u64),
    /// Receives exactly this many bytes, then closes both directions cleanly.
    ///
    /// Bytes that have arrived beyond the count are discarded. Bytes that arrive later draw a
    /// reset, as with every closed socket.
    #[doc(alias("close", "shutdown"))]
    FinAfter(u64),
    /// Receives exactly this many bytes, waits for one more, and closes without reading that one.
    /// On Linux this resets.
    #[doc(alias = "ECONNRESET")]
    CloseUnread(u64),
    /// Receives exactly this many bytes, then sends a FIN and a reset right behind it. On Linux the
    /// next write reports `EPIPE`, and raises SIGPIPE if it can.
    ///
    /// It does not wait for an acknowledgement. Linux delays that by 40 ms, and a quick server has
    /// answered by then.
    ///
    /// `FinThenReset(0)` with a [greeting](Break::greeting) sends greeting, FIN and reset at once,
    /// except on a connection that the peer has accepted. On Linux the greeting and the FIN are one
    /// segment.
    ///
    /// A peer that is dropped before it has received its bytes sends FIN and reset at that moment.
    #[doc(alias("SO_LINGER", "RST", "EPIPE", "SIGPIPE"))]
    FinThenReset(u64),
    /// Receives exactly this many bytes, then closes only its sending half: it still receives.
    #[doc(alias("SHUT_WR", "shutdown"))]
    HalfClose(u64),
    /// Receives exactly this many bytes, then reads no more: the sender's buffers fill. The peer's
    /// own buffers are small.
    #[doc(alias("EAGAIN", "SO_RCVBUF"))]
    StopReading(u64),
    /// Never breaks. It receives and sends this many bytes at a time, through small buffers, and
    /// closes when the other side has ended.
    Trickle(usize),
}

impl Break {
    /// Resets the connection as soon as `connect` has returned. See the limits of [`Break`].
    pub const RESET_AT_ACCEPT: Break = Break::ResetAfter(0);

    /// Sends `bytes` when the connection is established, and receives meanwhile. See
    /// [`Script::greeting`].
    pub fn greeting(self, bytes: impl Into<Vec<u8>>) -> Script {
        Script::from(self).greeting(bytes)
    }

    /// Sends `bytes` when the break's count has been received. They arrive before the break. See
    /// [`Script::answering`].
    pub fn answering(self, bytes: impl Into<Vec<u8>>) -> Script {
        Script::from(self).answering(bytes)
    }

    /// `None`: it never breaks.
    pub(super) fn after(self) -> Option<u64> {
        match self {
            Break::ResetAfter(n)
            | Break::FinAfter(n)
            | Break::CloseUnread(n)
            | Break::FinThenReset(n)
            | Break::HalfClose(n)
            | Break::StopReading(n) => Some(n),
            Break::Trickle(_) => None,
        }
    }

    pub(super) fn at_a_time(self) -> usize {
        match self {
            Break::Trickle(bytes) => bytes.max(1),
            _ => usize::MAX,
        }
    }

    /// Whether it resets in any case, and not only because of unread bytes.
    pub(super) fn resets(self) -> bool {
        matches!(self, Break::ResetAfter(_) | Break::FinThenReset(_))
    }

    pub(super) fn is_slow(self) -> bool {
        matches!(self, Break::StopReading(_) | Break::Trickle(_))
    }
}

/// What a [`Peer`](super::Peer) does: its [`Break`], and the bytes it sends before that.
///
/// A [`Break`] alone is a script that sends nothing.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::TcpStream;
///
/// use epipe_testing::{Break, Peer, Script};
///
/// let mail_server = Script::from(Break::FinAfter(6)).greeting("220 ready\r\n").answering("221");
/// let peer = Peer::listen(mail_server)?;
/// let mut stream = TcpStream::connect(peer.address().unwrap())?;
/// stream.write_all(b"QUIT\r\n")?;
/// let mut received = String::new();
/// stream.read_to_string(&mut received)?;
/// assert_eq!(received, "220 ready\r\n221");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    pub(super) breaks: Break,
    pub(super) greeting: Vec<u8>,
    pub(super) answer: Vec<u8>,
}

impl Script {
    /// Sends these bytes when the connection is established.
    ///
    /// # Limits
    ///
    /// A break that is due waits for the greeting until the other side has taken no byte for half a
    /// second. If the other side does not read, it may lose the rest.
    ///
    /// A FIN always stands behind the greeting. The FIN of [`Break::FinAfter`] and
    /// [`Break::HalfClose`] arrives when the other side reads. If it does not read,
    /// `wait_broken` returns an error for [`Break::FinThenReset`].
    #[must_use]
    pub fn greeting(mut self, bytes: impl Into<Vec<u8>>) -> Script {
        self.greeting = bytes.into();
        self
    }

    /// Sends these bytes when the break's count has been received. They arrive before the break.
    ///
    /// With [`Break::Trickle`] they are sent when the other side has ended.
    ///
    /// # Limits
    ///
    /// The break waits until all bytes have arrived, so it may come up to 40 ms after the last one.
    /// If they are more than the buffers hold, it waits until the other side has read enough. To
    /// send bytes together with the break, use a [`greeting`](Script::greeting).
    #[must_use]
    pub fn answering(mut self, bytes: impl Into<Vec<u8>>) -> Script {
        self.answer = bytes.into();
        self
    }

    /// Whether the greeting and the break leave together.
    pub(super) fn breaks_with_greeting(&self) -> bool {
        let is_due_at_once = self.breaks.resets() && self.breaks.after() == Some(0);
        is_due_at_once && !self.greeting.is_empty() && self.answer.is_empty()
    }
}

impl From<Break> for Script {
    fn from(breaks: Break) -> Script {
        Script { breaks, greeting: Vec::new(), answer: Vec::new() }
    }
}

/// Why a break has not arrived. [`Debug`](fmt::Debug) prints the message, for `unwrap`.
///
/// ```
/// use std::io::Write;
/// use std::net::TcpStream;
/// use std::time::Duration;
///
/// use epipe_testing::{Break, Peer, WaitError};
///
/// let peer = Peer::listen(Break::ResetAfter(5))?;
/// let mut stream = TcpStream::connect(peer.address().unwrap())?;
/// stream.write_all(b"four")?;
/// let no_time = peer.wait_done(Duration::ZERO);
/// assert!(matches!(no_time, Err(WaitError::TimedOut { .. })));
/// drop(stream);
/// let early = peer.wait_done(Duration::from_secs(5));
/// assert!(matches!(early, Err(WaitError::Ended { received: 4 })));
///
/// let slow = Peer::listen(Break::Trickle(1))?;
/// assert!(matches!(slow.wait_done(Duration::ZERO), Err(WaitError::NeverBreaks)));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The timeout has passed.
    #[error("timed out: {received} bytes were received so far, and the awaited end did not come")]
    TimedOut {
        /// The number of bytes received in the direction that breaks. If a
        /// [`Proxy`](super::Proxy) breaks both directions or none, both are added.
        received: u64,
    },
    /// The connection ended before the break's count was received.
    #[error("the other side ended the connection after {received} bytes, before the break")]
    Ended {
        /// The number of bytes received.
        received: u64,
    },
    /// There is no break to wait for.
    #[error("there is no break to wait for: `Break::Trickle` and an empty `Cut` never break")]
    NeverBreaks,
    /// An error of the system.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl fmt::Debug for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Waits until a FIN has arrived in the local kernel. It uses poll(2), which takes nothing from the
/// handle.
///
/// A reset, or the close of a Unix peer, also ends the wait. [`wait_reset`] has an example.
///
/// # Errors
///
/// `TimedOut` when `timeout` has passed. On systems without `POLLRDHUP` (Apple, NetBSD, OpenBSD)
/// `Unsupported` when unread data stands before the FIN.
#[doc(alias("POLLRDHUP", "poll", "FIN"))]
pub fn wait_fin(handle: &impl AsFd, timeout: Duration) -> io::Result<()> {
    sys::wait_end(handle.as_fd(), timeout)
}

/// Waits until a reset has arrived in the local kernel. It uses poll(2), which takes nothing from
/// the handle.
///
/// The close of a Unix peer also ends the wait. A write to a peer that has closed draws a reset;
/// this waits for it:
///
/// ```
/// use std::io::{ErrorKind, Write};
/// use std::net::{TcpListener, TcpStream};
/// use std::time::Duration;
///
/// use epipe_testing::{wait_fin, wait_reset};
///
/// let soon = Duration::from_secs(5);
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut stream = TcpStream::connect(listener.local_addr()?)?;
/// drop(listener.accept()?.0); // closes
/// wait_fin(&stream, soon)?;
/// stream.write_all(b"lost")?; // succeeds, and draws a reset
/// wait_reset(&stream, soon)?;
/// assert_eq!(stream.write(b"lost").unwrap_err().kind(), ErrorKind::BrokenPipe);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// `TimedOut` when `timeout` has passed.
#[doc(alias("POLLHUP", "POLLERR", "poll", "ECONNRESET", "RST"))]
pub fn wait_reset(handle: &impl AsFd, timeout: Duration) -> io::Result<()> {
    sys::wait_reset(handle.as_fd(), timeout)
}
