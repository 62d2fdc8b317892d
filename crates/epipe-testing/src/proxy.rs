//! A proxy that cuts connections at a byte.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{SockAddr, Socket};

use super::broken::{Break, WaitError, wait_fin, wait_reset};
use super::connection::{
    self, Cancel, Connection, Directory, LONGEST, PATIENCE, SHORTEST, Settled, Worker, check,
    is_again,
};
use crate::sys::{self, Interest, Ready};

/// Where a [`Proxy`] cuts. Each direction has its own [`Break`], which counts the bytes of that
/// direction. The default passes on everything.
///
/// ```
/// use epipe_testing::{Break, Cut};
///
/// // The request arrives slowly, and the answer ends after 100 bytes:
/// let cut = Cut::to_server(Break::Trickle(1)).and_to_client(Break::FinAfter(100));
/// assert_eq!(cut, Cut::to_client(Break::FinAfter(100)).and_to_server(Break::Trickle(1)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cut {
    /// The break of the direction from the client.
    pub to_server: Option<Break>,
    /// The break of the direction from the server.
    pub to_client: Option<Break>,
}

impl Cut {
    /// Cuts the direction from the client to the server.
    pub fn to_server(breaks: Break) -> Cut {
        Cut::default().and_to_server(breaks)
    }

    /// Cuts the direction from the server to the client.
    pub fn to_client(breaks: Break) -> Cut {
        Cut::default().and_to_client(breaks)
    }

    /// Also cuts the direction from the client to the server.
    #[must_use]
    pub fn and_to_server(mut self, breaks: Break) -> Cut {
        self.to_server = Some(breaks);
        self
    }

    /// Also cuts the direction from the server to the client.
    #[must_use]
    pub fn and_to_client(mut self, breaks: Break) -> Cut {
        self.to_client = Some(breaks);
        self
    }

    fn is_slow(self) -> bool {
        let slow = |breaks: Option<Break>| breaks.is_some_and(Break::is_slow);
        slow(self.to_server) || slow(self.to_client)
    }
}

/// How much one connection through a [`Proxy`] has passed on, and whether it has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Passed {
    /// The number of bytes that the server has received from the client.
    ///
    /// This is what has arrived in the server's kernel; the server may not have read it. While the
    /// connection lives, bytes that are under way are included.
    pub to_server: u64,
    /// The number of bytes that the client has received from the server. Counted in the same way.
    pub to_client: u64,
    /// The proxy has cut the connection.
    pub cut: bool,
    /// The connection has ended, with or without a cut.
    pub ended: bool,
}

impl Passed {
    fn of_nothing() -> Passed {
        Passed { ended: true, ..Passed::default() }
    }
}

/// Stands between a client and a server on loopback, and cuts their connections at a byte. Neither
/// program needs a change.
///
/// ```
/// use std::io::Read;
/// use std::net::{TcpListener, TcpStream};
/// use std::time::Duration;
///
/// use epipe_testing::{Break, Cut, Passed, Proxy};
///
/// let server = TcpListener::bind("127.0.0.1:0")?;
/// let cut = Cut::to_client(Break::FinAfter(4));
/// let proxy = Proxy::listen(server.local_addr()?, cut)?;
///
/// let mut client = TcpStream::connect(proxy.address().unwrap())?;
/// std::io::Write::write_all(&mut server.accept()?.0, b"truncated")?;
/// let mut answer = Vec::new();
/// client.read_to_end(&mut answer)?; // over plain TCP this looks like an orderly end
/// assert_eq!(answer, b"trun");
/// proxy.wait_broken(&client, Duration::from_secs(5))?;
/// let passed: Passed = proxy.wait_ended(0, Duration::from_secs(5))?;
/// assert!(passed.cut && passed.to_client == 4);
/// assert_eq!(proxy.connections(), [passed]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Each connection is cut in the same way and independently of the others. The proxy passes on
/// exactly the cut's count of bytes, and waits until they have arrived (where the system reports
/// that: Linux). Then it breaks *both* sides. A reset follows the receiver's last byte at once;
/// with `FinThenReset` the FIN comes in between:
///
/// | [`Break`] of a direction | its sender sees | its receiver sees |
/// |---|---|---|
/// | `ResetAfter`, `FinThenReset` | the same as from a [`Peer`] | n bytes, then the same |
/// | `FinAfter` | the same as from a [`Peer`] | n bytes, then the end of both directions |
/// | `CloseUnread` | a reset | n bytes, then the end |
/// | `HalfClose` | nothing: its bytes are discarded | n bytes, then the end; it can still send |
/// | `StopReading` | its buffers fill | n bytes, then nothing |
/// | `Trickle` | its buffers fill now and then | all bytes, a few at a time |
///
/// The proxy also passes on an end without a cut: a FIN as a FIN, a reset as a reset.
///
/// Unix sockets:
///
/// ```
/// use std::os::unix::net::{UnixListener, UnixStream};
///
/// use epipe_testing::{Break, Cut, Proxy};
///
/// # let path = std::env::temp_dir().join(format!("epipe-proxied-{}", std::process::id()));
/// # let _ = std::fs::remove_file(&path);
/// let server = UnixListener::bind(&path)?;
/// let proxy = Proxy::listen_unix(&path, Cut::to_server(Break::ResetAfter(0)))?;
/// let client = UnixStream::connect(proxy.path().unwrap())?;
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// [`Peer`]: super::Peer
#[doc(alias("man-in-the-middle", "RST", "ECONNRESET"))]
#[derive(Debug)]
pub struct Proxy {
    address: SockAddr,
    cut: Cut,
    shared: Arc<Shared>,
    // In this order: the threads end before the directory is removed.
    _worker: Worker,
    _directory: Option<Directory>,
}

