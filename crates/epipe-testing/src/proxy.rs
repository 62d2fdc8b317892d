//! A proxy that cuts connections at the byte it was told.

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
    self, Connection, Folder, LONGEST, Line, PATIENCE, SHORTEST, Settled, Worker, check, is_again,
};
use crate::sys::{self, Ready, Wish};

/// Where a [`Proxy`] cuts: each direction has its own [`Break`], which counts the bytes of that
/// direction. The default passes everything on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cut {
    /// What happens to what the client sends.
    pub to_server: Option<Break>,
    /// What happens to what the server sends.
    pub to_client: Option<Break>,
}

impl Cut {
    /// Cuts what the client sends.
    pub fn to_server(breaks: Break) -> Cut {
        Cut::default().and_to_server(breaks)
    }

    /// Cuts what the server sends.
    pub fn to_client(breaks: Break) -> Cut {
        Cut::default().and_to_client(breaks)
    }

    /// Cuts what the client sends as well.
    #[must_use]
    pub fn and_to_server(mut self, breaks: Break) -> Cut {
        self.to_server = Some(breaks);
        self
    }

    /// Cuts what the server sends as well.
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

/// What one connection through a [`Proxy`] has passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Passed {
    /// How many bytes of the client's the server has received. (In its kernel: whether it has read
    /// them nobody else knows.) While the connection lives, what is under way is counted.
    pub to_server: u64,
    /// How many bytes of the server's the client has received.
    pub to_client: u64,
    /// The proxy has cut it.
    pub cut: bool,
    /// It has ended, by a cut or by itself.
    pub ended: bool,
}

impl Passed {
    fn of_nothing() -> Passed {
        Passed { ended: true, ..Passed::default() }
    }
}

/// Stands between any client and any server on loopback, and cuts their connections at the byte it
/// was told, without their knowing.
///
/// Each connection is treated alike, and on its own. Exactly so many bytes as the cut counts are
/// passed on, and have arrived (where the system tells: Linux), before it breaks *both* sides. A
/// reset follows the receiver's last byte at once; with `FinThenReset` the FIN comes in between:
///
/// | [`Break`] of a direction | its sender sees | its receiver sees |
/// |---|---|---|
/// | `ResetAfter`, `FinThenReset` | the same as from a [`Peer`](super::Peer) | n bytes, and the same |
/// | `FinAfter` | the same | n bytes, then the end: also of what the other direction had to say |
/// | `CloseUnread` | a reset | n bytes, then the end |
/// | `HalfClose` | nothing: what it sends is thrown away | n bytes, then the end; it can still send |
/// | `StopReading` | its buffers fill | n bytes, then nothing |
/// | `Trickle` | its buffers fill now and then | all, a few at a time |
///
/// A connection that ends by itself is passed on as well: a FIN as a FIN, a reset as a reset.
///
/// ```
/// use std::io::Read;
/// use std::net::{TcpListener, TcpStream};
/// use std::time::Duration;
///
/// use epipe_testing::{Break, Cut, Proxy};
///
/// let server = TcpListener::bind("127.0.0.1:0")?;
/// let cut = Cut::to_client(Break::FinAfter(4));
/// let proxy = Proxy::listen(server.local_addr()?, cut)?;
///
/// let mut client = TcpStream::connect(proxy.address().unwrap())?;
/// std::io::Write::write_all(&mut server.accept()?.0, b"truncated")?;
/// let mut answer = Vec::new();
/// client.read_to_end(&mut answer)?; // plain TCP cannot tell this end from an orderly one
/// assert_eq!(answer, b"trun");
/// assert_eq!(proxy.wait_ended(0, Duration::from_secs(5))?.to_client, 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Proxy {
    address: SockAddr,
    cut: Cut,
    shared: Arc<Shared>,
    // In this order: the threads end, the folder goes.
    _worker: Worker,
    _folder: Option<Folder>,
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

    fn tell(&self, number: usize, passed: Passed) {
        self.connections()[number] = passed;
        // Nothing else is waited for, and to wake a thread takes time in which a server answers.
        if passed.cut || passed.ended {
            self.changed.notify_all();
        }
    }
}

