//! Peers that vanish: they send FIN and RST at once, and the next write raises SIGPIPE.

use std::convert::Infallible;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame};
use socket2::Socket;

/// How many peers vanish in a scene.
pub const ROUNDS: usize = 200;

/// The program under test and its peer meet here twice: before the peer vanishes, and after.
static GATE: Barrier = Barrier::new(2);

/// True from the time when the peer stays.
static STAYS: AtomicBool = AtomicBool::new(false);

/// Blocks the thread until the peer is gone. The program reads nothing in that time.
pub fn until_gone() {
    if !STAYS.load(Relaxed) {
        GATE.wait();
        GATE.wait();
    }
}

/// Vanishes while the other side is in [`until_gone`].
fn vanish_at_the_gate(stream: impl Into<OwnedFd>) {
    GATE.wait();
    vanish(stream);
    GATE.wait();
}

/// FIN, and then RST.
pub fn vanish(stream: impl Into<OwnedFd>) {
    let stream = Socket::from(stream.into());
    stream.shutdown(Shutdown::Write).unwrap();
    stream.set_linger(Some(Duration::ZERO)).unwrap();
}

/// A handler's answer, after its client has vanished.
pub fn answer() -> String {
    until_gone();
    "hello".into()
}

/// Clients that vanish when the server has their request, and then one client that stays.
pub fn clients<S>(connect: impl Fn() -> io::Result<S>, request: &str)
where
    S: Read + Write + Into<OwnedFd>,
{
    for _ in 0..ROUNDS {
        let mut client = connect().unwrap();
        client.write_all(request.as_bytes()).unwrap();
        vanish_at_the_gate(client);
    }
    STAYS.store(true, Relaxed);
    let mut client = connect().unwrap();
    client.write_all(request.as_bytes()).unwrap();
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !answer.ends_with(b"hello") {
        client.read_exact(&mut byte).unwrap();
        answer.extend(byte);
    }
}

/// A server on loopback that calls `each` with every client that connects.
pub fn server(each: impl Fn(std::net::TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().for_each(|client| each(client.unwrap())));
    address
}

/// A server that vanishes in the middle of a request whose body is [`Gated`].
pub fn server_that_vanishes() -> SocketAddr {
    server(vanish_at_the_gate)
}

/// A request's body. The server vanishes before its first byte.
pub struct Gated(bool);

impl Gated {
    pub fn new() -> Gated {
        Gated(false)
    }

    fn next(&mut self) -> Option<&'static [u8]> {
        if std::mem::replace(&mut self.0, true) {
            return None;
        }
        until_gone();
        Some(b"body")
    }
}

impl Body for Gated {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.next().map(|data| Ok(Frame::data(Bytes::from_static(data)))))
    }
}

impl Read for Gated {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.next().unwrap_or_default().read(buf)
    }
}

/// Asserts that a call failed with `EPIPE`, however many errors are wrapped around it.
pub fn assert_gone<T>(answer: Result<T, impl Error + 'static>) {
    let error = answer.err().expect("the peer was gone");
    let mut cause: &dyn Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    assert!(cause.to_string().contains("Broken pipe"), "another error: {error:?}");
}
