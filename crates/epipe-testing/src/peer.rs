//! A peer that breaks as told.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket};

use super::broken::{Break, Script, WaitError, wait_fin, wait_reset};
use super::connection::{self, Connection, Folder, Line, PATIENCE, Settled, Worker, is_again};

/// The other side of one connection: real, on loopback, and it breaks at the byte that it was told.
///
/// It lives in a thread of its own and needs nobody's help: it reads, says what it was given to
/// say, and breaks. [`wait_broken`](Peer::wait_broken) tells when the break has arrived.
///
/// ```
/// use std::io::{ErrorKind, IoSlice, Write};
/// use std::net::TcpStream;
/// use std::time::Duration;
///
/// use epipe_testing::{Break, Peer};
///
/// let peer = Peer::listen(Break::ResetAfter(5))?;
/// let mut stream = TcpStream::connect(peer.address().unwrap())?;
/// stream.write_all(b"hello")?;
/// peer.wait_broken(&stream, Duration::from_secs(5))?;
///
/// let first = stream.write(b"lost").unwrap_err();
/// assert_eq!(first.kind(), ErrorKind::ConnectionReset);
/// let second = stream.write_vectored(&[IoSlice::new(b"lost")]).unwrap_err();
/// assert_eq!(second.kind(), ErrorKind::BrokenPipe); // outside of Rust's main it would kill
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A server is tried by a client that asks, and vanishes in the same breath:
///
/// ```
/// use std::net::TcpListener;
/// use std::time::Duration;
///
/// use epipe_testing::{Break, Peer};
///
/// let server = TcpListener::bind("127.0.0.1:0")?;
/// let request = Break::FinThenReset(0).greeting("GET / HTTP/1.0\r\n\r\n");
/// let peer = Peer::connect(server.local_addr()?, request)?;
/// // Now the server under test accepts, reads a whole request, and its answer meets `EPIPE`.
/// peer.wait_broken(&server.accept()?.0, Duration::from_secs(5))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It takes one connection, the first, be it a mere probe: who connects once more is refused, or
/// reset if it had been waiting. When it is dropped, so is the connection.
#[derive(Debug)]
pub struct Peer {
    address: Option<SockAddr>,
    breaks: Break,
    shared: Arc<Shared>,
    // In this order: the thread ends, the folder goes.
    _worker: Worker,
    _folder: Option<Folder>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    received: u64,
    /// A reset at byte 0 need not be held back: the other side's `connect` has returned.
    is_released: bool,
    outcome: Option<Outcome>,
}

#[derive(Debug)]
enum Outcome {
    Broken,
    Ended,
    Failed(io::Error),
}

impl Shared {
    /// Nothing panics under this lock; a poisoned one is used all the same.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, outcome: Outcome) {
        self.state().outcome = Some(outcome);
        self.changed.notify_all();
    }

    fn release(&self) {
        self.state().is_released = true;
        self.changed.notify_all();
    }

    fn wait_while(
        &self,
        timeout: Duration,
        condition: impl Fn(&State) -> bool,
    ) -> MutexGuard<'_, State> {
        self.changed
            .wait_timeout_while(self.state(), timeout, |state| condition(state))
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }
}

/// Why a [`Peer`] cannot hold a connection, which is given back.
#[derive(thiserror::Error)]
#[error("the connection cannot be held: {error}")]
#[non_exhaustive]
pub struct HoldError {
    end: OwnedFd,
    error: io::Error,
}

impl HoldError {
    fn new(end: impl Into<OwnedFd>, error: io::Error) -> HoldError {
        let end = end.into();
        HoldError { end, error }
    }

    /// Why.
    pub fn error(&self) -> &io::Error {
        &self.error
    }

    /// The end, as it was given.
    pub fn into_inner(self) -> OwnedFd {
        self.end
    }
}

/// The message as well, for `unwrap`.
impl fmt::Debug for HoldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<HoldError> for io::Error {
    fn from(error: HoldError) -> io::Error {
        error.error
    }
}

/// What the peer makes its connection of.
enum Source {
    Listener(Socket),
    Connection(Connection),
}

