//! How a connection breaks.

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use crate::sys;

/// How a [`Peer`](super::Peer) or a [`Proxy`](super::Proxy) breaks a connection. Bytes are counted
/// from the first that the other side sends.
///
/// What each means for the next write stands in a [table](super#what-the-next-write-reports), and
/// which of them kills which server in [another](super#which-break-kills-which-server).
///
/// After [`ResetAfter`](Break::ResetAfter) and [`FinThenReset`](Break::FinThenReset) the connection
/// is reset whatever ends it: a peer that is dropped too soon, or the end of the process.
///
/// A [`Peer`](super::Peer) that listens on TCP holds back a reset at byte 0 until
/// [`wait_broken`](super::Peer::wait_broken) is called, or for 50 ms: else the other side's
/// `connect` may be told of it (`ECONNRESET`). On a busy machine that may take longer, and be told
/// all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Break {
    /// Receives exactly so many bytes, then resets without a FIN: it closes with no time to linger.
    /// On a Unix socket, which knows no reset, it closes.
    ResetAfter(u64),
    /// Receives exactly so many bytes, then closes both directions cleanly. (What has arrived
    /// beyond them is thrown away; what comes later draws a reset, as with every closed socket.)
    FinAfter(u64),
    /// Receives exactly so many bytes, waits for one more, and closes without having read it. On
    /// Linux that resets.
    CloseUnread(u64),
    /// Receives exactly so many bytes, then sends a FIN and a reset right behind it. It waits for
    /// no acknowledgement: Linux puts that off for 40 ms, and a quick server has answered before.
    ///
    /// A peer with `FinThenReset(0)` and a [greeting](Break::greeting), on a connection that it has
    /// not accepted, sends greeting, FIN and reset in one breath: on Linux the greeting and the FIN
    /// are one segment. A peer that is dropped before it has received so many bytes sends FIN and
    /// reset at that moment.
    FinThenReset(u64),
    /// Receives exactly so many bytes, and closes its sending half alone: it still receives.
    HalfClose(u64),
    /// Receives exactly so many bytes, and then no more: the sender's buffers fill. Its own is
    /// small.
    StopReading(u64),
    /// Never breaks. It takes, and sends, so many bytes at a time, through small buffers, and
    /// closes when the other side has ended.
    Trickle(usize),
}

impl Break {
    /// Resets the connection as soon as it is there, and `connect` has returned: see [`Break`].
    pub const RESET_AT_ACCEPT: Break = Break::ResetAfter(0);

    /// A peer that breaks so, and first says something: `bytes` are sent when the connection is
    /// there. It receives meanwhile.
    pub fn greeting(self, bytes: impl Into<Vec<u8>>) -> Script {
        Script::from(self).greeting(bytes)
    }

    /// A peer that breaks so, and answers: `bytes` are sent when what it counts has been received,
    /// and have arrived before it breaks.
    pub fn answering(self, bytes: impl Into<Vec<u8>>) -> Script {
        Script::from(self).answering(bytes)
    }

    /// After how many bytes; `None`: never.
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

    /// How many bytes are taken at a time.
    pub(super) fn at_a_time(self) -> usize {
        match self {
            Break::Trickle(bytes) => bytes.max(1),
            _ => usize::MAX,
        }
    }

    /// Whether it resets by itself, and not for unread bytes.
    pub(super) fn resets(self) -> bool {
        matches!(self, Break::ResetAfter(_) | Break::FinThenReset(_))
    }

    /// Whether small buffers are part of it.
    pub(super) fn is_slow(self) -> bool {
        matches!(self, Break::StopReading(_) | Break::Trickle(_))
    }
}

/// What a [`Peer`](super::Peer) does: its [`Break`], and what it says before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    pub(super) breaks: Break,
    pub(super) greeting: Vec<u8>,
    pub(super) answer: Vec<u8>,
}

impl Script {
    /// These bytes are sent when the connection is there. They hold up no break that is due for
    /// longer than half a second after the last that the other side took: who does not read may
    /// lose the rest. But a FIN stands behind it: that of [`Break::FinAfter`] and
    /// [`Break::HalfClose`] arrives when the other side reads, and [`Break::FinThenReset`] is an
    /// error.
    #[must_use]
    pub fn greeting(mut self, bytes: impl Into<Vec<u8>>) -> Script {
        self.greeting = bytes.into();
        self
    }

    /// These bytes are sent when what the break counts has been received ([`Break::Trickle`]: at
    /// the other side's end), and have arrived before the break. More than the buffers hold the
    /// other side has to read: the break waits for that. So it may come up to 40 ms after the last
    /// byte. To send bytes together with the break, use a [`greeting`](Script::greeting).
    #[must_use]
    pub fn answering(mut self, bytes: impl Into<Vec<u8>>) -> Script {
        self.answer = bytes.into();
        self
    }

    /// Whether the greeting and the break are one.
    pub(super) fn is_one_breath(&self) -> bool {
        let is_due_at_once = self.breaks.resets() && self.breaks.after() == Some(0);
        is_due_at_once && !self.greeting.is_empty() && self.answer.is_empty()
    }
}

impl From<Break> for Script {
    fn from(breaks: Break) -> Script {
        Script { breaks, greeting: Vec::new(), answer: Vec::new() }
    }
}

/// Why a break has not arrived. [`Debug`](fmt::Debug) is the message as well, for who unwraps.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The time is over.
    #[error("not in time: {received} bytes had come")]
    TimedOut {
        /// What had been received in the direction that breaks; of a [`Proxy`](super::Proxy) that
        /// breaks both or none, in both together.
        received: u64,
    },
    /// The connection ended before as many bytes had come as the break counts.
    #[error("the other side ended after {received} bytes, before the break")]
    Ended {
        /// What had been received.
        received: u64,
    },
    /// There is nothing to wait for: it never breaks.
    #[error("nothing here is told to break")]
    NeverBreaks,
    /// What the system said.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl fmt::Debug for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Waits until a FIN (or a reset, or a Unix peer's close) has arrived in the local kernel: by
/// poll(2), which takes nothing from the handle.
///
/// # Errors
///
/// `TimedOut` when `timeout` is over. On systems without `POLLRDHUP` (Apple, NetBSD, OpenBSD)
/// `Unsupported` when unread data stands before the FIN.
pub fn wait_fin(handle: &impl AsFd, timeout: Duration) -> io::Result<()> {
    sys::wait_end(handle.as_fd(), timeout)
}

/// Waits until a reset (or a Unix peer's close) has arrived in the local kernel: by poll(2), which
/// takes nothing from the handle.
///
/// After a write to a peer that had closed, this waits for the reset which that write has drawn.
///
/// # Errors
///
/// `TimedOut` when `timeout` is over.
pub fn wait_reset(handle: &impl AsFd, timeout: Duration) -> io::Result<()> {
    sys::wait_reset(handle.as_fd(), timeout)
}
