//! After a broken connection, our calls report the same as the original's, on every system that has
//! sockets.
//!
//! This is only about equal errors. `tests/sigpipe` proves that no signal kills. (libtest ignores
//! SIGPIPE, otherwise the original's calls would kill here.)

#![allow(missing_docs, reason = "a test")]
#![cfg(any(windows, all(unix, not(target_os = "redox"))))] // it has no sendmsg

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use epipe::raw;
use socket2::{MsgHdr, Socket};

const DATA: &[u8] = b"a record";

fn slices() -> [IoSlice<'static>; 2] {
    [IoSlice::new(b"header"), IoSlice::new(b"body")]
}

/// The answer of a call, as far as a caller sees it.
type Answer = Result<(), (ErrorKind, Option<i32>)>;

fn answer<T>(result: io::Result<T>) -> Answer {
    match result {
        Ok(_) => Ok(()),
        Err(error) => Err((error.kind(), error.raw_os_error())),
    }
}

/// A call that can be repeated.
type Call = Box<dyn FnMut() -> Answer>;

/// A call of ours, and the same call of the original.
struct Row {
    name: &'static str,
    ours: fn(Socket) -> Call,
    std: fn(Socket) -> Call,
}

/// `Type: handle => call`: takes over the socket as a `Type`, then makes the call.
macro_rules! call {
    ($type:ty: $handle:ident => $call:expr) => {
        |socket| {
            #[allow(unused_mut)]
            let mut $handle = <$type>::from(socket);
            Box::new(move || answer($call))
        }
    };
}

/// `name: Type: handle => call, std Type: handle => call;`
macro_rules! rows {
    ($($name:literal:
        $ours:ty: $a:ident => $our_call:expr, std $std:ty: $b:ident => $std_call:expr;
    )+) => {
        vec![$(Row {
            name: $name,
            ours: call!($ours: $a => $our_call),
            std: call!($std: $b => $std_call),
        }),+]
    };
}

macro_rules! stream_rows {
    ($ours:ty, $std:ty) => {
        rows! {
            "write": $ours: s => s.write(DATA), std $std: s => s.write(DATA);
            "write by reference": $ours: s => (&s).write(DATA), std $std: s => (&s).write(DATA);
            "write_all": $ours: s => s.write_all(DATA), std $std: s => s.write_all(DATA);
            "write_fmt": $ours: s => write!(s, "{}", 1), std $std: s => write!(s, "{}", 1);
            "write_vectored":
                $ours: s => s.write_vectored(&slices()), std $std: s => s.write_vectored(&slices());
            "write_vectored by reference":
                $ours: s => (&s).write_vectored(&slices()),
                std $std: s => (&s).write_vectored(&slices());
            "a clone's write_vectored":
                $ours: s => s.try_clone().unwrap().write_vectored(&slices()),
                std $std: s => s.try_clone().unwrap().write_vectored(&slices());
            "io::copy":
                $ours: s => epipe::io::copy(&mut &*DATA, &mut s),
                std $std: s => io::copy(&mut &*DATA, &mut s);
        }
    };
}

fn socket_rows() -> Vec<Row> {
    rows! {
        "Socket::send": epipe::socket2::Socket: s => s.send(DATA), std Socket: s => s.send(DATA);
        "Socket::send_with_flags":
            epipe::socket2::Socket: s => s.send_with_flags(DATA, 0),
            std Socket: s => s.send_with_flags(DATA, 0);
        "Socket::send_vectored":
            epipe::socket2::Socket: s => s.send_vectored(&slices()),
            std Socket: s => s.send_vectored(&slices());
        "Socket::sendmsg":
            epipe::socket2::Socket: s => s.sendmsg(&MsgHdr::new().with_buffers(&slices()), 0),
            std Socket: s => s.sendmsg(&MsgHdr::new().with_buffers(&slices()), 0);
        "Socket::write": epipe::socket2::Socket: s => s.write(DATA), std Socket: s => s.write(DATA);
        "Socket::write_vectored by reference":
            epipe::socket2::Socket: s => (&s).write_vectored(&slices()),
            std Socket: s => (&s).write_vectored(&slices());
        "a cloned Socket's send":
            epipe::socket2::Socket: s => s.try_clone().unwrap().send(DATA),
            std Socket: s => s.try_clone().unwrap().send(DATA);
        "raw::send": Socket: s => raw::send(&s, DATA), std Socket: s => s.send(DATA);
        "raw::send_with_flags":
            Socket: s => raw::send_with_flags(&s, DATA, 0),
            std Socket: s => s.send_with_flags(DATA, 0);
        "raw::send_vectored":
            Socket: s => raw::send_vectored(&s, &slices()),
            std Socket: s => s.send_vectored(&slices());
        "raw::sendmsg":
            Socket: s => raw::sendmsg(&s, &MsgHdr::new().with_buffers(&slices()), 0),
            std Socket: s => s.sendmsg(&MsgHdr::new().with_buffers(&slices()), 0);
    }
}

