//! WASI and Emscripten have no signal, and our types answer as std's do. Both have files. Only
//! WASI's preview 2 has sockets.

#![allow(missing_docs, reason = "a test")]
#![cfg(any(target_os = "wasi", target_os = "emscripten"))]

use std::fs::File;
use std::io::{IoSlice, Write};

use epipe::{Guarded, NoSigpipe, raw};

#[test]
fn a_file_is_written_to() {
    // A directory that the host provides.
    let path = "/tmp/epipe";
    let mut file = NoSigpipe::new(File::create(path).unwrap()).unwrap();
    file.write_all(b"one ").unwrap();
    // The system may write only the first slice.
    let written = file.write_vectored(&[IoSlice::new(b"two"), IoSlice::new(b" three")]).unwrap();
    (&file).write_all(&b"two three"[written..]).unwrap();
    assert_eq!(raw::write(&file, b" four").unwrap(), 5);
    assert_eq!(epipe::io::copy(&mut &b" five"[..], &mut file).unwrap(), 5);
    Guarded::new(File::options().append(true).open(path).unwrap()).write_all(b" six").unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), "one two three four five six");
    drop(file);

    // An error passes untouched.
    let unwritable = || File::open(path).unwrap();
    let theirs = unwritable().write(b"x").unwrap_err();
    for ours in [
        NoSigpipe::new(unwritable()).unwrap().write(b"x"),
        raw::write(unwritable(), b"x"),
        Guarded::new(unwritable()).write(b"x"),
    ] {
        assert_eq!(ours.unwrap_err().raw_os_error(), theirs.raw_os_error());
    }
}

#[test]
fn output_is_written() {
    epipe::io::stdout().write_all(b"stdout is written to\n").unwrap();
    epipe::io::stderr().write_all(b"stderr is written to\n").unwrap();
}

#[cfg(all(target_os = "wasi", not(target_env = "p1")))]
mod sockets {
    use std::io::{self, ErrorKind, IoSlice, Read, Write};
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use epipe::socket2::Socket;
    use epipe::{NoSigpipe, raw};

    /// A connection whose peer is gone, and whose end was seen.
    fn broken() -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (theirs, _) = listener.accept().unwrap();
        drop(theirs);
        assert_eq!(ours.read(&mut [0]).unwrap(), 0);
        ours
    }

    /// The first error of a call that is repeated.
    fn error(mut call: impl FnMut() -> io::Result<usize>) -> Option<i32> {
        let error = (0..10_000).find_map(|_| call().err()).expect("the peer is gone");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        error.raw_os_error()
    }

    #[test]
    fn a_peer_that_is_gone_is_the_error_of_std() {
        let slices = [IoSlice::new(b"header"), IoSlice::new(b"body")];
        let theirs = error({
            let mut stream = broken();
            move || stream.write(b"x")
        });
        let mut ours = epipe::net::TcpStream::from(broken());
        assert_eq!(error(|| ours.write(b"x")), theirs);
        let mut ours = epipe::net::TcpStream::from(broken());
        assert_eq!(error(|| ours.write_vectored(&slices)), theirs);
        let mut ours = NoSigpipe::new(broken()).unwrap();
        assert_eq!(error(|| ours.write(b"x")), theirs);
        let ours = Socket::from(broken());
        assert_eq!(error(|| ours.send(b"x")), theirs);
        let ours = broken();
        assert_eq!(error(|| raw::send(&ours, b"x")), theirs);
        assert_eq!(error(|| raw::write(&ours, b"x")), theirs);
    }

    #[test]
    fn datagrams_arrive_since_they_carry_no_flag() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = receiver.local_addr().unwrap();
        let sender = epipe::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.send_to(b"one", address).unwrap();
        sender.connect(address).unwrap();
        let sender = Socket::from(std::net::UdpSocket::from(sender));
        sender.send(b"two").unwrap();
        raw::send(&sender, b"six").unwrap();
        for expected in [b"one", b"two", b"six"] {
            let mut buf = [0; 4];
            assert_eq!(receiver.recv(&mut buf).unwrap(), 3);
            assert_eq!(&buf[..3], expected);
        }

        // wasi-libc refuses datagrams with the flag.
        const MSG_NOSIGNAL: i32 = 0x4000;
        sender.send_with_flags(b"four", MSG_NOSIGNAL).unwrap_err();
    }
}
