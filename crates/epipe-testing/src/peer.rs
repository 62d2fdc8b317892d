//! A peer that breaks a connection by a script.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket};

use super::broken::{Break, Script, WaitError, wait_fin, wait_reset};
use super::connection::{self, Cancel, Connection, Directory, PATIENCE, Settled, Worker, is_again};

/// The other side of one connection. It breaks the connection at the byte you choose.
///
/// The connection is real, on loopback. A thread plays the [`Script`], and
/// [`wait_broken`](Peer::wait_broken) waits until the break has arrived.
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
/// assert_eq!(second.kind(), ErrorKind::BrokenPipe); // with SIGPIPE at its default it would kill
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// As a client, it sends a request to the server under test and vanishes:
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
/// Other families, and a connection that already exists:
///
/// ```
/// use std::os::unix::net::{UnixListener, UnixStream};
/// use std::time::Duration;
///
/// use epipe_testing::{Break, Peer};
///
/// let soon = Duration::from_secs(5);
/// let peer = Peer::listen_unix(Break::FinAfter(0))?;
/// let stream = UnixStream::connect(peer.path().unwrap())?;
/// peer.wait_broken(&stream, soon)?;
///
/// # let path = std::env::temp_dir().join(format!("epipe-example-{}", std::process::id()));
/// # let _ = std::fs::remove_file(&path);
/// let server = UnixListener::bind(&path)?;
/// let peer = Peer::connect_unix(&path, Break::FinAfter(0))?;
/// peer.wait_broken(&server.accept()?.0, soon)?;
/// # std::fs::remove_file(&path)?;
///
/// let peer = Peer::listen_v6(Break::FinAfter(0)); // an error on a machine without IPv6
///
/// let (ours, theirs) = UnixStream::pair()?;
/// let peer = Peer::holding(theirs, Break::FinAfter(0))?;
/// assert_eq!(peer.wait_done(soon)?, 0); // without the other end at hand
/// assert_eq!(peer.received(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Limits
///
/// It takes one connection, the first, even if that is only a probe. A later one is refused, or
/// reset if it was already waiting. Dropping the peer drops the connection.
#[doc(alias("RST", "ECONNRESET", "EPIPE"))]
#[derive(Debug)]
pub struct Peer {
    address: Option<SockAddr>,
    breaks: Break,
    shared: Arc<Shared>,
    // In this order: the thread ends before its directory is removed.
    _worker: Worker,
    _directory: Option<Directory>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    received: u64,
    /// The other side's `connect` has returned, so a reset at byte 0 needs no delay.
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
    /// A poisoned lock is still used: no code under it panics.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, outcome: Outcome) {
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

/// Why a [`Peer`] cannot hold a connection. It gives the handle back.
///
/// ```
/// use std::io::{ErrorKind, PipeReader};
///
/// use epipe_testing::{Break, Peer};
///
/// let (reader, writer) = std::io::pipe()?;
/// let error = Peer::holding(reader, Break::FinAfter(0)).unwrap_err(); // a pipe is not a socket
/// println!("{}", error.error());
/// let reader = PipeReader::from(error.into_inner());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(thiserror::Error)]
#[error("the peer cannot hold this connection: {error}")]
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

    /// Returns the system's error, or `InvalidInput` for a socket that is not a stream.
    pub fn error(&self) -> &io::Error {
        &self.error
    }

    /// Returns the handle, unchanged.
    pub fn into_inner(self) -> OwnedFd {
        self.end
    }
}

