//! The connections of this program: one that is polite, and those that vanish.
#![allow(unsafe_code, reason = "calls poll")]

use std::io::{self, ErrorKind, Read};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use socket2::{SockAddr, Socket, Type};

use super::attack::{Asks, Attack, Ends, Stage, When};

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

/// What one connection says of these requests.
fn said(requests: &[Vec<u8>], asks: Asks) -> Vec<u8> {
    let first = &requests[0];
    let next = requests.get(1).unwrap_or(first);
    match asks {
        Asks::Once => first.clone(),
        Asks::Pipelined if requests.len() == 1 => [&first[..], first].concat(),
        Asks::Pipelined => requests.concat(),
        Asks::OneByteMore => [&first[..], &next[..next.len().min(1)]].concat(),
    }
}

/// TLS between the requests and a socket.
pub trait Layer {
    /// The bytes to send, with those of the handshake that are due. A request waits for its end.
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
    unsent: Vec<u8>,
    since: Instant,
    bytes: usize,
    last: Duration,
    over: bool,
    /// Why this side has ended it: it is no TLS.
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
            unsent: Vec::new(),
            since: Instant::now(),
            bytes: 0,
            last: Duration::ZERO,
            over: false,
            refusal: None,
        })
    }

    /// Connects, and asks.
    pub fn ask(
        address: &SockAddr,
        request: Request<'_>,
        patience: Duration,
    ) -> Result<Held, NotOpen> {
        let mut held = Held::open(address, patience)?;
        held.say(request, patience);
        Ok(held)
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

    /// How long ago it has asked.
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Reads what is there, and sends what it asks for.
    fn listen(&mut self) {
        let mut buffer = [0; 65536];
        while !self.over {
            match (&self.socket).read(&mut buffer) {
                Ok(0) => self.over = true,
                Ok(count) => self.hear(&buffer[..count]),
                Err(error) if is_again(&error) => break,
                Err(_) => self.over = true,
            }
        }
        let mut bytes = Ok(Vec::new());
        if let Some(layer) = &mut self.layer {
            if !self.request.is_empty() && layer.has_come_to(Stage::Done) {
                self.since = Instant::now();
                bytes = layer.say(&std::mem::take(&mut self.request));
            }
        }
        self.send(bytes);
    }

    fn hear(&mut self, bytes: &[u8]) {
        let mut count = bytes.len();
        if let Some(layer) = &mut self.layer {
            let heard = layer.hear(bytes);
            count = *heard.as_ref().unwrap_or(&0);
            let answer = heard.and_then(|_| layer.say(&[]));
            acknowledge(&self.socket);
            self.send(answer);
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
        if let Some(layer) = &mut self.layer {
            let end = layer.close();
            self.send(end);
        }
        let _ = self.socket.shutdown(Shutdown::Write);
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
    /// It has not asked yet.
    shakes_hands: bool,
    request: Vec<u8>,
    /// When it vanishes; of one that waits for the first byte not known yet.
    due: Option<Instant>,
    /// When the server last took a byte.
    taken: Instant,
}

/// The time that nothing is taken of a connection that is full.
const FULL: Duration = Duration::from_millis(150);

/// One volley.
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
    /// Connects and asks with all, in this order, and lets each vanish when it is due. `opened` is
    /// called before each connect, `fired` when all have asked.
    pub fn fire(&self, mut opened: impl FnMut(&Attack), fired: impl FnOnce()) -> Vec<Fate> {
        let mut fates = vec![Fate::NotMade; self.attacks.len()];
        let mut waiting = Vec::new();
        for (index, attack) in self.attacks.iter().enumerate() {
            opened(attack);
            match self.start(attack) {
                Ok(None) => fates[index] = Fate::Vanished,
                Ok(Some(started)) => waiting.push(Waiting { index, ..started }),
                Err(NotOpen::Refused) => fates[index] = Fate::Refused,
                Err(NotOpen::Busy | NotOpen::Failed(_)) => {}
            }
        }
        fired();
        let asked = Instant::now();
        while !waiting.is_empty() {
            let mut next = Instant::now() + Duration::from_millis(5);
            let mut index = 0;
            while index < waiting.len() {
                let attack = &self.attacks[waiting[index].index];
                let goes_on = waiting[index].shakes_hands && unread(&waiting[index].socket) > 0;
                match self.step(attack, &mut waiting[index], asked) {
                    Some(fate) => {
                        let ended = waiting.remove(index);
                        vanish(ended.socket, attack.ends, fate == Fate::Vanished);
                        fates[ended.index] = fate;
                    }
                    None if goes_on => {
                        // That took its time: others may be due.
                        next = Instant::now();
                        break;
                    }
                    None => {
                        if let Some(due) = waiting[index].due {
                            next = next.min(due);
                        }
                        index += 1;
                    }
                }
            }
            self.rest(&waiting, next);
        }
        fates
    }

    /// Sleeps until shortly before the next is due, and spins after that: a sleep ends late. Who
    /// waits for a byte looks again and again.
    fn rest(&self, waiting: &[Waiting], next: Instant) {
        let left = next.saturating_duration_since(Instant::now());
        if left < Duration::from_micros(300) {
            return;
        }
        let left = left - Duration::from_micros(200);
        match waiting.iter().find(|w| w.due.is_none()) {
            Some(first) => {
                wait_for(&first.socket, libc::POLLIN, left.min(Duration::from_millis(1)))
            }
            None => thread::sleep(left),
        }
    }

    /// `None`: it has vanished already.
    fn start(&self, attack: &Attack) -> Result<Option<Waiting>, NotOpen> {
        let is_tcp = self.address.as_socket().is_some();
        let socket = Socket::new(self.address.domain(), Type::STREAM, None)?;
        if is_tcp {
            // From now on every end of it resets, that of this process too.
            socket.set_linger(Some(Duration::ZERO))?;
        }
        if matches!(attack.when, When::FirstByte(_) | When::Full) {
            // The system gives its smallest. Before the connect, which announces it.
            socket.set_recv_buffer_size(1)?;
        }
        let mut layer = self.requests.tls.as_ref().map(|new| new()).transpose()?;
        let shakes_hands = layer.is_some() && attack.stage != Stage::Hello;
        if is_tcp && attack.when == When::Breath && !shakes_hands {
            one_segment(&socket)?;
        }
        let request = match &mut layer {
            Some(layer) if shakes_hands => layer.say(&[])?,
            Some(layer) => said(&[layer.say(&[])?], attack.asks),
            None => said(&self.requests.list, attack.asks),
        };
        socket.connect_timeout(self.address, self.patience)?;
        socket.set_nonblocking(true)?;
        let taken = Instant::now();
        let mut it = Waiting { index: 0, socket, layer, shakes_hands, request, due: None, taken };
        if shakes_hands || attack.when != When::Full {
            self.send(&mut it)?;
        }
        if shakes_hands {
            return Ok(Some(it));
        }
        if attack.when == When::Breath && (attack.ends == Ends::FinReset || !is_tcp) {
            vanish(it.socket, attack.ends, true);
            return Ok(None);
        }
        it.due = attack.due();
        Ok(Some(it))
    }

    /// Sends its whole request.
    fn send(&self, it: &mut Waiting) -> io::Result<()> {
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

    /// Goes on with the handshake, and asks when it has come so far.
    fn shake_hands(
        &self,
        attack: &Attack,
        it: &mut Waiting,
        layer: &mut dyn Layer,
    ) -> io::Result<()> {
        let mut buffer = [0; 65536];
        loop {
            match (&it.socket).read(&mut buffer) {
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
            return self.send(it);
        }
        it.shakes_hands = false;
        it.request = layer.say(&said(&self.requests.list, attack.asks))?;
        if attack.when == When::Breath && self.address.as_socket().is_some() {
            one_segment(&it.socket)?;
        }
        if attack.when != When::Full {
            self.send(it)?;
        }
        it.due = attack.due();
        Ok(())
    }

    /// What has become of it, if anything.
    fn step(&self, attack: &Attack, it: &mut Waiting, asked: Instant) -> Option<Fate> {
        let now = Instant::now();
        if it.shakes_hands {
            let mut layer = it.layer.take()?;
            let done = self.shake_hands(attack, it, &mut *layer);
            it.layer = Some(layer);
            let is_late = it.shakes_hands && now - asked > self.patience;
            return (done.is_err() || is_late).then_some(Fate::NotMade);
        }
        match (attack.when, it.due) {
            (_, Some(due)) if now >= due => {
                let came = unread(&it.socket);
                // Of a whole answer nothing is left that could raise a signal.
                let is_over = matches!(attack.when, When::Late(_)) && came >= self.whole;
                Some(if is_over { Fate::TooLate } else { Fate::Vanished })
            }
            (When::FirstByte(delay), None) => {
                if unread(&it.socket) > 0 {
                    it.due = Some(now + delay);
                } else if now - asked > self.patience {
                    return Some(Fate::NoAnswer);
                }
                None
            }
            (When::Full, None) => {
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
                let is_full = now - it.taken > FULL || now - asked > self.patience;
                is_full.then_some(Fate::Vanished)
            }
            _ => None,
        }
    }
}

/// The handshake's acknowledgement, the request and the FIN leave in one segment: a quick server has
/// no time between them.
fn one_segment(socket: &Socket) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        socket.set_tcp_quickack(false)?;
        socket.set_tcp_cork(true)?;
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    socket.set_tcp_nodelay(true)?;
    Ok(())
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

/// The bytes that have come.
fn unread(socket: &Socket) -> usize {
    let mut buffer = [MaybeUninit::uninit(); 65536];
    socket.peek(&mut buffer).unwrap_or(0)
}

fn is_again(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Waits for this, the end, or so long.
fn wait_for(socket: &Socket, event: i16, most: Duration) {
    use std::os::fd::AsRawFd;
    let mut watched = libc::pollfd { fd: socket.as_raw_fd(), events: event, revents: 0 };
    let most = i32::try_from(most.as_millis()).unwrap_or(i32::MAX).max(1);
    // SAFETY: one `pollfd`, which outlives the call, of a socket that is open.
    unsafe { libc::poll(&raw mut watched, 1, most) };
}