impl Proxy {
    /// Listens on a free TCP port of loopback, of the server's own family, and passes on to
    /// `server`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a server that is not on loopback; those of `socket`, `bind` and `listen`.
    pub fn listen(server: impl ToSocketAddrs, cut: Cut) -> io::Result<Proxy> {
        let servers = connection::on_loopback(server)?;
        let address = connection::any_port(servers[0].domain());
        Proxy::begin(&address, servers, None, cut)
    }

    /// Listens on a Unix stream socket in a folder of its own, and passes on to the server at
    /// `path`.
    ///
    /// # Errors
    ///
    /// Those of `mkdir`, `socket`, `bind` and `listen`; a path that is too long.
    pub fn listen_unix(path: impl AsRef<Path>, cut: Cut) -> io::Result<Proxy> {
        let servers = vec![SockAddr::unix(path)?];
        let folder = Folder::new()?;
        let address = SockAddr::unix(folder.path().join("socket"))?;
        Proxy::begin(&address, servers, Some(folder), cut)
    }

    fn begin(
        address: &SockAddr,
        servers: Vec<SockAddr>,
        folder: Option<Folder>,
        cut: Cut,
    ) -> io::Result<Proxy> {
        let listener = connection::listen(address, cut.is_slow())?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let its = Arc::clone(&shared);
        let worker = Worker::start("epipe proxy", move |line| {
            serve(&listener, &servers, cut, &line, &its);
        })?;
        Ok(Proxy { address, cut, shared, _worker: worker, _folder: folder })
    }

    /// Where the client connects to. `None` on a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address.as_socket()
    }

    /// The Unix socket that the client connects to.
    pub fn path(&self) -> Option<&Path> {
        self.address.as_pathname()
    }

    /// All connections so far, in the order in which they came.
    pub fn connections(&self) -> Vec<Passed> {
        self.shared.connections().clone()
    }

    /// Waits until the connection of this number, from 0, has ended on both sides, by a cut or by
    /// itself; returns what was passed on. (After [`Break::StopReading`] the FIN of the side that
    /// is read no more is not seen, as nothing behind the byte is.)
    ///
    /// # Errors
    ///
    /// [`WaitError::TimedOut`] when `timeout` is over.
    pub fn wait_ended(&self, number: usize, timeout: Duration) -> Result<Passed, WaitError> {
        let is_it = |connections: &[Passed]| connections.get(number).copied();
        self.wait(timeout, is_it, |passed| passed.ended)
    }

    /// Waits until a connection has been cut and the break has arrived in the local kernel at
    /// `handle`, the client's or the server's. By poll(2): it takes no byte and no error from the
    /// handle.
    ///
    /// Which side sees what stands in the table above; [`Break::StopReading`] has nothing that
    /// arrives.
    ///
    /// # Errors
    ///
    /// [`WaitError::TimedOut`] when `timeout` is over, also if all connections have ended uncut
    /// (for another may come; [`wait_ended`](Proxy::wait_ended) tells of those);
    /// [`WaitError::NeverBreaks`] if nothing is to be cut.
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
        // Of two, either may have come.
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

    /// Waits until what is true of a connection.
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

    /// What has come in the direction that breaks.
    fn counted(&self, passed: Passed) -> u64 {
        let breaks = [self.cut.to_server, self.cut.to_client].map(|b| b.is_some());
        match breaks {
            [true, false] => passed.to_server,
            [false, true] => passed.to_client,
            _ => passed.to_server + passed.to_client,
        }
    }
}

/// Accepts until the line hangs up; each connection has a thread.
fn serve(listener: &Socket, servers: &[SockAddr], cut: Cut, line: &Line, shared: &Shared) {
    thread::scope(|threads| {
        loop {
            let client = match connection::accept(listener, line) {
                Ok(client) => client,
                Err(_) if is_called_off(line, ACCEPT_AGAIN) => break,
                // For want of descriptors, say: later there may be some.
                Err(_) => continue,
            };
            let number = {
                let mut connections = shared.connections();
                connections.push(Passed::default());
                connections.len() - 1
            };
            let tell = move |passed| shared.tell(number, passed);
            let name = format!("epipe proxy {number}");
            let spawned = thread::Builder::new()
                .name(name)
                .spawn_scoped(threads, move || pass_on(client, servers, cut, line, tell));
            if spawned.is_err() {
                // No thread for it: dropped, and so closed.
                tell(Passed::of_nothing());
            }
        }
    });
}