fn tcp_rows() -> Vec<Row> {
    let mut rows = stream_rows!(epipe::net::TcpStream, TcpStream);
    rows.extend(socket_rows());
    rows
}

fn tcp_pair() -> (Socket, Socket) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    (ours.into(), theirs.into())
}

/// How a connection breaks.
#[derive(Clone, Copy, PartialEq)]
enum Break {
    /// The peer closes with a linger of zero.
    Reset,
    /// The peer closes with unread data.
    Unread,
    /// The peer closes without a reset.
    Closed,
    /// This side shuts down its sending half. The peer stays.
    OwnHalf,
}

impl Break {
    /// Breaks the connection of `ours`, and waits until the break is visible here. Returns the peer
    /// if it stays.
    fn apply(self, mut ours: &Socket, theirs: Socket) -> Option<Socket> {
        match self {
            Break::Reset => theirs.set_linger(Some(Duration::ZERO)).unwrap(),
            Break::Unread => {
                assert_eq!(ours.send(b"unread").unwrap(), 6);
                theirs.peek(&mut [std::mem::MaybeUninit::uninit()]).unwrap();
            }
            Break::Closed => {}
            Break::OwnHalf => {
                ours.shutdown(Shutdown::Write).unwrap();
                return Some(theirs);
            }
        }
        drop(theirs);
        // Blocks until the reset, or the end, has arrived.
        match (self, ours.read(&mut [0])) {
            // On Wine, another thread may take the error first. Then only the end is left.
            (Break::Reset, Ok(0)) if cfg!(windows) => {}
            (Break::Reset, seen) => {
                assert_eq!(seen.unwrap_err().kind(), ErrorKind::ConnectionReset);
            }
            (Break::Closed, seen) => assert_eq!(seen.unwrap(), 0),
            (_, _) => {} // a reset on some systems, the end on others
        }
        None
    }
}

/// The answers of a call after the break, until the second call after its first error. The number
/// of successes before that depends on when the reset arrives, and counts as one.
fn answers(pair: fn() -> (Socket, Socket), broken: Break, call: fn(Socket) -> Call) -> Vec<Answer> {
    let (ours, theirs) = pair();
    let watch = ours.try_clone().unwrap();
    let mut call = call(ours);
    let _peer = broken.apply(&watch, theirs);

    let mut answers = Vec::new();
    let end = Instant::now() + Duration::from_secs(20);
    let first = loop {
        match call() {
            Ok(()) if Instant::now() < end => {
                answers = vec![Ok(())];
                thread::yield_now();
            }
            answer => break answer,
        }
    };
    answers.extend([first, call(), call()]);
    answers
}

#[track_caller]
fn same_answers(pair: fn() -> (Socket, Socket), broken: Break, rows: Vec<Row>) {
    for Row { name, ours, std } in rows {
        let ours = answers(pair, broken, ours);
        assert_eq!(ours, answers(pair, broken, std), "{name}: ours, then std or socket2");
        let (kind, _) = ours[ours.len() - 1].expect_err(name);
        let gone =
            [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset, ErrorKind::ConnectionAborted];
        assert!(broken == Break::OwnHalf || gone.contains(&kind), "{name}: {ours:?}");
    }
}

#[test]
fn tcp_after_a_reset() {
    same_answers(tcp_pair, Break::Reset, tcp_rows());
}