#[derive(Debug, Default)]
struct Shared {
    connections: Mutex<Vec<Passed>>,
    changed: Condvar,
}

impl Shared {
    fn connections(&self) -> MutexGuard<'_, Vec<Passed>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, number: usize, passed: Passed) {
        self.connections()[number] = passed;
        // No wait needs other changes, and to wake a thread takes time in which a server answers.
        if passed.cut || passed.ended {
            self.changed.notify_all();
        }
    }
}

impl Proxy {
    /// Listens on a free TCP port of loopback, and passes connections on to `server`.
    ///
    /// The port has the server's address family. [`address`](Proxy::address) returns it.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a server that is not on loopback; the errors of `socket`, `bind` and
    /// `listen`.
    pub fn listen(server: impl ToSocketAddrs, cut: Cut) -> io::Result<Proxy> {
        let servers = connection::on_loopback(server)?;
        let address = connection::any_port(servers[0].domain());
        Proxy::begin(&address, servers, None, cut)
    }

    /// Listens on a Unix stream socket in a temporary directory, and passes connections on to the
    /// server at `path`. [`path`](Proxy::path) returns its own path.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a path that is too long; the errors of `mkdir`, `socket`, `bind` and
    /// `listen`.
    #[doc(alias = "AF_UNIX")]
    pub fn listen_unix(path: impl AsRef<Path>, cut: Cut) -> io::Result<Proxy> {
        let servers = vec![SockAddr::unix(path)?];
        let directory = Directory::new()?;
        let address = SockAddr::unix(directory.path().join("socket"))?;
        Proxy::begin(&address, servers, Some(directory), cut)
    }

    fn begin(
        address: &SockAddr,
        servers: Vec<SockAddr>,
        directory: Option<Directory>,
        cut: Cut,
    ) -> io::Result<Proxy> {
        let listener = connection::listen(address, cut.is_slow())?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let its = Arc::clone(&shared);
        let worker = Worker::start("epipe proxy", move |cancel| {
            serve(&listener, &servers, cut, &cancel, &its);
        })?;
        Ok(Proxy { address, cut, shared, _worker: worker, _directory: directory })
    }