impl From<Source> for OwnedFd {
    fn from(source: Source) -> OwnedFd {
        match source {
            Source::Listener(socket) => socket.into(),
            Source::Connection(connection) => connection.into(),
        }
    }
}

impl Peer {
    /// Listens on a free TCP port of `127.0.0.1`; [`address`](Peer::address) tells which.
    ///
    /// # Errors
    ///
    /// Those of `socket`, `bind` and `listen`.
    pub fn listen(script: impl Into<Script>) -> io::Result<Peer> {
        Peer::listen_on(&connection::any_port(Domain::IPV4), None, script.into())
    }

    /// Listens on a free TCP port of `::1`.
    ///
    /// # Errors
    ///
    /// Those of `socket`, `bind` and `listen`: there are machines without IPv6.
    pub fn listen_v6(script: impl Into<Script>) -> io::Result<Peer> {
        Peer::listen_on(&connection::any_port(Domain::IPV6), None, script.into())
    }

    /// Listens on a Unix stream socket in a folder of its own, which goes with it;
    /// [`path`](Peer::path) tells where.
    ///
    /// # Errors
    ///
    /// Those of `mkdir`, `socket`, `bind` and `listen`.
    pub fn listen_unix(script: impl Into<Script>) -> io::Result<Peer> {
        let folder = Folder::new()?;
        let address = SockAddr::unix(folder.path().join("socket"))?;
        Peer::listen_on(&address, Some(folder), script.into())
    }

    /// Connects to a server on loopback.
    ///
    /// With a reset right behind the greeting, the greeting completes the handshake on Linux: a
    /// server accepts no sooner than that.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for any other address; those of `connect`.
    pub fn connect(address: impl ToSocketAddrs, script: impl Into<Script>) -> io::Result<Peer> {
        Peer::connect_to(&connection::on_loopback(address)?, script.into())
    }

    /// Connects to a server on a Unix stream socket.
    ///
    /// # Errors
    ///
    /// Those of `connect`, and a path that is too long.
    pub fn connect_unix(path: impl AsRef<Path>, script: impl Into<Script>) -> io::Result<Peer> {
        Peer::connect_to(&[SockAddr::unix(path)?], script.into())
    }

    /// Takes one end of a connection that is there: a socket pair's, or what a listener of yours
    /// has accepted. It makes that end non-blocking, and is its only owner.
    ///
    /// # Errors
    ///
    /// What is no connected stream socket is given back as it was: `NotConnected`, `InvalidInput`,
    /// or what `getsockopt` says. Those of `fcntl`, `pipe` and of starting a thread.
    pub fn holding(end: impl Into<OwnedFd>, script: impl Into<Script>) -> Result<Peer, HoldError> {
        let script = script.into();
        let connection = Connection::holding(Socket::from(end.into()), script.breaks.is_slow())
            .map_err(|(socket, error)| HoldError::new(socket, error))?;
        Peer::begin(Source::Connection(connection), None, None, script)
            .map_err(|(source, error)| HoldError::new(source, error))
    }

    fn listen_on(address: &SockAddr, folder: Option<Folder>, script: Script) -> io::Result<Peer> {
        let listener = connection::listen(address, script.breaks.is_slow())?;
        let address = listener.local_addr()?;
        Peer::begin(Source::Listener(listener), Some(address), folder, script)
            .map_err(|(_, error)| error)
    }

    fn connect_to(addresses: &[SockAddr], script: Script) -> io::Result<Peer> {
        // Nobody calls it off.
        let (line, _open) = io::pipe()?;
        let (slow, one_breath) = (script.breaks.is_slow(), script.is_one_breath());
        let connection = Connection::connect(addresses, slow, one_breath, &line)?;
        Peer::begin(Source::Connection(connection), None, None, script).map_err(|(_, error)| error)
    }