#[test]
fn tcp_after_a_close_with_unread_data() {
    same_answers(tcp_pair, Break::Unread, tcp_rows());
}

#[test]
fn tcp_after_a_clean_close() {
    same_answers(tcp_pair, Break::Closed, tcp_rows());
}

#[test]
fn tcp_after_our_own_half_close() {
    same_answers(tcp_pair, Break::OwnHalf, tcp_rows());
}

#[cfg(unix)]
mod unix {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn unix_pair() -> (Socket, Socket) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (ours.into(), theirs.into())
    }

    fn unix_rows() -> Vec<Row> {
        let mut rows = stream_rows!(epipe::os::unix::net::UnixStream, UnixStream);
        rows.extend(socket_rows());
        rows
    }

    #[test]
    fn unix_after_a_close_with_unread_data() {
        same_answers(unix_pair, Break::Unread, unix_rows());
    }

    #[test]
    fn unix_after_a_clean_close() {
        same_answers(unix_pair, Break::Closed, unix_rows());
    }

    #[test]
    fn unix_after_our_own_half_close() {
        same_answers(unix_pair, Break::OwnHalf, unix_rows());
    }
}

#[test]
fn a_pipe_without_a_reader() {
    let ours = || {
        let (reader, writer) = epipe::io::pipe().unwrap();
        drop(reader);
        writer
    };
    let std = || {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        writer
    };
    let pairs = [
        (answer(ours().write(DATA)), answer(std().write(DATA))),
        (answer((&ours()).write(DATA)), answer((&std()).write(DATA))),
        (answer(ours().write_all(DATA)), answer(std().write_all(DATA))),
        (answer(ours().write_vectored(&slices())), answer(std().write_vectored(&slices()))),
        (
            answer(epipe::io::copy(&mut &*DATA, &mut ours())),
            answer(io::copy(&mut &*DATA, &mut std())),
        ),
    ];
    for (ours, std) in pairs {
        assert_eq!(ours, std);
        assert_eq!(ours.unwrap_err().0, ErrorKind::BrokenPipe);
    }
}

/// A system without the signal: queries answer, and a guard does nothing.
#[cfg(windows)]
mod without_the_signal {
    use epipe::sigpipe::{
        Disposition, Guard, catch_unwind, disposition, guard, ignore, restore_default, suppressed,
    };

    #[test]
    fn it_counts_as_ignored() {
        assert_eq!(disposition().unwrap(), Disposition::Ignored);
        assert_eq!(ignore().unwrap(), Disposition::Ignored);
        assert_eq!(restore_default().unwrap(), Disposition::Ignored);
    }

    #[test]
    fn a_guard_is_nothing_and_stays_on_its_thread() {
        // Ambiguous, so it would not compile if `Guard` were `Send`.
        trait AmbiguousIfSend<A> {
            fn check() {}
        }
        impl<T: ?Sized> AmbiguousIfSend<()> for T {}
        impl<T: ?Sized + Send> AmbiguousIfSend<u8> for T {}
        <Guard as AmbiguousIfSend<_>>::check();

        assert_eq!(size_of::<Guard>(), 0);
        let outer = guard().unwrap();
        drop(guard().unwrap());
        drop(outer);
        assert_eq!(suppressed(|| 7).unwrap(), 7);
        assert_eq!(catch_unwind(|| 7).unwrap().unwrap(), 7);
    }

    #[test]
    fn a_type_is_as_large_as_the_original() {
        use epipe::{io, net};
        assert_eq!(
            [
                size_of::<net::TcpStream>(),
                size_of::<net::TcpListener>(),
                size_of::<net::UdpSocket>(),
                size_of::<io::PipeReader>(),
                size_of::<io::PipeWriter>(),
                size_of::<epipe::socket2::Socket>(),
            ],
            [
                size_of::<std::net::TcpStream>(),
                size_of::<std::net::TcpListener>(),
                size_of::<std::net::UdpSocket>(),
                size_of::<std::io::PipeReader>(),
                size_of::<std::io::PipeWriter>(),
                size_of::<socket2::Socket>(),
            ]
        );
    }
}