    /// Returns the address for the client to connect to. `None` for a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address.as_socket()
    }

    /// Returns the path of the Unix socket for the client to connect to. `None` over TCP.
    pub fn path(&self) -> Option<&Path> {
        self.address.as_pathname()
    }

    /// Returns all connections so far, in the order in which they came.
    pub fn connections(&self) -> Vec<Passed> {
        self.shared.connections().clone()
    }

    /// Waits until the connection of this number has ended on both sides, with or without a cut.
    /// The first is 0. Returns how much was passed on.
    ///
    /// After [`Break::StopReading`], the proxy does not see the FIN of the side that it no longer
    /// reads.
    ///
    /// # Errors
    ///
    /// [`WaitError::TimedOut`] when `timeout` has passed.
    pub fn wait_ended(&self, number: usize, timeout: Duration) -> Result<Passed, WaitError> {
        let is_it = |connections: &[Passed]| connections.get(number).copied();
        self.wait(timeout, is_it, |passed| passed.ended)
    }

    /// Waits until a connection has been cut and the break has arrived at `handle`, the client's or
    /// the server's.
    ///
    /// Like [`Peer::wait_broken`](super::Peer::wait_broken). The table above shows what each side
    /// sees.
    ///
    /// # Errors
    ///
    /// * [`WaitError::TimedOut`] when `timeout` has passed, even if all connections have ended
    ///   without a cut: another may come. [`wait_ended`](Proxy::wait_ended) returns then.
    /// * [`WaitError::NeverBreaks`] if the [`Cut`] has no break.
    #[doc(alias("poll", "POLLHUP"))]
    pub fn wait_broken(&self, handle: &impl AsFd, timeout: Duration) -> Result<(), WaitError> {
        let begun = Instant::now();
        let breaks = [self.cut.to_server, self.cut.to_client];
        if !breaks.iter().flatten().any(|b| b.after().is_some()) {
            return Err(WaitError::NeverBreaks);
        }
        let last = |connections: &[Passed]| {
            let cut = connections.iter().rev().find(|passed| passed.cut);
            cut.or(connections.last()).copied()
        };
        let passed = self.wait(timeout, last, |passed| passed.cut)?;
        let left = timeout.saturating_sub(begun.elapsed());
        let resets = |b: &Break| matches!(b, Break::ResetAfter(_) | Break::FinThenReset(_));
        let stops = |b: &Break| matches!(b, Break::StopReading(_));
        // If both directions break, either break may have come.
        if breaks.iter().flatten().all(resets) {
            wait_reset(handle, left)
        } else if breaks.iter().flatten().all(stops) {
            Ok(())
        } else {
            wait_fin(handle, left)
        }
        .map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => WaitError::TimedOut { received: self.counted(passed) },
            _ => error.into(),
        })
    }

    /// Waits until `what` is true of the connection that `find` returns.
    fn wait(
        &self,
        timeout: Duration,
        find: impl Fn(&[Passed]) -> Option<Passed>,
        what: impl Fn(&Passed) -> bool,
    ) -> Result<Passed, WaitError> {
        let (connections, _) = self
            .shared
            .changed
            .wait_timeout_while(self.shared.connections(), timeout, |connections| {
                !find(connections).as_ref().is_some_and(&what)
            })
            .unwrap_or_else(PoisonError::into_inner);
        let found = find(&connections).unwrap_or_default();
        if what(&found) {
            return Ok(found);
        }
        Err(WaitError::TimedOut { received: self.counted(found) })
    }

    /// The number of bytes received in the direction that breaks.
    fn counted(&self, passed: Passed) -> u64 {
        let breaks = [self.cut.to_server, self.cut.to_client].map(|b| b.is_some());
        match breaks {
            [true, false] => passed.to_server,
            [false, true] => passed.to_client,
            _ => passed.to_server + passed.to_client,
        }
    }
}

/// Accepts until cancelled. Each connection has a thread.
fn serve(listener: &Socket, servers: &[SockAddr], cut: Cut, cancel: &Cancel, shared: &Shared) {
    thread::scope(|threads| {
        loop {
            let client = match connection::accept(listener, cancel) {
                Ok(client) => client,
                Err(_) if is_cancelled(cancel, ACCEPT_AGAIN) => break,
                // For example, no descriptor was free: one may be free later.
                Err(_) => continue,
            };
            let number = {
                let mut connections = shared.connections();
                connections.push(Passed::default());
                connections.len() - 1
            };
            let report = move |passed| shared.report(number, passed);
            let name = format!("epipe proxy {number}");
            let spawned = thread::Builder::new()
                .name(name)
                .spawn_scoped(threads, move || pass_on(client, servers, cut, cancel, report));
            if spawned.is_err() {
                // No thread could start: the connection was dropped, and so closed.
                report(Passed::of_nothing());
            }
        }
    });
}

const ACCEPT_AGAIN: Duration = Duration::from_millis(10);

/// Whether the proxy is cancelled, now or within this time.
fn is_cancelled(cancel: &Cancel, within: Duration) -> bool {
    let watched = [(cancel.as_fd(), Interest::Read)];
    !sys::poll(watched, Some(Instant::now() + within)).is_ok_and(|[cancel]| check(cancel).is_ok())
}