    fn begin(
        source: Source,
        address: Option<SockAddr>,
        folder: Option<Folder>,
        script: Script,
    ) -> Result<Peer, (Source, io::Error)> {
        let shared = Arc::new(Shared::default());
        let breaks = script.breaks;
        let its = Arc::clone(&shared);
        // By a channel: a thread that cannot be started would drop it.
        let (give, take) = mpsc::sync_channel(1);
        let worker = Worker::start("epipe peer", move |line| {
            let Ok(source) = take.recv() else { return };
            let kept = live(source, &script, &line, &its);
            its.tell(match &kept {
                Ok(_) => Outcome::Broken,
                Err(End::Early) => Outcome::Ended,
                Err(End::Error(error)) => Outcome::Failed(copy(error)),
            });
            if let Ok(Some(open)) = kept {
                hold(&open, breaks, &line);
            }
        });
        let worker = match worker {
            Ok(worker) => worker,
            Err(error) => return Err((source, error)),
        };
        // There is room for one, and the thread waits for it.
        let _ = give.send(source);
        Ok(Peer { address, breaks, shared, _worker: worker, _folder: folder })
    }

    /// Where it listens. `None` if it does not, or on a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address.as_ref()?.as_socket()
    }

    /// The Unix socket on which it listens.
    pub fn path(&self) -> Option<&Path> {
        self.address.as_ref()?.as_pathname()
    }

    /// How many bytes it has received: after a break exactly those that the break counts.
    pub fn received(&self) -> u64 {
        self.shared.state().received
    }

    /// Waits until this peer has broken the connection, whether or not that has arrived: for who
    /// has not the other end in hand. Returns how many bytes it has received.
    ///
    /// # Errors
    ///
    /// As [`wait_broken`](Peer::wait_broken).
    pub fn wait_done(&self, timeout: Duration) -> Result<u64, WaitError> {
        if self.breaks.after().is_none() {
            return Err(WaitError::NeverBreaks);
        }
        let state = self.shared.wait_while(timeout, |state| state.outcome.is_none());
        let received = state.received;
        match &state.outcome {
            None => Err(WaitError::TimedOut { received }),
            Some(Outcome::Ended) => Err(WaitError::Ended { received }),
            Some(Outcome::Failed(error)) => Err(copy(error).into()),
            Some(Outcome::Broken) => Ok(received),
        }
    }

    /// Waits until this peer has broken the connection and the break has arrived in the local
    /// kernel, at the other end of the connection, which is `handle`. By poll(2): it takes no byte
    /// and no error from the handle, so that the next write's answer is known.
    ///
    /// Of [`Break::StopReading`] nothing arrives: it returns when the peer has stopped.
    ///
    /// # Errors
    ///
    /// [`WaitError::TimedOut`] when `timeout` is over; [`WaitError::Ended`] if the connection ended
    /// before; [`WaitError::NeverBreaks`] for [`Break::Trickle`].
    pub fn wait_broken(&self, handle: &impl AsFd, timeout: Duration) -> Result<(), WaitError> {
        let begun = Instant::now();
        // Who has the handle has returned from `connect`.
        self.shared.release();
        let received = self.wait_done(timeout)?;
        let left = timeout.saturating_sub(begun.elapsed());
        match self.breaks {
            Break::ResetAfter(_) | Break::CloseUnread(_) | Break::FinThenReset(_) => {
                wait_reset(handle, left)
            }
            Break::FinAfter(_) | Break::HalfClose(_) => wait_fin(handle, left),
            Break::StopReading(_) | Break::Trickle(_) => Ok(()),
        }
        .map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => WaitError::TimedOut { received },
            _ => error.into(),
        })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.shared.release();
    }
}

/// An error once more: the first one stays where it is.
fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// Why a peer did not come to its break.
enum End {
    Early,
    Error(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> End {
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => End::Early,
            _ => End::Error(error),
        }
    }
}

/// How long a reset at byte 0 waits for the other side to return from `connect`, which may be told
/// of it. No event tells that it has returned.
const AT_ACCEPT: Duration = Duration::from_millis(50);

