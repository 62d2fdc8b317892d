//! The connections of this program: one that is polite, and those that vanish.
#![allow(unsafe_code, reason = "calls poll")]

use std::io::{self, ErrorKind, Read};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use socket2::{SockAddr, Socket, Type};

use super::attack::{Asks, Attack, Ends, Stage, When};
use super::gate::Gate;

/// What the clients say.
pub struct Requests {
    /// One each; never empty.
    pub list: Vec<Vec<u8>>,
    pub tls: Option<NewLayer>,
}

impl Requests {
    pub fn first(&self) -> Request<'_> {
        Request { bytes: &self.list[0], tls: self.tls.as_ref() }
    }
}

/// What a polite client says.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    bytes: &'a [u8],
    tls: Option<&'a NewLayer>,
}

/// What one connection says of these.
fn said(requests: &[Vec<u8>], asks: Asks) -> Vec<u8> {
    let first = &requests[0];
    let next = requests.get(1).unwrap_or(first);
    match asks {
        Asks::Once => first.clone(),
        Asks::Pipelined if requests.len() == 1 => [&first[..], first].concat(),
        Asks::Pipelined => requests.concat(),
        Asks::OneByteMore => [first, &next[..next.len().min(1)]].concat(),
    }
}

/// TLS between the requests and a socket.
pub trait Layer {
    /// The bytes to send, with those of the handshake that are due.
    fn say(&mut self, plain: &[u8]) -> io::Result<Vec<u8>>;
    /// Takes what has come: so many bytes of an answer.
    fn hear(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Whether an attack at this stage asks now.
    fn has_come_to(&self, stage: Stage) -> bool;
    /// The bytes of a polite end.
    fn close(&mut self) -> io::Result<Vec<u8>>;
}

/// Makes that of a connection.
pub type NewLayer = Box<dyn Fn() -> io::Result<Box<dyn Layer>>>;

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
    layer: Option<Box<dyn Layer>>,
    /// What it asks after the handshake, as an attack does.
    request: Vec<u8>,
    ends_request: bool,
    unsent: Vec<u8>,
    since: Instant,
    bytes: usize,
    last: Duration,
    over: bool,
    first_byte: Option<u8>,
    /// Why this side has ended it.
    pub refusal: Option<io::Error>,
}

impl Held {
    /// Connects, and says nothing.
    pub fn open(address: &SockAddr, patience: Duration) -> Result<Held, NotOpen> {
        let socket = Socket::new(address.domain(), Type::STREAM, None)?;
        socket.connect_timeout(address, patience)?;
        socket.set_nonblocking(true)?;
        Ok(Held {
            socket,
            layer: None,
            request: Vec::new(),
            ends_request: false,
            unsent: Vec::new(),
            since: Instant::now(),
            bytes: 0,
            last: Duration::ZERO,
            over: false,
            first_byte: None,
            refusal: None,
        })
    }

    /// Sends; a connection that ends meanwhile is over, which `answer` reports. With TLS this begins
    /// the handshake, and `answer` goes on with it.
    pub fn say(&mut self, request: Request<'_>, patience: Duration) {
        self.since = Instant::now();
        let bytes = match request.tls {
            None => Ok(request.bytes.to_vec()),
            Some(new) => {
                self.request = request.bytes.to_vec();
                new().and_then(|layer| self.layer.insert(layer).say(&[]))
            }
        };
        self.send(bytes);
        while !self.unsent.is_empty() && !self.over && self.since.elapsed() < patience {
            thread::sleep(Duration::from_millis(1));
            self.listen();
        }
    }

