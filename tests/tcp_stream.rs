//! `epipe::net::TcpStream`, beyond what `tests/sigpipe` and `tests/mirror.rs` show.

#![allow(missing_docs, reason = "a test")]
#![cfg(not(target_os = "wasi"))] // `tests/wasm.rs` covers it

use std::io::{BufRead, BufReader, IoSlice, IoSliceMut, Read, Write};

use epipe::net::{Shutdown, TcpListener, TcpStream};

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

#[test]
fn reads_and_writes_as_std_does() {
    let (mut a, mut b) = pair();
    assert_eq!(a.write_vectored(&[IoSlice::new(b"one "), IoSlice::new(b"two")]).unwrap(), 7);
    let (mut first, mut second) = ([0; 4], [0; 8]);
    let read =
        b.read_vectored(&mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)]).unwrap();
    assert_eq!((read, &first, &second[..3]), (7, b"one ", &b"two"[..]));

    a.write_all(b"line\nrest").unwrap();
    a.shutdown(Shutdown::Write).unwrap();
    let mut reader = BufReader::new(&b);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert_eq!((line.as_str(), &rest[..]), ("line\n", &b"rest"[..]));
    a.flush().unwrap();
}

#[cfg(unix)]
#[test]
fn a_handle_keeps_its_number_through_every_conversion() {
    use std::os::fd::{AsRawFd, OwnedFd};
    let (ours, mut peer) = pair();
    let number = ours.as_raw_fd();
    let ours = TcpStream::from(std::net::TcpStream::from(ours));
    let ours = TcpStream::from(OwnedFd::from(ours));
    let ours = TcpStream::from(socket2::Socket::from(ours));
    let mut ours = TcpStream::from(epipe::socket2::Socket::from(ours));
    assert_eq!(ours.as_raw_fd(), number);
    ours.write_all(b"x").unwrap();
    assert_eq!(peer.read(&mut [0; 8]).unwrap(), 1);
}

/// For systems with socket options.
#[cfg(any(unix, windows))]
mod linger {
    use std::io::{self, Read};
    use std::time::Duration;

    use super::pair;

    #[test]
    fn linger_is_kept() {
        let (a, _b) = pair();
        assert_eq!(a.linger().unwrap(), None);
        a.set_linger(Some(Duration::from_secs(3))).unwrap();
        assert_eq!(a.linger().unwrap(), Some(Duration::from_secs(3)));
        a.set_linger(None).unwrap();
        assert_eq!(a.linger().unwrap(), None);
    }

    #[test]
    fn zero_linger_resets() {
        let (a, mut b) = pair();
        a.set_linger(Some(Duration::ZERO)).unwrap();
        drop(a);
        match b.read(&mut [0]) {
            // On Wine, another thread may take the error first (getsockopt SO_ERROR). Then only the
            // end is left.
            Ok(0) if cfg!(windows) => {}
            answer => assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::ConnectionReset),
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn linux_has_its_options() {
    use epipe::os::linux::net::TcpStreamExt;
    let (a, _b) = pair();
    a.set_quickack(false).unwrap();
    assert!(!a.quickack().unwrap());
    a.set_quickack(true).unwrap();
    assert!(a.quickack().unwrap());
    a.set_deferaccept(std::time::Duration::from_secs(1)).unwrap();
    assert_eq!(a.deferaccept().unwrap(), std::time::Duration::from_secs(1));
    a.set_deferaccept(std::time::Duration::ZERO).unwrap();
    assert_eq!(a.deferaccept().unwrap(), std::time::Duration::ZERO);
}

#[cfg(any(unix, windows))]
#[test]
fn options_are_set_through_sock_ref() {
    let (a, _b) = pair();
    let reference = socket2::SockRef::from(&a);
    reference.set_keepalive(true).unwrap();
    assert!(reference.keepalive().unwrap());
}

#[test]
fn into_incoming_accepts_by_value() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut incoming = listener.into_incoming();
    // One after the other: gVisor may queue two simultaneous connections in either order.
    for _ in 0..2 {
        let client = TcpStream::connect(address).unwrap();
        let accepted = incoming.next().unwrap().unwrap();
        assert_eq!(accepted.peer_addr().unwrap(), client.local_addr().unwrap());
    }
}
