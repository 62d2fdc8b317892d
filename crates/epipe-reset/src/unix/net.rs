//! The requests, and the functions that polite clients and attacks share.
#![allow(unsafe_code, reason = "calls poll")]

use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::time::Duration;

use socket2::Socket;

use super::attack::{Asks, Stage};

/// What the clients send.
#[derive(Default)]
pub struct Requests {
    /// At least one. None is empty.
    pub list: Vec<Vec<u8>>,
    pub tls: Option<NewLayer>,
}

impl Requests {
    pub fn first(&self) -> Request<'_> {
        Request { bytes: &self.list[0], tls: self.tls.as_ref() }
    }
}

/// What a polite client sends.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub bytes: &'a [u8],
    pub tls: Option<&'a NewLayer>,
}

/// The bytes that one attack sends.
pub fn said(requests: &[Vec<u8>], asks: Asks) -> Vec<u8> {
    let first = &requests[0];
    let next = requests.get(1).unwrap_or(first);
    match asks {
        Asks::Once => first.clone(),
        Asks::Pipelined if requests.len() == 1 => [&first[..], first].concat(),
        Asks::Pipelined => requests.concat(),
        Asks::OneByteMore => [first, &next[..1]].concat(),
    }
}

/// TLS, between the requests and a socket. It does no input or output.
pub trait Layer {
    /// The bytes to send for this plain text, with the bytes of the handshake that are due.
    fn say(&mut self, plain: &[u8]) -> io::Result<Vec<u8>>;
    /// Takes the bytes that have come, and returns how many bytes of an answer they hold.
    fn hear(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Whether an attack at this stage can send its request now.
    fn has_come_to(&self, stage: Stage) -> bool;
    /// The bytes that end the connection politely.
    fn close(&mut self) -> io::Result<Vec<u8>>;
}

/// Makes the layer of a new connection.
pub type NewLayer = Box<dyn Fn() -> io::Result<Box<dyn Layer>>>;

/// Why a connection was not made.
#[derive(Debug)]
pub enum NotOpen {
    /// Nothing listens.
    Refused,
    /// Not accepted for now: the queue of the listener is full.
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

pub fn is_again(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Waits for the event, an error or the end, but not longer than `most`. False: none has come.
pub fn wait_for(socket: &Socket, event: i16, most: Duration) -> bool {
    let mut watched = [libc::pollfd { fd: socket.as_raw_fd(), events: event, revents: 0 }];
    poll(&mut watched, i32::try_from(most.as_millis()).unwrap_or(i32::MAX));
    watched[0].revents != 0
}

pub fn poll(watched: &mut [libc::pollfd], milliseconds: i32) {
    // SAFETY: the exclusive slice guarantees the pointer and the length; poll reports a closed fd.
    unsafe { libc::poll(watched.as_mut_ptr(), watched.len() as libc::nfds_t, milliseconds) };
}
