//! How a TLS connection over this crate's streams ends: by a truncation, and by a close_notify.

#![cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
))]
#![allow(missing_docs, reason = "a test")]

#[path = "scenes/tls.rs"]
#[allow(dead_code, reason = "the scenes use all of it")]
mod tls;

use std::io::{self, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use epipe::os::unix::net::UnixStream;
use epipe_util::close::{Ending, close_gracefully};
use epipe_util::{Disconnect, DisconnectExt};
use rustls::{ClientConnection, ServerConnection, StreamOwned};

/// What a client reads from a server that says something and ends so.
fn reads(end: fn(StreamOwned<ServerConnection, UnixStream>)) -> io::Result<String> {
    let identity = tls::Identity::new();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let server = ServerConnection::new(identity.server()).unwrap();
    let peer = thread::spawn(move || {
        let mut server = StreamOwned::new(server, theirs);
        server.write_all(b"the first half").unwrap();
        server.flush().unwrap();
        end(server);
    });
    let conn = ClientConnection::new(identity.client(), tls::localhost()).unwrap();
    let mut client = StreamOwned::new(conn, ours);
    let mut said = String::new();
    let answer = client.read_to_string(&mut said);
    client.conn.send_close_notify();
    let _ = client.flush();
    drop(client);
    peer.join().unwrap();
    answer.map(|_| said)
}

#[test]
fn a_truncated_stream_is_told_from_one_that_has_ended() {
    // As a program that is killed ends.
    let cut = reads(drop);
    assert_eq!(cut.disconnect(), Some(Disconnect::Truncated), "{cut:?}");
    let whole = reads(|mut server| {
        server.conn.send_close_notify();
        server.flush().unwrap();
        let soon = Instant::now() + Duration::from_secs(10);
        assert_eq!(close_gracefully(server.sock, soon).unwrap(), Ending::Clean);
    });
    assert_eq!(whole.unwrap(), "the first half");
}

/// A TLS stream of foreign code, which shows its socket.
struct Tls(StreamOwned<ServerConnection, UnixStream>);

impl std::os::fd::AsFd for Tls {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.sock.as_fd()
    }
}

#[test]
fn a_tls_stream_in_the_adapter_ends_after_its_close_notify() {
    let whole = reads(|server| {
        let mut server = epipe::Guarded::new(Tls(server));
        let tls = &mut server.get_mut().0;
        tls.conn.send_close_notify();
        tls.flush().unwrap();
        let soon = Instant::now() + Duration::from_secs(10);
        assert_eq!(close_gracefully(server, soon).unwrap(), Ending::Clean);
    });
    assert_eq!(whole.unwrap(), "the first half");
}