const ACCEPT_AGAIN: Duration = Duration::from_millis(10);

/// Whether the line hangs up, now or within some time.
fn is_called_off(line: &Line, within: Duration) -> bool {
    let watched = [(line.as_fd(), Wish::Read)];
    !sys::poll(watched, Some(Instant::now() + within)).is_ok_and(|[line]| check(line).is_ok())
}

/// One connection's life.
fn pass_on(client: Connection, servers: &[SockAddr], cut: Cut, line: &Line, tell: impl Fn(Passed)) {
    let Ok(server) = Connection::connect(servers, cut.is_slow(), false, line) else {
        // The server cannot be reached: the client sees a reset.
        let _ = client.reset_on_close();
        return tell(Passed::of_nothing());
    };
    let mut between = Between {
        client,
        server,
        from_client: Way::new(cut.to_server),
        from_server: Way::new(cut.to_client),
        cut: false,
    };
    // An error is the line's, whose owner is gone, or one of a connection that is: both are
    // dropped.
    let outcome = between.run(line, &tell).unwrap_or(Outcome::Gone);
    between.end(outcome, line, tell);
}

/// The two sides of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

const SIDES: [Side; 2] = [Side::Client, Side::Server];

/// Both connections, and both directions between them.
struct Between {
    client: Connection,
    server: Connection,
    from_client: Way,
    from_server: Way,
    /// One direction is broken already.
    cut: bool,
}

/// One direction.
struct Way {
    breaks: Option<Break>,
    /// Read, and not yet written. While there is some, no more is read.
    pending: Vec<u8>,
    /// Written.
    passed: u64,
    state: WayState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum WayState {
    Open,
    /// The sender's FIN was passed on.
    Ended,
    /// The receiver has had its FIN; what comes is thrown away.
    ThrowsAway,
    /// It is read no more.
    Stopped,
    /// It breaks when there is a byte more, which is not read.
    AwaitsUnread,
    /// It breaks when all that was passed on has arrived. Meanwhile the other direction goes on:
    /// the receiver may not read before it has written. With a reset it breaks at once if all has
    /// left.
    Due,
    /// The receiver is gone. What it had said before is passed on; then the sender is told.
    Refused,
}

/// How it ended.
enum Outcome {
    /// Both sides have said FIN.
    Ended,
    /// One side is gone: so is the other.
    Gone,
    /// The direction from this side was cut.
    Cut(Break, Side),
}

impl Way {
    fn new(breaks: Option<Break>) -> Way {
        Way { breaks, pending: Vec::new(), passed: 0, state: WayState::Open }
    }

    /// How many bytes may be read now.
    fn room(&self) -> usize {
        const CHUNK: usize = 64 * 1024;
        let Some(breaks) = self.breaks else {
            return CHUNK;
        };
        let left = breaks.after().map_or(u64::MAX, |n| n - self.passed);
        CHUNK.min(breaks.at_a_time()).min(usize::try_from(left).unwrap_or(CHUNK))
    }

    /// Whether a FIN and a reset follow what is pending.
    fn is_last(&self) -> bool {
        let all = self.passed + self.pending.len() as u64;
        matches!(self.breaks, Some(Break::FinThenReset(n)) if n == all)
    }

    fn sender_wish(&self, sender: &Connection) -> Wish {
        match self.state {
            WayState::Open if self.pending.is_empty() => Wish::Read,
            WayState::ThrowsAway | WayState::AwaitsUnread => Wish::Read,
            WayState::Open | WayState::Due => Wish::Nothing,
            // Both have said FIN: poll would tell of it all the time.
            WayState::Ended if sender.fin_sent() => Wish::Nothing,
            // It is read no more, but may vanish.
            WayState::Ended | WayState::Stopped | WayState::Refused => Wish::End,
        }
    }

    fn receiver_wish(&self) -> Wish {
        if self.pending.is_empty() { Wish::Nothing } else { Wish::Write }
    }

    fn is_over(&self) -> bool {
        self.state == WayState::Ended
    }

