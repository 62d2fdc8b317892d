//! Clients that send a request and vanish.

use std::io::{self, ErrorKind, Read};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use socket2::{SockAddr, Socket, Type};

use super::attack::{Attack, Ends, Stage, When};
use super::gate::Gate;
use super::net::{Layer, NotOpen, Requests, is_again, poll, said, wait_for};
use super::sys::{self, acknowledge};

/// How an attack ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Vanished,
    /// The whole answer came before.
    TooLate,
    /// No byte of an answer came.
    NoAnswer,
    /// The connect failed: nothing listens.
    Refused,
    /// The connect failed in another way, or the server ended the connection before.
    NotMade,
}

/// A connection that has not vanished yet.
struct Waiting {
    index: usize,
    socket: Socket,
    layer: Option<Box<dyn Layer>>,
    connects: bool,
    /// The TLS handshake comes first.
    shakes_hands: bool,
    request: Vec<u8>,
    /// When it vanishes. `None` while that depends on the server.
    due: Option<Instant>,
    asked: Instant,
    /// When the socket last took a byte.
    taken: Instant,
    /// The server has ended this connection, as happens when the server dies.
    ended: bool,
}

/// A connection is full when its socket has taken nothing for this long.
const FULL: Duration = Duration::from_millis(150);

/// Attacks that are made at once.
pub struct Volley<'a> {
    pub address: &'a SockAddr,
    pub requests: &'a Requests,
    pub attacks: &'a [Attack],
    /// The longest wait for a connect, and then for the first byte.
    pub patience: Duration,
    /// The length of the answer to a polite client.
    pub whole: usize,
}

impl Volley<'_> {
    /// Connects, sends the requests in this order, and lets each client vanish when it is due.
    /// Calls `asked` when every connect has begun.
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
                    None => {
                        if let Some(asked) = asked.take() {
                            asked(gate);
                        }
                    }
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
                        // More of the handshake can be read, but other clients may be due first.
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

    /// Waits for bytes, or for the end of a connection, but not longer than `rest`. A wait of the
    /// system ends late, so the loop spins for the last 300 microseconds.
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

    /// Begins to connect, and does not wait: a full queue must not delay the other clients.
    fn start(&self, attack: &Attack) -> io::Result<Waiting> {
        let is_tcp = !self.address.is_unix();
        let socket = Socket::new(self.address.domain(), Type::STREAM, None)?;
        if is_tcp {
            // From now on every close sends a reset, also the close at the end of this process.
            socket.set_linger(Some(Duration::ZERO))?;
        }
        let mut layer = self.requests.tls.as_ref().map(|new| new()).transpose()?;
        let shakes_hands = layer.is_some() && attack.stage != Stage::Hello;
        if matches!(attack.when, When::FirstByte(_) | When::Full) {
            // For 1 the system takes its minimum. This must come before the connect, which
            // announces the size. With less than 8192 bytes, the server's part of the handshake
            // takes 200 ms.
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

    /// Sends the request, unless it must come later, and sets the time to vanish.
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

    /// Continues the handshake, and begins the attack when the handshake is far enough.
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

    /// Takes the next step of a connection. `Some`: it has ended.
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
            // To look at a large answer is costly, so this does it only when the client is due.
            if !is_due && (it.ended || self.whole > 65536) {
                return it.ended.then_some(Fate::NotMade);
            }
            return match self.unread(&it.socket) {
                None => Some(Fate::NotMade),
                // The whole answer has come: no write is left that could raise a signal.
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

    /// How many bytes have come, at most a whole answer. `None`: the server has ended the
    /// connection.
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

/// Puts the request and the FIN into one segment, since a quick server could answer between them.
/// A `breath` also puts the acknowledgement of the connect into that segment.
fn one_segment(socket: &Socket, attack: &Attack) -> io::Result<()> {
    match attack.when {
        // Without a FIN, the reset would discard the bytes that the socket holds back.
        _ if attack.ends != Ends::FinReset => Ok(()),
        When::Breath => sys::one_segment(socket, true),
        When::Pause(_) => sys::one_segment(socket, false),
        _ => Ok(()),
    }
}

/// Closes the socket. Its linger time is 0, so the close sends a reset.
fn vanish(socket: Socket, ends: Ends, with_fin: bool) {
    if with_fin && ends == Ends::FinReset {
        let _ = socket.shutdown(Shutdown::Write);
    }
    drop(socket);
}