    /// Sends what it can of this, behind what is left.
    fn send(&mut self, bytes: io::Result<Vec<u8>>) {
        match bytes {
            Ok(bytes) => self.unsent.extend(bytes),
            Err(error) => {
                self.over = true;
                self.refusal = Some(error);
            }
        }
        while !self.unsent.is_empty() && !self.over {
            match self.socket.send(&self.unsent) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(error) if is_again(&error) => return,
                Err(_) => {
                    self.unsent.clear();
                    self.listen();
                    self.over = true;
                }
            }
        }
    }

    /// Ends the request, for a server that waits for that.
    pub fn end_request(&mut self) {
        self.ends_request = true;
        if self.request.is_empty() {
            self.end();
        }
    }

    fn end(&mut self) {
        if let Some(layer) = &mut self.layer {
            let bytes = layer.close();
            self.send(bytes);
        }
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

    /// Reads what is there, and sends what may leave now.
    fn listen(&mut self) {
        let mut buffer = vec![0; 65536];
        while !self.over {
            match self.socket.read(&mut buffer) {
                Ok(0) => self.over = true,
                Ok(count) => self.hear(&buffer[..count]),
                Err(error) if is_again(&error) => break,
                Err(_) => self.over = true,
            }
        }
        self.send(Ok(Vec::new()));
        let Some(layer) = &mut self.layer else {
            return;
        };
        if !self.request.is_empty() && layer.has_come_to(Stage::Done) {
            self.since = Instant::now();
            let bytes = layer.say(&std::mem::take(&mut self.request));
            self.send(bytes);
            if self.ends_request {
                self.end();
            }
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        let mut count = bytes.len();
        match &mut self.layer {
            None => drop(self.first_byte.get_or_insert(bytes[0])),
            Some(layer) => {
                let heard = layer.hear(bytes);
                count = *heard.as_ref().unwrap_or(&0);
                let bytes = heard.and_then(|_| layer.say(&[]));
                acknowledge(&self.socket);
                self.send(bytes);
            }
        }
        if count > 0 {
            self.bytes += count;
            self.last = self.since.elapsed();
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
        self.end();
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
    layer: Option<Box<dyn Layer>>,
    connects: bool,
    /// It asks after the handshake.
    shakes_hands: bool,
    request: Vec<u8>,
    /// When it vanishes; of one that waits for something not known yet.
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
                        Ok(started) => waiting.push(Waiting { index, ..started }),
                        Err(error) => fates[index] = not_made(error),
                    },
                    Some(_) => {}
                    None => asked.take().into_iter().for_each(|asked| asked(gate)),
                }
            }
            let mut index = 0;
            while index < waiting.len() {
                let attack = &self.attacks[waiting[index].index];
                let goes_on =
                    waiting[index].shakes_hands && self.unread(&waiting[index].socket) > Some(0);
                match self.step(attack, &mut waiting[index]) {
                    Some(fate) => {
                        let ended = waiting.remove(index);
                        vanish(ended.socket, attack.ends, fate == Fate::Vanished);
                        fates[ended.index] = fate;
                    }
                    None if goes_on => {
                        // That took its time, and others may be due.
                        rest = Duration::ZERO;
                        break;
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
                events: match it.due {
                    _ if it.connects => libc::POLLOUT,
                    None => libc::POLLIN,
                    Some(_) => 0,
                },
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

    /// Begins to connect: one that the server lets wait must not keep the others.
    fn start(&self, attack: &Attack) -> io::Result<Waiting> {
        let is_tcp = !self.address.is_unix();
        let socket = Socket::new(self.address.domain(), Type::STREAM, None)?;
        if is_tcp {
            // From now on every end of it resets, that of this process too.
            socket.set_linger(Some(Duration::ZERO))?;
        }
        let mut layer = self.requests.tls.as_ref().map(|new| new()).transpose()?;
        let shakes_hands = layer.is_some() && attack.stage != Stage::Hello;
        if matches!(attack.when, When::FirstByte(_) | When::Full) {
            // The system gives its smallest. Before the connect, which announces it. A server's part
            // of a handshake needs more, or takes 200 ms.
            socket.set_recv_buffer_size(if shakes_hands { 8192 } else { 1 })?;
        }
        if is_tcp && !shakes_hands {
            one_segment(&socket, attack)?;
        }
        let request = match &mut layer {
            Some(layer) if shakes_hands => layer.say(&[])?,
            Some(layer) => said(&[layer.say(&[])?], attack.asks),
            None => said(&self.requests.list, attack.asks),
        };
        socket.set_nonblocking(true)?;
        match socket.connect(self.address) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        let now = Instant::now();
        Ok(Waiting {
            index: 0,
            socket,
            layer,
            connects: true,
            shakes_hands,
            request,
            due: None,
            asked: now,
            taken: now,
            ended: false,
        })
    }

    /// Whether it is connected.
    fn is_connected(&self, it: &Waiting) -> io::Result<bool> {
        if !wait_for(&it.socket, libc::POLLOUT, Duration::ZERO) {
            return Ok(false);
        }
        it.socket.take_error()?.map_or(Ok(true), Err)
    }

    /// Asks, or says when, and when it vanishes.
    fn begin(&self, attack: &Attack, it: &mut Waiting) -> io::Result<()> {
        if !matches!(attack.when, When::Pause(_) | When::Full) {
            self.ask(it)?;
        }
        it.asked = Instant::now();
        it.taken = it.asked;
        it.due = match attack.when {
            When::Breath => Some(it.asked),
            When::Pause(delay) | When::Late(delay) => Some(it.asked + delay),
            When::FirstByte(_) | When::Full => None,
        };
        Ok(())
    }

    /// Goes on with the handshake, and begins when it has come so far.
    fn shake_hands(
        &self,
        attack: &Attack,
        it: &mut Waiting,
        layer: &mut dyn Layer,
    ) -> io::Result<()> {
        let mut buffer = vec![0; 65536];
        loop {
            match it.socket.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    layer.hear(&buffer[..count])?;
                    acknowledge(&it.socket);
                }
                Err(error) if is_again(&error) => break,
                Err(error) => return Err(error),
            }
        }
        if !layer.has_come_to(attack.stage) {
            it.request = layer.say(&[])?;
            return self.ask(it);
        }
        it.shakes_hands = false;
        it.request = layer.say(&said(&self.requests.list, attack.asks))?;
        if !self.address.is_unix() {
            one_segment(&it.socket, attack)?;
        }
        self.begin(attack, it)
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
        let is_late = now - it.asked > self.patience;
        if it.connects {
            match self.is_connected(it) {
                Ok(true) => it.connects = false,
                Ok(false) => return is_late.then_some(Fate::NotMade),
                Err(error) => return Some(not_made(error)),
            }
            let is_breath = attack.when == When::Breath && attack.ends == Ends::FinReset;
            let begun = if it.shakes_hands { self.ask(it) } else { self.begin(attack, it) };
            return match begun {
                Err(_) => Some(Fate::NotMade),
                Ok(()) => (is_breath && !it.shakes_hands).then_some(Fate::Vanished),
            };
        }
        if it.shakes_hands {
            let mut layer = it.layer.take()?;
            let result = self.shake_hands(attack, it, &mut *layer);
            it.layer = Some(layer);
            return (result.is_err() || it.shakes_hands && is_late).then_some(Fate::NotMade);
        }
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
            let plain = said(&self.requests.list, attack.asks);
            it.request = match &mut it.layer {
                Some(layer) => layer.say(&plain).unwrap_or_default(),
                None => plain,
            };
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

fn not_made(error: io::Error) -> Fate {
    match NotOpen::from(error) {
        NotOpen::Refused => Fate::Refused,
        NotOpen::Busy | NotOpen::Failed(_) => Fate::NotMade,
    }
}

/// The request and the FIN leave in one segment, since a quick server needs no time between them;
/// in a breath the handshake's acknowledgement too.
fn one_segment(socket: &Socket, attack: &Attack) -> io::Result<()> {
    let at_once = matches!(attack.when, When::Breath | When::Pause(_));
    // Without a FIN the reset would throw away what is held back.
    if !at_once || attack.ends != Ends::FinReset {
        return Ok(());
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        if attack.when == When::Breath {
            socket.set_tcp_quickack(false)?;
        }
        socket.set_tcp_cork(true)
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    socket.set_tcp_nodelay(true)
}

/// A server whose handshake takes several writes waits for that, and a delayed one takes 40 ms.
fn acknowledge(socket: &Socket) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket.set_tcp_quickack(true);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = socket;
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

/// Waits for this, the end, or so long. False: neither has come.
fn wait_for(socket: &Socket, event: i16, most: Duration) -> bool {
    let mut watched = [libc::pollfd { fd: socket.as_raw_fd(), events: event, revents: 0 }];
    poll(&mut watched, i32::try_from(most.as_millis()).unwrap_or(i32::MAX));
    watched[0].revents != 0
}

fn poll(watched: &mut [libc::pollfd], milliseconds: i32) {
    // SAFETY: the pointer and the length are of a slice of `pollfd`, whose descriptors are open.
    unsafe { libc::poll(watched.as_mut_ptr(), watched.len() as libc::nfds_t, milliseconds) };
}