    /// Nothing of it will be passed on any more.
    fn is_done(&self) -> bool {
        use WayState::{AwaitsUnread, Due, Open};
        self.pending.is_empty() && !matches!(self.state, Open | AwaitsUnread | Due)
    }
}

impl Between {
    /// The direction from this side: its sender, its receiver, its state.
    fn way(&mut self, from: Side) -> (&Connection, &Connection, &mut Way) {
        match from {
            Side::Client => (&self.client, &self.server, &mut self.from_client),
            Side::Server => (&self.server, &self.client, &mut self.from_server),
        }
    }

    /// Passes on until it ends.
    fn run(&mut self, line: &Line, tell: impl Fn(Passed)) -> io::Result<Outcome> {
        let mut pause = SHORTEST;
        loop {
            for side in SIDES {
                if let Some(outcome) = self.break_if_due(side)? {
                    return Ok(outcome);
                }
            }
            let ways = [&self.from_client, &self.from_server];
            if ways.iter().all(|way| way.is_over()) {
                return Ok(Outcome::Ended);
            }
            if self.is_refused() && ways.iter().all(|way| way.is_done()) {
                return Ok(Outcome::Gone);
            }
            tell(Passed {
                to_server: self.from_client.passed,
                to_client: self.from_server.passed,
                cut: self.cut,
                ended: false,
            });
            let ready = self.watch(pause, line)?;
            pause = if self.is_due() { (pause * 2).min(LONGEST) } else { SHORTEST };
            for (side, ready) in SIDES.into_iter().zip(ready) {
                if let Some(outcome) = self.step(side, ready)? {
                    return Ok(outcome);
                }
            }
        }
    }

    /// One side is gone.
    fn is_refused(&self) -> bool {
        self.has(WayState::Refused)
    }

    /// A cut waits until its bytes have arrived.
    fn is_due(&self) -> bool {
        self.has(WayState::Due)
    }

    /// One direction is in this state.
    fn has(&self, state: WayState) -> bool {
        self.from_client.state == state || self.from_server.state == state
    }

    /// Breaks of one direction alone are made here, the others by `end`.
    fn break_if_due(&mut self, from: Side) -> io::Result<Option<Outcome>> {
        let (_, receiver, way) = self.way(from);
        let Some(breaks) = way.breaks else {
            return Ok(None);
        };
        if way.state == WayState::Open && breaks.after() == Some(way.passed) {
            way.state = match breaks {
                Break::HalfClose(_) => {
                    receiver.shutdown_write()?;
                    WayState::ThrowsAway
                }
                Break::StopReading(_) => WayState::Stopped,
                Break::CloseUnread(_) => WayState::AwaitsUnread,
                _ => WayState::Due,
            };
            if breaks.resets() {
                receiver.reset_on_close()?;
                if let Break::FinThenReset(_) = breaks {
                    receiver.shutdown_write()?;
                }
                // What has left is not waited for: a quick receiver would have answered.
                if receiver.has_left() {
                    return Ok(Some(Outcome::Cut(breaks, from)));
                }
            }
        }
        let has_arrived = way.state == WayState::Due && receiver.is_settled();
        let is_broken = matches!(way.state, WayState::ThrowsAway | WayState::Stopped);
        self.cut |= is_broken;
        Ok(has_arrived.then_some(Outcome::Cut(breaks, from)))
    }

    /// Waits until something can be done, or it is time to look whether a cut's bytes have arrived;
    /// tells of each direction its sender and its receiver.
    fn watch(&self, pause: Duration, line: &Line) -> io::Result<[[Ready; 2]; 2]> {
        let (client, server) = (self.client.as_fd(), self.server.as_fd());
        let watched = [
            (client, self.from_client.sender_wish(&self.client)),
            (server, self.from_client.receiver_wish()),
            (server, self.from_server.sender_wish(&self.server)),
            (client, self.from_server.receiver_wish()),
            (line.as_fd(), Wish::Read),
        ];
        let again = self.is_due().then(|| Instant::now() + pause);
        let [a, b, c, d, called_off] = sys::poll(watched, again)?;
        check(called_off)?;
        Ok([[a, b], [c, d]])
    }

