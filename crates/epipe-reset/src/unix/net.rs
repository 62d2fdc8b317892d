//! The connections of this program: one that is polite, and those that vanish.
#![allow(unsafe_code, reason = "calls poll")]

use std::io::{self, ErrorKind, Read};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use socket2::{SockAddr, Socket, Type};

use super::attack::{Asks, Attack, Ends, When};
use super::gate::Gate;

/// What the clients say.
pub struct Requests {
    /// One each; never empty.
    pub list: Vec<Vec<u8>>,
}

impl Requests {
    pub fn first(&self) -> &[u8] {
        &self.list[0]
    }

    fn of(&self, asks: Asks) -> Vec<u8> {
        let first = self.first();
        let next = self.list.get(1).map_or(first, |next| next);
        match asks {
            Asks::Once => first.to_vec(),
            Asks::Pipelined if self.list.len() == 1 => [first, first].concat(),
            Asks::Pipelined => self.list.concat(),
            Asks::OneByteMore => [first, &next[..next.len().min(1)]].concat(),
        }
    }
}

/// Why a connection was not made.
#[derive(Debug)]
pub enum NotOpen {
    /// Nothing listens.
    Refused,
    /// Nothing accepts for now: the queue of the listener is full.
    Busy,
    Failed(io::Error),
}

impl From<io::Error> for NotOpen {
    fn from(error: io::Error) -> NotOpen {
        match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => NotOpen::Refused,
            ErrorKind::TimedOut | ErrorKind::WouldBlock => NotOpen::Busy,
            _ => NotOpen::Failed(error),
        }
    }
}

/// What a polite client was answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Answer {
    Whole {
        bytes: usize,
        after: Duration,
    },
    /// It was connected, and heard nothing.
    Silent,
    /// The connection ended before a byte of the answer.
    Dropped,
}

/// A connection that is held open; a FIN ends it.
pub struct Held {
    socket: Socket,
    since: Instant,
    bytes: usize,
    last: Duration,
    over: bool,
    first_byte: Option<u8>,
}

impl Held {
    /// Connects, and says nothing.
    pub fn open(address: &SockAddr, patience: Duration) -> Result<Held, NotOpen> {
        let socket = Socket::new(address.domain(), Type::STREAM, None)?;
        socket.connect_timeout(address, patience)?;
        socket.set_nonblocking(true)?;
        let (since, last) = (Instant::now(), Duration::ZERO);
        Ok(Held { socket, since, bytes: 0, last, over: false, first_byte: None })
    }

    /// Sends; a connection that ends meanwhile is over, which `answer` reports.
    pub fn say(&mut self, mut request: &[u8], patience: Duration) {
        self.since = Instant::now();
        while !request.is_empty() {
            match self.socket.send(request) {
                Ok(sent) => request = &request[sent..],
                Err(error) if is_again(&error) => {
                    self.listen();
                    if self.over || self.since.elapsed() > patience {
                        return;
                    }
                    thread::sleep(Duration::from_millis(1));
                }
                Err(_) => {
                    self.listen();
                    self.over = true;
                    return;
                }
            }
        }
    }

    /// Ends the request, for a server that waits for that.
    pub fn end_request(&self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// How long ago it has asked.
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Of the answer, once it is asked for.
    pub fn first_byte(&self) -> Option<u8> {
        self.first_byte
    }

    /// Reads what is there.
    fn listen(&mut self) {
        let mut buffer = vec![0; 65536];
        while !self.over {
            match self.socket.read(&mut buffer) {
                Ok(0) => self.over = true,
                Ok(count) => {
                    self.first_byte.get_or_insert(buffer[0]);
                    self.bytes += count;
                    self.last = self.since.elapsed();
                }
                Err(error) if is_again(&error) => return,
                Err(_) => self.over = true,
            }
        }
    }

    /// Whether the server has ended it.
    pub fn is_over(&mut self) -> bool {
        self.listen();
        self.over
    }

    /// Waits until `enough` bytes have come, until the end, until nothing has come for `quiet`
    /// since the last byte, or until the patience is over.
    pub fn answer(&mut self, enough: usize, quiet: Duration, patience: Duration) -> Answer {
        loop {
            self.listen();
            let elapsed = self.since.elapsed();
            let is_quiet = self.bytes > 0 && elapsed - self.last > quiet;
            if self.over || self.bytes >= enough || is_quiet || elapsed > patience {
                break;
            }
            wait_for(&self.socket, libc::POLLIN, Duration::from_millis(5));
        }
        match (self.bytes, self.over) {
            (0, true) => Answer::Dropped,
            (0, false) => Answer::Silent,
            (bytes, _) => Answer::Whole { bytes, after: self.last },
        }
    }
}

impl Drop for Held {
    /// A close with unread bytes resets, and that is not polite.
    fn drop(&mut self) {
        self.end_request();
        self.listen();
    }
}

/// What became of an attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Vanished,
    /// The server had answered all before.
    TooLate,
    /// No byte of an answer came.
    NoAnswer,
    /// It was not connected: nothing listens.
    Refused,
    /// It was not connected, or the server ended it before.
    NotMade,
}

