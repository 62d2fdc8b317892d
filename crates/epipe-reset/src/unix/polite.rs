//! A polite client: it waits for the answer, and ends the connection with a FIN.

use std::io::{self, Read};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use socket2::{SockAddr, Socket, Type};

use super::attack::Stage;
use super::net::{Layer, NotOpen, Request, is_again, wait_for};
use super::sys::acknowledge;

/// The answer to a polite client.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Answer {
    Whole {
        bytes: usize,
        after: Duration,
    },
    /// The connection stays open, and nothing came.
    Silent,
    /// The connection ended before a byte of the answer.
    Dropped,
}

/// A connection that stays open until this side ends it with a FIN.
pub struct Held {
    socket: Socket,
    layer: Option<Box<dyn Layer>>,
    /// With TLS: what it sends after the handshake.
    request: Vec<u8>,
    ends_request: bool,
    unsent: Vec<u8>,
    since: Instant,
    bytes: usize,
    last: Duration,
    over: bool,
    first_byte: Option<u8>,
    /// Why the TLS layer of this side gave up.
    pub refusal: Option<io::Error>,
    close: Duration,
    asked: bool,
    ended: Option<Instant>,
}

impl Held {
    /// Connects, and sends nothing. `close` is how long the server may take to end the connection
    /// after this side has ended it.
    pub fn open(address: &SockAddr, patience: Duration, close: Duration) -> Result<Held, NotOpen> {
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
            close,
            asked: false,
            ended: None,
        })
    }

    /// Sends the request. `answer` reports a connection that ends meanwhile. With TLS this begins
    /// the handshake, and `answer` continues it.
    pub fn say(&mut self, request: Request<'_>, patience: Duration) {
        self.since = Instant::now();
        self.asked = true;
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

    /// Appends the bytes to those that are unsent, and sends what the socket takes.
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

    /// Ends the request with a FIN, for a server that reads until then.
    pub fn end_request(&mut self) {
        self.ends_request = true;
        if self.request.is_empty() {
            self.end();
        }
    }

    /// Ends the connection with a FIN. The wait in `drop` counts from here.
    pub fn end(&mut self) {
        if self.ended.is_some() {
            return;
        }
        self.ended = Some(Instant::now());
        if let Some(layer) = &mut self.layer {
            let bytes = layer.close();
            self.send(bytes);
        }
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// The first byte that has come. It is not recorded with TLS.
    pub fn first_byte(&self) -> Option<u8> {
        self.first_byte
    }

    /// Reads what has come, and sends what the socket takes now.
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
            // Earlier bytes, such as a banner, are not part of the answer.
            (self.since, self.bytes, self.last) = (Instant::now(), 0, Duration::ZERO);
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

    /// Whether the server has ended the connection.
    pub fn is_over(&mut self) -> bool {
        self.listen();
        self.over
    }

    /// The answer, if it is over. It is over after `enough` bytes, at the end of the connection,
    /// when nothing more has come for `quiet`, or after `patience`.
    pub fn try_answer(
        &mut self,
        enough: usize,
        quiet: Duration,
        patience: Duration,
    ) -> Option<Answer> {
        self.listen();
        let elapsed = self.since.elapsed();
        let is_quiet = self.bytes > 0 && elapsed.saturating_sub(self.last) > quiet;
        if !self.over && self.bytes < enough && !is_quiet && elapsed <= patience {
            return None;
        }
        Some(match (self.bytes, self.over) {
            (0, true) => Answer::Dropped,
            (0, false) => Answer::Silent,
            (bytes, _) => Answer::Whole { bytes, after: self.last },
        })
    }

    /// Waits for the answer.
    pub fn answer(&mut self, enough: usize, quiet: Duration, patience: Duration) -> Answer {
        loop {
            if let Some(answer) = self.try_answer(enough, quiet, patience) {
                return answer;
            }
            wait_for(&self.socket, libc::POLLIN, Duration::from_millis(5));
        }
    }
}

/// The longest wait for the server's end of a connection.
const MOST_CLOSE: Duration = Duration::from_secs(1);

impl Drop for Held {
    /// A close with unread bytes sends a reset, which is not polite. So this reads until the server
    /// ends the connection too, or sends nothing more.
    fn drop(&mut self) {
        self.end();
        let begun = self.ended.unwrap_or_else(Instant::now);
        let (mut bytes, mut last) = (self.bytes, begun);
        // A late answer must find the connection open.
        let close = if self.asked && bytes == 0 { MOST_CLOSE } else { self.close };
        while !self.is_over() && last.elapsed() < close && begun.elapsed() < MOST_CLOSE {
            if self.bytes > bytes {
                (bytes, last) = (self.bytes, Instant::now());
            }
            wait_for(&self.socket, libc::POLLIN, Duration::from_millis(5));
        }
    }
}