    /// One read and one write of one direction, as far as they can be made.
    fn step(&mut self, from: Side, ready: [Ready; 2]) -> io::Result<Option<Outcome>> {
        let is_refused = self.is_refused();
        let (sender, receiver, way) = self.way(from);
        let [from_sender, to_receiver] = ready;
        if from_sender.readable() || from_sender.gone() {
            match way.state {
                WayState::Ended | WayState::Stopped | WayState::Refused => {
                    return Ok(Some(Outcome::Gone));
                }
                // It is not watched.
                WayState::Due => {}
                WayState::AwaitsUnread => {
                    if sender.has_unread()? {
                        way.state = WayState::Due;
                    } else {
                        // It has ended without one more, and breaks no more.
                        way.state = WayState::Open;
                        way.breaks = None;
                    }
                }
                WayState::ThrowsAway => {
                    let mut thrown_away = [0; 4096];
                    match sender.try_read(&mut thrown_away) {
                        Ok(0) => way.state = WayState::Ended,
                        Err(error) if !is_again(&error) => return Ok(Some(Outcome::Gone)),
                        _ => {}
                    }
                }
                WayState::Open => {
                    way.pending.resize(way.room(), 0);
                    let read = sender.try_read(&mut way.pending);
                    way.pending.truncate(*read.as_ref().unwrap_or(&0));
                    match read {
                        Ok(0) => {
                            // Who is about to see a reset sees no FIN before.
                            if !is_refused {
                                receiver.shutdown_write()?;
                            }
                            way.state = WayState::Ended;
                        }
                        Err(error) if !is_again(&error) => return Ok(Some(Outcome::Gone)),
                        _ => {}
                    }
                }
            }
        }
        if !way.pending.is_empty() || to_receiver.gone() {
            match receiver.try_write(&way.pending, way.is_last()) {
                Ok(written) => {
                    way.pending.drain(..written);
                    way.passed += written as u64;
                }
                Err(error) if is_again(&error) => {}
                Err(_) => {
                    way.pending.clear();
                    way.state = WayState::Refused;
                }
            }
        }
        Ok(None)
    }

    /// Ends both connections. What was passed on has arrived before.
    fn end(self, mut outcome: Outcome, line: &Line, tell: impl Fn(Passed)) {
        // A cut's bytes have to arrive, and what ends by itself. What else is on its way may.
        let (to_client, to_server) = match outcome {
            Outcome::Ended => (None, None),
            Outcome::Cut(_, Side::Client) => (Some(PATIENCE), None),
            Outcome::Cut(_, Side::Server) => (None, Some(PATIENCE)),
            Outcome::Gone => (Some(PATIENCE), Some(PATIENCE)),
        };
        let resets = matches!(outcome, Outcome::Cut(breaks, _) if breaks.resets());
        let has_left = |side: &Connection| resets && side.has_left();
        let settle = |side: &Connection, patience| {
            if has_left(side) { Ok(Settled::Arrived) } else { side.settle(patience, line) }
        };
        // Errors here are the line's.
        let client = settle(&self.client, to_client);
        let server = settle(&self.server, to_server);
        // Whose receiver is gone before is not cut.
        let receiver = match outcome {
            Outcome::Cut(_, Side::Client) => server,
            Outcome::Cut(_, Side::Server) => client,
            Outcome::Ended | Outcome::Gone => Ok(Settled::Arrived),
        };
        if !matches!(receiver, Ok(Settled::Arrived)) {
            outcome = Outcome::Gone;
        }
        let arrived = |way: &Way, receiver: &Connection| {
            let under_way = if has_left(receiver) { 0 } else { receiver.under_way() };
            way.passed.saturating_sub(under_way as u64)
        };
        let mut passed = Passed {
            to_server: arrived(&self.from_client, &self.server),
            to_client: arrived(&self.from_server, &self.client),
            cut: self.cut,
            ended: false,
        };
        // Who sees the end has been counted.
        tell(passed);
        // Errors here are those of connections that are gone already.
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
        tell(passed);
    }
}

/// Breaks both sides; `sender` is the one whose bytes were counted.
fn cut(breaks: Break, sender: Connection, receiver: Connection) -> io::Result<()> {
    match breaks {
        Break::FinAfter(_) => {
            receiver.close()?;
            sender.close()
        }
        // Of the sender something is unread.
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