/// A connection of a volley that has not vanished yet.
struct Waiting {
    index: usize,
    socket: Socket,
    request: Vec<u8>,
    /// When it vanishes; of one that waits for the first byte not known yet.
    due: Option<Instant>,
    asked: Instant,
    /// When the server last took a byte.
    taken: Instant,
    /// The server has reset it, as it does when it dies.
    ended: bool,
}

/// The time that nothing is taken of a connection that is full.
const FULL: Duration = Duration::from_millis(150);

/// Attacks that are made at once.
pub struct Volley<'a> {
    pub address: &'a SockAddr,
    pub requests: &'a Requests,
    pub attacks: &'a [Attack],
    /// How long a connect may take, and after it the first byte.
    pub patience: Duration,
    /// How long a polite answer is.
    pub whole: usize,
}

impl Volley<'_> {
    /// Connects and asks with all, in this order, and lets each vanish when it is due. `asked` is
    /// called when all have asked.
    pub fn fire(&self, gate: &mut Gate, asked: impl FnOnce(&mut Gate)) -> Vec<Fate> {
        let mut fates = vec![Fate::NotMade; self.attacks.len()];
        let mut waiting: Vec<Waiting> = Vec::new();
        let mut to_start = self.attacks.iter().enumerate();
        let mut asked = Some(asked);
        while asked.is_some() || !waiting.is_empty() {
            let mut rest = Duration::from_millis(5);
            if asked.is_some() {
                rest = rest.min(gate.closed_for());
            }
            if rest.is_zero() {
                match to_start.next() {
                    Some((index, attack)) if gate.pass(attack) => match self.start(attack) {
                        Ok(None) => fates[index] = Fate::Vanished,
                        Ok(Some(started)) => waiting.push(Waiting { index, ..started }),
                        Err(NotOpen::Refused) => fates[index] = Fate::Refused,
                        Err(NotOpen::Busy | NotOpen::Failed(_)) => {}
                    },
                    Some(_) => {}
                    None => asked.take().into_iter().for_each(|asked| asked(gate)),
                }
            }
            let mut index = 0;
            while index < waiting.len() {
                let attack = &self.attacks[waiting[index].index];
                match self.step(attack, &mut waiting[index]) {
                    Some(fate) => {
                        let ended = waiting.remove(index);
                        vanish(ended.socket, attack.ends, fate == Fate::Vanished);
                        fates[ended.index] = fate;
                    }
                    None => {
                        if let Some(due) = waiting[index].due {
                            rest = rest.min(due.saturating_duration_since(Instant::now()));
                        }
                        index += 1;
                    }
                }
            }
            self.rest(&mut waiting, rest);
        }
        fates
    }

    /// Waits until something comes, or an end, or not quite so long: a wait ends late, and what is
    /// due now is worth spinning.
    fn rest(&self, waiting: &mut [Waiting], rest: Duration) {
        let milliseconds = rest.saturating_sub(Duration::from_micros(300)).as_millis();
        let mut watched: Vec<_> = waiting
            .iter()
            .map(|it| libc::pollfd {
                fd: it.socket.as_raw_fd(),
                events: if it.due.is_none() { libc::POLLIN } else { 0 },
                revents: 0,
            })
            .collect();
        if milliseconds > 0 {
            poll(&mut watched, milliseconds as i32);
        }
        for (it, watched) in waiting.iter_mut().zip(watched) {
            it.ended = watched.revents & (libc::POLLHUP | libc::POLLERR) != 0;
        }
    }

    /// `None`: it has vanished already.
    fn start(&self, attack: &Attack) -> Result<Option<Waiting>, NotOpen> {
        let is_tcp = !self.address.is_unix();
        let socket = Socket::new(self.address.domain(), Type::STREAM, None)?;
        if is_tcp {
            // From now on every end of it resets, that of this process too.
            socket.set_linger(Some(Duration::ZERO))?;
        }
        if matches!(attack.when, When::FirstByte(_) | When::Full) {
            // The system gives its smallest. Before the connect, which announces it.
            socket.set_recv_buffer_size(1)?;
        }
        if is_tcp && matches!(attack.when, When::Breath | When::Pause(_)) {
            one_segment(&socket, attack.when)?;
        }
        socket.connect_timeout(self.address, self.patience)?;
        socket.set_nonblocking(true)?;
        let now = Instant::now();
        let mut it = Waiting {
            index: 0,
            socket,
            request: self.requests.of(attack.asks),
            due: Some(now),
            asked: now,
            taken: now,
            ended: false,
        };
        match attack.when {
            When::Pause(delay) => it.due = Some(now + delay),
            When::Full => it.due = None,
            When::Breath | When::Late(_) | When::FirstByte(_) => self.ask(&mut it)?,
        }
        match attack.when {
            When::Breath if attack.ends == Ends::FinReset => {
                vanish(it.socket, attack.ends, true);
                return Ok(None);
            }
            When::Late(delay) => it.due = Some(Instant::now() + delay),
            When::FirstByte(_) => it.due = None,
            _ => {}
        }
        Ok(Some(it))
    }

    fn ask(&self, it: &mut Waiting) -> io::Result<()> {
        let begun = Instant::now();
        while !it.request.is_empty() {
            match it.socket.send(&it.request) {
                Ok(sent) => drop(it.request.drain(..sent)),
                Err(error) if is_again(&error) && begun.elapsed() < self.patience => {
                    wait_for(&it.socket, libc::POLLOUT, Duration::from_millis(5));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What has become of it, if anything.
    fn step(&self, attack: &Attack, it: &mut Waiting) -> Option<Fate> {
        let now = Instant::now();
        if let Some(due) = it.due {
            let is_due = now >= due;
            if let When::Pause(_) = attack.when {
                return match is_due {
                    false => it.ended.then_some(Fate::NotMade),
                    true if self.ask(it).is_err() => Some(Fate::NotMade),
                    true => Some(Fate::Vanished),
                };
            }
            // A large answer is not looked at again and again.
            if !is_due && (it.ended || self.whole > 65536) {
                return it.ended.then_some(Fate::NotMade);
            }
            return match self.unread(&it.socket) {
                None => Some(Fate::NotMade),
                // Of a whole answer nothing is left that could raise a signal.
                Some(bytes) if bytes >= self.whole && matches!(attack.when, When::Late(_)) => {
                    Some(Fate::TooLate)
                }
                Some(_) => is_due.then_some(Fate::Vanished),
            };
        }
        let is_late = now - it.asked > self.patience;
        if let When::FirstByte(delay) = attack.when {
            match self.unread(&it.socket) {
                None => return Some(Fate::NotMade),
                Some(0) if is_late => return Some(Fate::NoAnswer),
                Some(0) => {}
                Some(_) => it.due = Some(now + delay),
            }
            return None;
        }
        if it.request.is_empty() {
            it.request = self.requests.of(attack.asks);
        }
        match it.socket.send(&it.request) {
            Ok(sent) => {
                it.request.drain(..sent);
                it.taken = now;
            }
            Err(error) if is_again(&error) => {}
            Err(_) => return Some(Fate::NotMade),
        }
        (now - it.taken > FULL || is_late).then_some(Fate::Vanished)
    }

    /// The bytes that have come, up to a whole answer; `None` if the server has ended it.
    fn unread(&self, socket: &Socket) -> Option<usize> {
        let mut buffer = Vec::with_capacity(self.whole);
        match socket.peek(buffer.spare_capacity_mut()) {
            Ok(0) => None,
            Ok(bytes) => Some(bytes),
            Err(error) if is_again(&error) => Some(0),
            Err(_) => None,
        }
    }
}

/// The request and the FIN leave in one segment, since a quick server needs no time between them;
/// in a breath the handshake's acknowledgement too.
fn one_segment(socket: &Socket, when: When) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        if when == When::Breath {
            socket.set_tcp_quickack(false)?;
        }
        socket.set_tcp_cork(true)
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = when;
        socket.set_tcp_nodelay(true)
    }
}

/// Its linger is 0: the close resets.
fn vanish(socket: Socket, ends: Ends, with_fin: bool) {
    if with_fin && ends == Ends::FinReset {
        let _ = socket.shutdown(Shutdown::Write);
    }
    drop(socket);
}

fn is_again(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Waits for this, the end, or so long.
fn wait_for(socket: &Socket, event: i16, most: Duration) {
    let watched = libc::pollfd { fd: socket.as_raw_fd(), events: event, revents: 0 };
    poll(&mut [watched], i32::try_from(most.as_millis()).unwrap_or(i32::MAX));
}

fn poll(watched: &mut [libc::pollfd], milliseconds: i32) {
    // SAFETY: the pointer and the length are of a slice of `pollfd`, whose descriptors are open.
    unsafe { libc::poll(watched.as_mut_ptr(), watched.len() as libc::nfds_t, milliseconds) };
}