/// All of a peer's life up to the break. What stays open after it is returned.
fn live(
    source: Source,
    script: &Script,
    line: &Line,
    shared: &Shared,
) -> Result<Option<Connection>, End> {
    let (connection, is_accepted) = match source {
        Source::Listener(listener) => (connection::accept(&listener, line)?, true),
        Source::Connection(connection) => (connection, false),
    };
    let breaks = script.breaks;
    if breaks.resets() {
        connection.reset_on_close()?;
    }
    let has_fin = matches!(breaks, Break::FinThenReset(_));
    let more = has_fin && script.is_one_breath() && !is_accepted;
    let met = meet(&connection, script, more, line, shared)
        .and_then(|()| Ok(connection.send(&script.answer, breaks.at_a_time(), line)?));
    if met.is_err() && has_fin {
        // It vanishes sooner than it was told, and in the same way.
        let _ = connection.shutdown_write();
    }
    met?;
    let resets_at_once = breaks.resets() && breaks.after() == Some(0);
    if resets_at_once && is_accepted && connection.is_tcp {
        drop(shared.wait_while(AT_ACCEPT, |state| !state.is_released));
    }
    finish(connection, script, line)
}

/// Sends the greeting and reads exactly as much as the break counts, both at once: the other side
/// may not read before it has written. With `more` the greeting waits for the FIN behind it.
fn meet(
    connection: &Connection,
    script: &Script,
    more: bool,
    line: &Line,
    shared: &Shared,
) -> Result<(), End> {
    let at_a_time = script.breaks.at_a_time();
    let mut greeting = &script.greeting[..];
    let mut left = script.breaks.after().unwrap_or(u64::MAX);
    let mut buf = vec![0; at_a_time.min(64 * 1024)];
    while left > 0 || !greeting.is_empty() {
        let wishes = [left > 0, !greeting.is_empty()];
        // A greeting that is not taken holds up no break.
        let stall = script.breaks.after().filter(|_| left == 0);
        let stall = stall.map(|_| Instant::now() + PATIENCE);
        let Some([readable, writable]) = connection.wait_for(wishes, line, stall)? else {
            break;
        };
        if writable {
            match connection.try_write(&greeting[..greeting.len().min(at_a_time)], more) {
                Ok(written) => greeting = &greeting[written..],
                Err(error) if is_again(&error) => {}
                // The other side is gone; what it had said can still be read.
                Err(_) => greeting = &[],
            }
        }
        if readable {
            let most = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match connection.try_read(&mut buf[..most]) {
                // It says what it has to say all the same.
                Ok(0) if script.breaks.after().is_none() => left = 0,
                Ok(0) => return Err(End::Early),
                Ok(read) => {
                    left -= read as u64;
                    shared.state().received += read as u64;
                }
                Err(error) if is_again(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// Breaks. What stays open is returned.
fn finish(connection: Connection, script: &Script, line: &Line) -> Result<Option<Connection>, End> {
    // An answer has to arrive, a greeting may.
    let patience = script.answer.is_empty().then_some(PATIENCE);
    let settle = || match connection.settle(patience, line)? {
        Settled::Gone => Err(End::Early),
        settled => Ok(settled),
    };
    match script.breaks {
        // A greeting that has left is not waited for: a quick server would have answered.
        Break::ResetAfter(_) => {
            if !script.answer.is_empty() || !connection.has_left() {
                settle()?;
            }
        }
        Break::FinAfter(_) => {
            // What comes behind the FIN draws a reset.
            settle()?;
            connection.close()?;
        }
        Break::CloseUnread(_) => {
            settle()?;
            if !connection.wait_unread(line)? {
                return Err(End::Early);
            }
        }
        Break::FinThenReset(_) => {
            if !script.answer.is_empty() {
                settle()?;
            }
            connection.shutdown_write()?;
            if !connection.has_left() && settle()? == Settled::Late {
                return Err(End::Error(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the other side does not read the greeting: the FIN stands behind that",
                )));
            }
        }
        Break::HalfClose(_) => {
            connection.shutdown_write()?;
            return Ok(Some(connection));
        }
        Break::StopReading(_) => return Ok(Some(connection)),
        // The other side has ended.
        Break::Trickle(_) => connection.close()?,
    }
    Ok(None)
}

/// What a peer does that is still there, until it is dropped.
fn hold(connection: &Connection, breaks: Break, line: &Line) {
    let mut buf = [0; 4096];
    if matches!(breaks, Break::HalfClose(_)) {
        while matches!(connection.read(&mut buf, line), Ok(1..)) {}
    }
    // Until the line hangs up.
    let _ = io::Read::read(&mut &*line, &mut buf);
}