fn pass_on(
    client: Connection,
    servers: &[SockAddr],
    cut: Cut,
    cancel: &Cancel,
    report: impl Fn(Passed),
) {
    let Ok(server) = Connection::connect(servers, cut.is_slow(), false, cancel) else {
        // The server cannot be reached: the client sees a reset.
        let _ = client.reset_on_close();
        return report(Passed::of_nothing());
    };
    let mut between = Between {
        client,
        server,
        from_client: Direction::new(cut.to_server),
        from_server: Direction::new(cut.to_client),
        cut: false,
    };
    // After an error the proxy was dropped, or one connection is gone: both connections are
    // dropped.
    let outcome = between.run(cancel, &report).unwrap_or(Outcome::Gone);
    between.end(outcome, cancel, report);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

const SIDES: [Side; 2] = [Side::Client, Side::Server];

/// Both connections of the proxy, and both directions between them.
struct Between {
    client: Connection,
    server: Connection,
    from_client: Direction,
    from_server: Direction,
    /// One direction is already broken.
    cut: bool,
}

struct Direction {
    breaks: Option<Break>,
    /// Bytes read and not yet written. Until it is empty, no more are read.
    pending: Vec<u8>,
    passed: u64,
    state: DirectionState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum DirectionState {
    Open,
    /// The sender's FIN was passed on.
    Ended,
    /// The receiver has had its FIN. Later bytes are discarded.
    Discards,
    /// The proxy no longer reads it.
    Stopped,
    /// It breaks at the next byte, which is not read.
    AwaitsUnread,
    /// It breaks when all bytes passed on have arrived. With a reset, it breaks when all have left.
    ///
    /// Meanwhile the other direction goes on: the receiver may write before it reads.
    Due,
    /// The receiver is gone. The bytes that it sent are passed on, then the sender sees a reset.
    Refused,
}

enum Outcome {
    Ended,
    /// One side is gone, so the other must go too.
    Gone,
    /// The direction from this side was cut.
    Cut(Break, Side),
}

impl Direction {
    fn new(breaks: Option<Break>) -> Direction {
        Direction { breaks, pending: Vec::new(), passed: 0, state: DirectionState::Open }
    }

    fn room(&self) -> usize {
        const CHUNK: usize = 64 * 1024;
        let Some(breaks) = self.breaks else {
            return CHUNK;
        };
        let left = breaks.after().map_or(u64::MAX, |n| n - self.passed);
        CHUNK.min(breaks.at_a_time()).min(usize::try_from(left).unwrap_or(CHUNK))
    }

    /// Whether a FIN and a reset follow the pending bytes.
    fn is_last(&self) -> bool {
        let all = self.passed + self.pending.len() as u64;
        matches!(self.breaks, Some(Break::FinThenReset(n)) if n == all)
    }

    fn sender_interest(&self, sender: &Connection) -> Interest {
        match self.state {
            DirectionState::Open if self.pending.is_empty() => Interest::Read,
            DirectionState::Discards | DirectionState::AwaitsUnread => Interest::Read,
            DirectionState::Open | DirectionState::Due => Interest::Nothing,
            // After two FINs, poll would report a hang-up all the time.
            DirectionState::Ended if sender.fin_sent() => Interest::Nothing,
            // No more reads, but the sender may vanish.
            DirectionState::Ended | DirectionState::Stopped | DirectionState::Refused => {
                Interest::End
            }
        }
    }

    fn receiver_interest(&self) -> Interest {
        if self.pending.is_empty() { Interest::Nothing } else { Interest::Write }
    }

    fn is_over(&self) -> bool {
        self.state == DirectionState::Ended
    }

    /// No more bytes will be passed on.
    fn is_done(&self) -> bool {
        use DirectionState::{AwaitsUnread, Due, Open};
        self.pending.is_empty() && !matches!(self.state, Open | AwaitsUnread | Due)
    }
}

impl Between {
    fn direction(&mut self, from: Side) -> (&Connection, &Connection, &mut Direction) {
        match from {
            Side::Client => (&self.client, &self.server, &mut self.from_client),
            Side::Server => (&self.server, &self.client, &mut self.from_server),
        }
    }

    fn run(&mut self, cancel: &Cancel, report: impl Fn(Passed)) -> io::Result<Outcome> {
        let mut pause = SHORTEST;
        loop {
            for side in SIDES {
                if let Some(outcome) = self.break_if_due(side)? {
                    return Ok(outcome);
                }
            }
            let directions = [&self.from_client, &self.from_server];
            if directions.iter().all(|direction| direction.is_over()) {
                return Ok(Outcome::Ended);
            }
            if self.is_refused() && directions.iter().all(|direction| direction.is_done()) {
                return Ok(Outcome::Gone);
            }
            report(Passed {
                to_server: self.from_client.passed,
                to_client: self.from_server.passed,
                cut: self.cut,
                ended: false,
            });
            let ready = self.watch(pause, cancel)?;
            pause = if self.is_due() { (pause * 2).min(LONGEST) } else { SHORTEST };
            for (side, ready) in SIDES.into_iter().zip(ready) {
                if let Some(outcome) = self.step(side, ready)? {
                    return Ok(outcome);
                }
            }
        }
    }

    fn is_refused(&self) -> bool {
        self.has(DirectionState::Refused)
    }

    fn is_due(&self) -> bool {
        self.has(DirectionState::Due)
    }

    fn has(&self, state: DirectionState) -> bool {
        self.from_client.state == state || self.from_server.state == state
    }

    /// Makes a break that leaves the other direction open. `end` makes all others.
    fn break_if_due(&mut self, from: Side) -> io::Result<Option<Outcome>> {
        let (_, receiver, direction) = self.direction(from);
        let Some(breaks) = direction.breaks else {
            return Ok(None);
        };
        if direction.state == DirectionState::Open && breaks.after() == Some(direction.passed) {
            direction.state = match breaks {
                Break::HalfClose(_) => {
                    receiver.shutdown_write()?;
                    DirectionState::Discards
                }
                Break::StopReading(_) => DirectionState::Stopped,
                Break::CloseUnread(_) => DirectionState::AwaitsUnread,
                _ => DirectionState::Due,
            };
            if breaks.resets() {
                receiver.reset_on_close()?;
                if let Break::FinThenReset(_) = breaks {
                    receiver.shutdown_write()?;
                }
                // No wait for bytes that have left: a quick receiver would answer in that time.
                if receiver.has_left() {
                    return Ok(Some(Outcome::Cut(breaks, from)));
                }
            }
        }
        let has_arrived = direction.state == DirectionState::Due && receiver.is_settled();
        let is_broken =
            matches!(direction.state, DirectionState::Discards | DirectionState::Stopped);
        self.cut |= is_broken;
        Ok(has_arrived.then_some(Outcome::Cut(breaks, from)))
    }

    /// Waits until a socket is ready, or until the next check whether a cut's bytes have arrived.
    /// Returns for each direction the state of its sender and of its receiver.
    fn watch(&self, pause: Duration, cancel: &Cancel) -> io::Result<[[Ready; 2]; 2]> {
        let (client, server) = (self.client.as_fd(), self.server.as_fd());
        let watched = [
            (client, self.from_client.sender_interest(&self.client)),
            (server, self.from_client.receiver_interest()),
            (server, self.from_server.sender_interest(&self.server)),
            (client, self.from_server.receiver_interest()),
            (cancel.as_fd(), Interest::Read),
        ];
        let again = self.is_due().then(|| Instant::now() + pause);
        let [a, b, c, d, cancelled] = sys::poll(watched, again)?;
        check(cancelled)?;
        Ok([[a, b], [c, d]])
    }

    /// Makes one read and one write of one direction, if they are possible.
    fn step(&mut self, from: Side, ready: [Ready; 2]) -> io::Result<Option<Outcome>> {
        let is_refused = self.is_refused();
        let (sender, receiver, direction) = self.direction(from);
        let [from_sender, to_receiver] = ready;
        if from_sender.readable() || from_sender.gone() {
            match direction.state {
                DirectionState::Ended | DirectionState::Stopped | DirectionState::Refused => {
                    return Ok(Some(Outcome::Gone));
                }
                DirectionState::Due => {}
                DirectionState::AwaitsUnread => {
                    if sender.has_unread()? {
                        direction.state = DirectionState::Due;
                    } else {
                        // The sender ended without another byte: no break.
                        direction.state = DirectionState::Open;
                        direction.breaks = None;
                    }
                }
                DirectionState::Discards => {
                    let mut discarded = [0; 4096];
                    match sender.try_read(&mut discarded) {
                        Ok(0) => direction.state = DirectionState::Ended,
                        Err(error) if !is_again(&error) => return Ok(Some(Outcome::Gone)),
                        _ => {}
                    }
                }
                DirectionState::Open => {
                    direction.pending.resize(direction.room(), 0);
                    let read = sender.try_read(&mut direction.pending);
                    direction.pending.truncate(*read.as_ref().unwrap_or(&0));
                    match read {
                        Ok(0) => {
                            // A receiver that is about to see a reset sees no FIN before.
                            if !is_refused {
                                receiver.shutdown_write()?;
                            }
                            direction.state = DirectionState::Ended;
                        }
                        Err(error) if !is_again(&error) => return Ok(Some(Outcome::Gone)),
                        _ => {}
                    }
                }
            }
        }
        if !direction.pending.is_empty() || to_receiver.gone() {
            match receiver.try_write(&direction.pending, direction.is_last()) {
                Ok(written) => {
                    direction.pending.drain(..written);
                    direction.passed += written as u64;
                }
                Err(error) if is_again(&error) => {}
                Err(_) => {
                    direction.pending.clear();
                    direction.state = DirectionState::Refused;
                }
            }
        }
        Ok(None)
    }

    /// Ends both connections, after the bytes passed on have arrived.
    fn end(self, mut outcome: Outcome, cancel: &Cancel, report: impl Fn(Passed)) {
        // A cut's bytes must arrive, and all bytes of an orderly end. Others need not.
        let (to_client, to_server) = match outcome {
            Outcome::Ended => (None, None),
            Outcome::Cut(_, Side::Client) => (Some(PATIENCE), None),
            Outcome::Cut(_, Side::Server) => (None, Some(PATIENCE)),
            Outcome::Gone => (Some(PATIENCE), Some(PATIENCE)),
        };
        let resets = matches!(outcome, Outcome::Cut(breaks, _) if breaks.resets());
        let has_left = |side: &Connection| resets && side.has_left();
        let settle = |side: &Connection, patience| {
            if has_left(side) { Ok(Settled::Arrived) } else { side.settle(patience, cancel) }
        };
        // An error here means that the proxy was dropped.
        let client = settle(&self.client, to_client);
        let server = settle(&self.server, to_server);
        // If the receiver is gone before that, the connection was not cut.
        let receiver = match outcome {
            Outcome::Cut(_, Side::Client) => server,
            Outcome::Cut(_, Side::Server) => client,
            Outcome::Ended | Outcome::Gone => Ok(Settled::Arrived),
        };
        if !matches!(receiver, Ok(Settled::Arrived)) {
            outcome = Outcome::Gone;
        }
        let arrived = |direction: &Direction, receiver: &Connection| {
            let under_way = if has_left(receiver) { 0 } else { receiver.under_way() };
            direction.passed.saturating_sub(under_way as u64)
        };
        let mut passed = Passed {
            to_server: arrived(&self.from_client, &self.server),
            to_client: arrived(&self.from_server, &self.client),
            cut: self.cut,
            ended: false,
        };
        // First: when a side sees the end, the count is already reported.
        report(passed);
        // Errors here are of connections that are already gone.
        match outcome {
            Outcome::Ended => drop((self.client, self.server)),
            Outcome::Gone => {
                let _ = self.client.reset_on_close();
                let _ = self.server.reset_on_close();
            }
            Outcome::Cut(breaks, from) => {
                passed.cut = true;
                let _ = match from {
                    Side::Client => cut(breaks, self.client, self.server),
                    Side::Server => cut(breaks, self.server, self.client),
                };
            }
        }
        passed.ended = true;
        report(passed);
    }
}

/// Breaks both sides. `sender` is the one whose bytes were counted.
fn cut(breaks: Break, sender: Connection, receiver: Connection) -> io::Result<()> {
    match breaks {
        Break::FinAfter(_) => {
            receiver.close()?;
            sender.close()
        }
        // The sender has an unread byte: its close resets.
        Break::CloseUnread(_) => receiver.close(),
        // The receiver has had its FIN, if there is one.
        _ => {
            drop(receiver);
            sender.reset_on_close()?;
            if let Break::FinThenReset(_) = breaks {
                sender.shutdown_write()?;
            }
            Ok(())
        }
    }
}