/// Prints the message, so that `unwrap` shows it.
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
    /// Listens on a free TCP port of `127.0.0.1`, which [`address`](Peer::address) returns.
    ///
    /// # Errors
    ///
    /// The errors of `socket`, `bind` and `listen`.
    pub fn listen(script: impl Into<Script>) -> io::Result<Peer> {
        Peer::listen_on(&connection::any_port(Domain::IPV4), None, script.into())
    }

    /// Listens on a free TCP port of `::1`. Like [`listen`](Peer::listen).
    ///
    /// # Errors
    ///
    /// The errors of `socket`, `bind` and `listen`: some machines have no IPv6.
    pub fn listen_v6(script: impl Into<Script>) -> io::Result<Peer> {
        Peer::listen_on(&connection::any_port(Domain::IPV6), None, script.into())
    }

    /// Listens on a Unix stream socket in a temporary directory, which is removed with the peer.
    /// [`path`](Peer::path) returns its path.
    ///
    /// # Errors
    ///
    /// The errors of `mkdir`, `socket`, `bind` and `listen`.
    #[doc(alias = "AF_UNIX")]
    pub fn listen_unix(script: impl Into<Script>) -> io::Result<Peer> {
        let directory = Directory::new()?;
        let address = SockAddr::unix(directory.path().join("socket"))?;
        Peer::listen_on(&address, Some(directory), script.into())
    }

    /// Connects to a server on loopback: the peer plays a client.
    ///
    /// On Linux, if a reset follows right behind the greeting, the greeting completes the
    /// handshake. The server does not accept before that.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for an address that is not on loopback; the errors of `connect`.
    pub fn connect(address: impl ToSocketAddrs, script: impl Into<Script>) -> io::Result<Peer> {
        Peer::connect_to(&connection::on_loopback(address)?, script.into())
    }

    /// Connects to a server on a Unix stream socket: the peer plays a client.
    ///
    /// # Errors
    ///
    /// The errors of `connect`; `InvalidInput` for a path that is too long.
    #[doc(alias = "AF_UNIX")]
    pub fn connect_unix(path: impl AsRef<Path>, script: impl Into<Script>) -> io::Result<Peer> {
        Peer::connect_to(&[SockAddr::unix(path)?], script.into())
    }

    /// Takes one end of an existing connection: of a socket pair, or one that your listener has
    /// accepted.
    ///
    /// The peer owns that end and makes it non-blocking.
    ///
    /// # Errors
    ///
    /// If the handle is not a connected stream socket: `NotConnected`, `InvalidInput`, or the error
    /// of `getsockopt`. The handle comes back unchanged. Also the errors of `fcntl`, of `pipe` and
    /// of starting a thread.
    #[doc(alias = "socketpair")]
    pub fn holding(end: impl Into<OwnedFd>, script: impl Into<Script>) -> Result<Peer, HoldError> {
        let script = script.into();
        let connection = Connection::holding(Socket::from(end.into()), script.breaks.is_slow())
            .map_err(|(socket, error)| HoldError::new(socket, error))?;
        Peer::begin(Source::Connection(connection), None, None, script)
            .map_err(|(source, error)| HoldError::new(source, error))
    }

    fn listen_on(
        address: &SockAddr,
        directory: Option<Directory>,
        script: Script,
    ) -> io::Result<Peer> {
        let listener = connection::listen(address, script.breaks.is_slow())?;
        let address = listener.local_addr()?;
        Peer::begin(Source::Listener(listener), Some(address), directory, script)
            .map_err(|(_, error)| error)
    }

    fn connect_to(addresses: &[SockAddr], script: Script) -> io::Result<Peer> {
        let (cancel, _open) = io::pipe()?;
        let (slow, with_greeting) = (script.breaks.is_slow(), script.breaks_with_greeting());
        let connection = Connection::connect(addresses, slow, with_greeting, &cancel)?;
        Peer::begin(Source::Connection(connection), None, None, script).map_err(|(_, error)| error)
    }

    fn begin(
        source: Source,
        address: Option<SockAddr>,
        directory: Option<Directory>,
        script: Script,
    ) -> Result<Peer, (Source, io::Error)> {
        let shared = Arc::new(Shared::default());
        let breaks = script.breaks;
        let its = Arc::clone(&shared);
        // Through a channel: if the thread cannot start, its closure would drop the source.
        let (give, take) = mpsc::sync_channel(1);
        let worker = Worker::start("epipe peer", move |cancel| {
            let Ok(source) = take.recv() else { return };
            let kept = play(source, &script, &cancel, &its);
            its.report(match &kept {
                Ok(_) => Outcome::Broken,
                Err(End::Early) => Outcome::Ended,
                Err(End::Error(error)) => Outcome::Failed(copy(error)),
            });
            if let Ok(Some(open)) = kept {
                hold(&open, breaks, &cancel);
            }
        });
        let worker = match worker {
            Ok(worker) => worker,
            Err(error) => return Err((source, error)),
        };
        // The channel has room for one, and the thread waits for it.
        let _ = give.send(source);
        Ok(Peer { address, breaks, shared, _worker: worker, _directory: directory })
    }

    /// Returns the address on which it listens. `None` if it does not listen, or for a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address.as_ref()?.as_socket()
    }

    /// Returns the path of the Unix socket on which it listens. `None` for all others.
    pub fn path(&self) -> Option<&Path> {
        self.address.as_ref()?.as_pathname()
    }

    /// Returns the number of bytes received so far: after a break, exactly the break's count.
    pub fn received(&self) -> u64 {
        self.shared.state().received
    }

    /// Waits until this peer has broken the connection, and returns the number of bytes received.
    ///
    /// The break may not have arrived yet. If you have the other end, use
    /// [`wait_broken`](Peer::wait_broken).
    ///
    /// # Errors
    ///
    /// The same as [`wait_broken`](Peer::wait_broken).
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

    /// Waits until the break has arrived at `handle`, the other end of the connection.
    ///
    /// After that, [the next write's result is known](super#what-the-next-write-reports). The wait
    /// uses poll(2), which takes no byte and no error from the handle.
    ///
    /// [`Break::StopReading`] has nothing that arrives: the wait ends when the peer has stopped.
    ///
    /// # Errors
    ///
    /// [`WaitError::TimedOut`] when `timeout` has passed; [`WaitError::Ended`] if the connection
    /// ended before the break; [`WaitError::NeverBreaks`] for [`Break::Trickle`].
    #[doc(alias("poll", "POLLHUP"))]
    pub fn wait_broken(&self, handle: &impl AsFd, timeout: Duration) -> Result<(), WaitError> {
        let begun = Instant::now();
        // The caller has the handle, so `connect` has returned.
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

/// Copies an error, since `io::Error` has no `clone`.
fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

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

/// How long a reset at byte 0 waits until the other side has returned from `connect`. An earlier
/// reset may be reported by `connect`, and no event shows that `connect` has returned.
const AT_ACCEPT: Duration = Duration::from_millis(50);

/// Plays the script up to the break, and returns the connection if it stays open after that.
fn play(
    source: Source,
    script: &Script,
    cancel: &Cancel,
    shared: &Shared,
) -> Result<Option<Connection>, End> {
    let (connection, is_accepted) = match source {
        Source::Listener(listener) => (connection::accept(&listener, cancel)?, true),
        Source::Connection(connection) => (connection, false),
    };
    let breaks = script.breaks;
    if breaks.resets() {
        connection.reset_on_close()?;
    }
    let has_fin = matches!(breaks, Break::FinThenReset(_));
    let more = has_fin && script.breaks_with_greeting() && !is_accepted;
    let exchanged = exchange(&connection, script, more, cancel, shared)
        .and_then(|()| Ok(connection.send(&script.answer, breaks.at_a_time(), cancel)?));
    if exchanged.is_err() && has_fin {
        // It vanishes before its break, and in the same way.
        let _ = connection.shutdown_write();
    }
    exchanged?;
    let resets_at_once = breaks.resets() && breaks.after() == Some(0);
    if resets_at_once && is_accepted && connection.is_tcp {
        drop(shared.wait_while(AT_ACCEPT, |state| !state.is_released));
    }
    finish(connection, script, cancel)
}

/// Sends the greeting and reads exactly the break's count, both at once: the other side may write
/// before it reads. With `more`, the greeting waits for the FIN behind it.
fn exchange(
    connection: &Connection,
    script: &Script,
    more: bool,
    cancel: &Cancel,
    shared: &Shared,
) -> Result<(), End> {
    let at_a_time = script.breaks.at_a_time();
    let mut greeting = &script.greeting[..];
    let mut left = script.breaks.after().unwrap_or(u64::MAX);
    let mut buf = vec![0; at_a_time.min(64 * 1024)];
    while left > 0 || !greeting.is_empty() {
        let interests = [left > 0, !greeting.is_empty()];
        // A greeting that is not read does not delay the break for ever.
        let stall = script.breaks.after().filter(|_| left == 0);
        let stall = stall.map(|_| Instant::now() + PATIENCE);
        let Some([readable, writable]) = connection.wait_for(interests, cancel, stall)? else {
            break;
        };
        if writable {
            match connection.try_write(&greeting[..greeting.len().min(at_a_time)], more) {
                Ok(written) => greeting = &greeting[written..],
                Err(error) if is_again(&error) => {}
                // The other side is gone. Bytes that it sent before can still be read.
                Err(_) => greeting = &[],
            }
        }
        if readable {
            let most = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match connection.try_read(&mut buf[..most]) {
                // A peer that never breaks still sends its greeting.
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

/// Breaks the connection, and returns it if it stays open.
fn finish(
    connection: Connection,
    script: &Script,
    cancel: &Cancel,
) -> Result<Option<Connection>, End> {
    // An answer must arrive, a greeting need not.
    let patience = script.answer.is_empty().then_some(PATIENCE);
    let settle = || match connection.settle(patience, cancel)? {
        Settled::Gone => Err(End::Early),
        settled => Ok(settled),
    };
    match script.breaks {
        // No wait for a greeting that has left: a quick server would answer in that time.
        Break::ResetAfter(_) => {
            if !script.answer.is_empty() || !connection.has_left() {
                settle()?;
            }
        }
        Break::FinAfter(_) => {
            // First: bytes that arrive after the FIN draw a reset.
            settle()?;
            connection.close()?;
        }
        Break::CloseUnread(_) => {
            settle()?;
            if !connection.wait_unread(cancel)? {
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
                    "the other side does not read the greeting, so the FIN behind it cannot arrive",
                )));
            }
        }
        Break::HalfClose(_) => {
            connection.shutdown_write()?;
            return Ok(Some(connection));
        }
        Break::StopReading(_) => return Ok(Some(connection)),
        Break::Trickle(_) => connection.close()?,
    }
    Ok(None)
}

/// Holds a connection that stays open until the peer is dropped.
fn hold(connection: &Connection, breaks: Break, cancel: &Cancel) {
    let mut buf = [0; 4096];
    if matches!(breaks, Break::HalfClose(_)) {
        while matches!(connection.read(&mut buf, cancel), Ok(1..)) {}
    }
    let _ = io::Read::read(&mut &*cancel, &mut buf);
}
