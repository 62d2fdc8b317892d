//! `epipe::os::unix::net::UnixDatagram`, beyond what the other tests show. It converts its
//! addresses in its own code.

#![allow(missing_docs, reason = "a test")]
#![cfg(unix)]

use std::path::PathBuf;

use epipe::os::unix::net::{SocketAddr, UnixDatagram};

struct TempPath(PathBuf);

impl TempPath {
    fn new(name: &str) -> TempPath {
        TempPath(std::env::temp_dir().join(format!("epipe-{name}-{}", std::process::id())))
    }
}

impl Drop for TempPath {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn sends_to_a_path_and_peeks_at_the_sender() {
    let (here, there) = (TempPath::new("here"), TempPath::new("there"));
    let receiver = UnixDatagram::bind(&here.0).unwrap();
    let sender = UnixDatagram::bind(&there.0).unwrap();
    assert_eq!(sender.send_to(b"by path", &here.0).unwrap(), 7);
    let mut buf = [0; 16];
    assert_eq!(receiver.peek(&mut buf).unwrap(), 7);
    let (len, from) = receiver.peek_from(&mut buf).unwrap();
    assert_eq!((len, from.as_pathname()), (7, Some(&*there.0)));
    let (len, from) = receiver.recv_from(&mut buf).unwrap();
    assert_eq!((&buf[..len], from.as_pathname()), (&b"by path"[..], Some(&*there.0)));

    let address = SocketAddr::from_pathname(&here.0).unwrap();
    sender.send_to_addr(b"by address", &address).unwrap();
    assert_eq!(receiver.recv(&mut buf).unwrap(), 10);
}

#[test]
fn a_sender_without_a_name_is_unnamed() {
    let here = TempPath::new("unnamed");
    let receiver = UnixDatagram::bind(&here.0).unwrap();
    UnixDatagram::unbound().unwrap().send_to(b"x", &here.0).unwrap();
    let (_, from) = receiver.peek_from(&mut [0; 8]).unwrap();
    assert!(from.is_unnamed());
}

#[cfg(target_os = "linux")]
#[test]
fn sends_to_an_abstract_name() {
    use std::os::linux::net::SocketAddrExt;
    let name = |end: &str| {
        let name = format!("epipe-{end}-{}\0with a zero", std::process::id());
        SocketAddr::from_abstract_name(name).unwrap()
    };
    let receiver = UnixDatagram::bind_addr(&name("receiver")).unwrap();
    let sender = UnixDatagram::bind_addr(&name("sender")).unwrap();
    sender.send_to_addr(b"x", &name("receiver")).unwrap();
    let (_, from) = receiver.peek_from(&mut [0; 8]).unwrap();
    assert_eq!(from.as_abstract_name(), name("sender").as_abstract_name());
    let (_, from) = receiver.recv_from(&mut [0; 8]).unwrap();
    assert_eq!(from.as_abstract_name(), name("sender").as_abstract_name());

    // No socket has this name: the address was understood, and refused.
    let error = sender.send_to_addr(b"x", &name("absent")).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}
