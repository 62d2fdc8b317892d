//! mio: its sockets write by `writev` as std's do, and its pipes by `write`.

use std::io::{Read, Write};
use std::os::fd::{FromRawFd, IntoRawFd};
use std::time::Duration;

use epipe::NoSigpipe;
use mio::net::{TcpStream, UnixStream};
use mio::unix::pipe::Sender;
use mio::{Events, Interest, Poll, Token};

use crate::Scene;
use crate::rows::{Row, pairs, play_rows};
use crate::support::{Break, assert_epipe, broken_pipe, slices, tcp_pair, unix_pair};

macro_rules! rows {
    ($type:ty) => {
        [
            Row {
                name: "write_vectored",
                ours: |fd| {
                    // SAFETY: the descriptor was owned just before, and into_raw_fd released it.
                    let s = unsafe { <$type>::from_raw_fd(fd.into_raw_fd()) };
                    let mut s = NoSigpipe::new(s).unwrap();
                    Box::new(move || s.write_vectored(&slices()).map(|n| n as u64))
                },
                control: |fd| {
                    // SAFETY: as above.
                    let mut s = unsafe { <$type>::from_raw_fd(fd.into_raw_fd()) };
                    Box::new(move || s.write_vectored(&slices()).map(|n| n as u64))
                },
            },
            Row {
                name: "write_vectored by reference, registered",
                ours: |fd| {
                    // SAFETY: as above.
                    let s = unsafe { <$type>::from_raw_fd(fd.into_raw_fd()) };
                    s.take_error().unwrap();
                    let mut s = NoSigpipe::new(s).unwrap();
                    let mut poll = Poll::new().unwrap();
                    let token = Token(1);
                    let registry = poll.registry();
                    registry.register(&mut s, token, Interest::WRITABLE).unwrap();
                    registry.reregister(&mut s, token, Interest::WRITABLE).unwrap();
                    let mut events = Events::with_capacity(1);
                    poll.poll(&mut events, None).unwrap();
                    assert!(events.iter().any(|event| event.is_writable()));
                    Box::new(move || {
                        let _ = &poll;
                        (&s).write_vectored(&slices()).map(|n| n as u64)
                    })
                },
                control: |fd| {
                    // SAFETY: as above.
                    let s = unsafe { <$type>::from_raw_fd(fd.into_raw_fd()) };
                    Box::new(move || (&s).write_vectored(&slices()).map(|n| n as u64))
                },
            },
        ]
    };
}

fn sender() -> Sender {
    // SAFETY: the descriptor was owned just before, and into_raw_fd released it.
    unsafe { Sender::from_raw_fd(broken_pipe().into_raw_fd()) }
}

pub fn scenes() -> Vec<Scene> {
    let tcp4 = || tcp_pair("127.0.0.1:0");
    let mut scenes = play_rows(tcp4, "mio tcp", Break::TCP, &rows!(TcpStream));
    scenes.extend(play_rows(unix_pair, "mio unix", Break::UNIX, &rows!(UnixStream)));
    scenes.extend(pairs! {
        "mio pipe: write":
            NoSigpipe::new(sender()).unwrap().write(b"x"),
            control sender().write(b"x");
        "mio pipe, boxed: write":
            NoSigpipe::new(Box::new(sender())).unwrap().write(b"x"),
            control sender().write(b"x");
        "mio pipe, shared: write":
            NoSigpipe::new(std::sync::Arc::new(sender())).unwrap().write(b"x"),
            control sender().write(b"x");
        "mio pipe, borrowed: write": {
            let sender = sender();
            NoSigpipe::new(&sender).unwrap().write(b"x")
        },
            control sender().write(b"x");
        "mio pipe: write_vectored":
            NoSigpipe::new(sender()).unwrap().write_vectored(&slices()),
            control sender().write_vectored(&slices());
    });
    scenes.push(Scene::survives("mio: a handle that is full is watched again", || {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut ours = NoSigpipe::new(UnixStream::from_std(ours)).unwrap();
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(1);
        poll.registry().register(&mut ours, Token(1), Interest::WRITABLE).unwrap();
        let mut is_writable = || {
            poll.poll(&mut events, Some(Duration::from_secs(10))).unwrap();
            events.iter().any(|event| event.is_writable())
        };
        assert!(is_writable());
        let mut written = 0;
        let full = loop {
            match ours.write(&[7; 10_000]) {
                Ok(taken) => written += taken,
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), std::io::ErrorKind::WouldBlock);
        theirs.read_exact(&mut vec![0; written]).unwrap();
        assert!(is_writable());
    }));
    scenes
}
