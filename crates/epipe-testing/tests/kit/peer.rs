//! A peer breaks at its byte, and the next write reports what the docs say.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use epipe_testing::{Break, Peer, Script, WaitError, assert_killed, assert_survives, wait_reset};

use crate::support::{RESET, foreign_write, spell};
use crate::{SOON, rounds};

/// Both ends of a TCP connection.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (ours, listener.accept().unwrap().0)
}

/// An address family, and the three ways to connect a peer.
trait Family {
    type Stream: Read + Write + AsFd + Into<OwnedFd>;
    fn listening(script: Script) -> (Peer, Self::Stream);
    fn connecting(script: Script) -> (Peer, Self::Stream);
    fn holding(script: Script) -> (Peer, Self::Stream);
}

struct V4;
struct V6;
struct Unix;

fn tcp(peer: Peer) -> (Peer, TcpStream) {
    let stream = TcpStream::connect(peer.address().unwrap()).unwrap();
    (peer, stream)
}

fn served_by_tcp(address: &str, script: Script) -> (Peer, TcpStream) {
    let listener = TcpListener::bind(address).unwrap();
    let peer = Peer::connect(listener.local_addr().unwrap(), script).unwrap();
    (peer, listener.accept().unwrap().0)
}

fn held_by_tcp(address: &str, script: Script) -> (Peer, TcpStream) {
    let listener = TcpListener::bind(address).unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (end, _) = listener.accept().unwrap();
    (Peer::holding(end, script).unwrap(), stream)
}

impl Family for V4 {
    type Stream = TcpStream;
    fn listening(script: Script) -> (Peer, TcpStream) {
        tcp(Peer::listen(script).unwrap())
    }
    fn connecting(script: Script) -> (Peer, TcpStream) {
        served_by_tcp("127.0.0.1:0", script)
    }
    fn holding(script: Script) -> (Peer, TcpStream) {
        held_by_tcp("127.0.0.1:0", script)
    }
}

impl Family for V6 {
    type Stream = TcpStream;
    fn listening(script: Script) -> (Peer, TcpStream) {
        tcp(Peer::listen_v6(script).unwrap())
    }
    fn connecting(script: Script) -> (Peer, TcpStream) {
        served_by_tcp("[::1]:0", script)
    }
    fn holding(script: Script) -> (Peer, TcpStream) {
        held_by_tcp("[::1]:0", script)
    }
}

impl Family for Unix {
    type Stream = UnixStream;
    fn listening(script: Script) -> (Peer, UnixStream) {
        let peer = Peer::listen_unix(script).unwrap();
        let stream = UnixStream::connect(peer.path().unwrap()).unwrap();
        (peer, stream)
    }
    fn connecting(script: Script) -> (Peer, UnixStream) {
        // Each call has its own path: tests run at the same time.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("epipe-served-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let peer = Peer::connect_unix(&path, script).unwrap();
        std::fs::remove_file(&path).unwrap();
        (peer, listener.accept().unwrap().0)
    }
    fn holding(script: Script) -> (Peer, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Peer::holding(theirs, script).unwrap(), ours)
    }
}

/// The results of unprotected `write(2)` calls. Each waits for the reset that the call before it
/// has drawn.
fn writes(stream: &impl AsFd, answers: usize) -> Vec<String> {
    (0..answers)
        .map(|number| {
            if number > 0 {
                wait_reset(stream, SOON).unwrap();
            }
            spell(&foreign_write(stream, b"lost"))
        })
        .collect()
}

/// The docs' table. A row is a break, and the results of writes on TCP and on a Unix socket.
const TABLE: &[(Break, &[&str], &[&str])] = &[
    (Break::RESET_AT_ACCEPT, RESET, &["EPIPE"]),
    (Break::ResetAfter(5), RESET, &["EPIPE"]),
    (Break::FinAfter(5), &["ok", "EPIPE"], &["EPIPE"]),
    #[cfg(target_os = "linux")] // it resets there
    (Break::CloseUnread(5), RESET, &["EPIPE"]),
    (Break::FinThenReset(5), &["EPIPE"], &["EPIPE"]),
    (Break::HalfClose(5), &["ok"], &["ok"]),
];

/// Sends exactly the break's count, or one byte more if the break needs it, and waits.
fn broken<F: Family>(breaks: Break, connect: fn(Script) -> (Peer, F::Stream)) -> (Peer, F::Stream) {
    let (peer, mut stream) = connect(breaks.into());
    let unread = matches!(breaks, Break::CloseUnread(_));
    let count = if breaks == Break::RESET_AT_ACCEPT { 0 } else { 5 };
    if count > 0 {
        stream.write_all(&vec![b'x'; count + usize::from(unread)]).unwrap();
    }
    peer.wait_broken(&stream, SOON).unwrap();
    assert_eq!(peer.received(), count as u64, "{breaks:?}");
    (peer, stream)
}

fn play_once<F: Family>(breaks: Break, connect: fn(Script) -> (Peer, F::Stream), answers: &[&str]) {
    let (_peer, stream) = broken::<F>(breaks, connect);
    assert_eq!(writes(&stream, answers.len()), answers, "{breaks:?}");
}

fn play<F: Family>(breaks: Break, answers: &[&str]) {
    for connect in [F::listening, F::connecting, F::holding] {
        play_once::<F>(breaks, connect, answers);
    }
}

#[test]
fn the_next_writes_report_what_the_table_says() {
    for (breaks, tcp, unix) in TABLE.iter().copied() {
        play::<V4>(breaks, tcp);
        play::<V6>(breaks, tcp);
        play::<Unix>(breaks, unix);
    }
}

#[test]
fn each_row_of_the_table_holds_round_after_round() {
    for (breaks, answers, unix) in TABLE.iter().copied() {
        for round in 0..rounds() {
            play_once::<V4>(breaks, V4::listening, answers);
            play_once::<Unix>(breaks, Unix::listening, unix);
            // The other ways to connect, in turn.
            match round % 6 {
                0 => play_once::<V6>(breaks, V6::listening, answers),
                1 => play_once::<V6>(breaks, V6::holding, answers),
                2 => play_once::<V4>(breaks, V4::connecting, answers),
                3 => play_once::<V4>(breaks, V4::holding, answers),
                4 => play_once::<Unix>(breaks, Unix::connecting, unix),
                _ => play_once::<Unix>(breaks, Unix::holding, unix),
            }
        }
    }
}

#[test]
fn a_reset_at_byte_0_is_not_reported_by_connect() {
    const HELD_BACK: Duration = Duration::from_millis(50);
    // One of 100 is enough: on a busy machine some are slow.
    fn is_quick(mut play: impl FnMut() -> Instant) {
        let once = |_| play().elapsed() < HELD_BACK / 2;
        assert!((0..100).any(once));
    }
    for breaks in [Break::RESET_AT_ACCEPT, Break::FinThenReset(0)] {
        // Without `wait_broken`, the peer does not know that `connect` has returned.
        let begun = Instant::now();
        let (_peer, stream) = V4::listening(breaks.into());
        wait_reset(&stream, SOON).unwrap();
        assert!(begun.elapsed() >= HELD_BACK, "{breaks:?}");
        // `wait_broken` reports it.
        is_quick(|| {
            let begun = Instant::now();
            let (peer, stream) = V4::listening(breaks.into());
            peer.wait_broken(&stream, SOON).unwrap();
            begun
        });
        // Dropping the peer ends the delay.
        is_quick(|| {
            let (peer, mut stream) = V4::listening(breaks.greeting("x"));
            stream.read_exact(&mut [0]).unwrap();
            let begun = Instant::now();
            drop(peer);
            begun
        });
        // No delay: `connect` has returned.
        is_quick(|| {
            let begun = Instant::now();
            let (_peer, stream) = V4::holding(breaks.into());
            wait_reset(&stream, SOON).unwrap();
            begun
        });
        is_quick(|| {
            let begun = Instant::now();
            let (_peer, stream) = Unix::listening(breaks.into());
            wait_reset(&stream, SOON).unwrap();
            begun
        });
    }
}

#[test]
fn reads_report_what_the_table_says() {
    for (breaks, _, _) in TABLE.iter().copied() {
        let script = breaks.answering("the last data");
        let (peer, mut stream) = V4::listening(script);
        if let Break::CloseUnread(_) = breaks {
            stream.write_all(b"unread").unwrap();
        } else if breaks != Break::RESET_AT_ACCEPT {
            stream.write_all(b"bytes").unwrap();
        }
        peer.wait_broken(&stream, SOON).unwrap();
        let mut received = [0; 13];
        stream.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"the last data");
        let resets = matches!(breaks, Break::ResetAfter(_) | Break::CloseUnread(_));
        if resets {
            assert_eq!(spell(&stream.read(&mut [0])), "ECONNRESET", "{breaks:?}");
        }
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "{breaks:?}");
    }
    // Over a Unix socket, with unread data.
    #[cfg(target_os = "linux")]
    {
        let (_peer, mut stream) = broken::<Unix>(Break::CloseUnread(5), Unix::listening);
        assert_eq!(spell(&stream.read(&mut [0])), "ECONNRESET");
    }
}

#[test]
fn an_unread_greeting_does_not_prevent_the_break() {
    let script = Break::ResetAfter(4).greeting(vec![0; 50 << 20]);
    let (peer, mut stream) = V4::listening(script);
    // The peer reads while it still has bytes to send.
    stream.write_all(b"four").unwrap();
    assert_eq!(peer.wait_done(SOON).unwrap(), 4);
    wait_reset(&stream, SOON).unwrap();
}

#[test]
fn a_fin_stands_behind_an_unread_greeting() {
    let greeting = vec![0; 8 << 20];
    let (peer, _stream) = V4::listening(Break::FinThenReset(0).greeting(&*greeting));
    let error = peer.wait_done(SOON).unwrap_err();
    assert!(error.to_string().contains("does not read the greeting"), "{error}");
    let (peer, mut stream) = V4::listening(Break::FinAfter(0).greeting(&*greeting));
    peer.wait_done(SOON).unwrap();
    peer.wait_broken(&stream, Duration::ZERO).unwrap_err();
    while stream.read(&mut vec![0; 65536]).unwrap() > 0 {}
    peer.wait_broken(&stream, SOON).unwrap();
}

#[test]
fn an_answer_arrives_before_the_break_however_late_it_is_read() {
    // More than the buffers hold. Also after two FINs, when poll reports an end.
    let answer = vec![b'a'; 16 << 20];
    let longer_than_for_a_greeting = Duration::from_millis(700);
    for (breaks, half_closes) in [
        (Break::ResetAfter(4), false),
        (Break::ResetAfter(4), true),
        (Break::FinThenReset(4), false),
        (Break::FinThenReset(4), true),
        (Break::FinAfter(4), false),
    ] {
        let (peer, mut stream) = V4::listening(breaks.answering(&*answer));
        stream.write_all(b"four").unwrap();
        if half_closes {
            stream.shutdown(Shutdown::Write).unwrap();
        }
        let waits = peer.wait_done(longer_than_for_a_greeting);
        assert!(matches!(waits, Err(WaitError::TimedOut { received: 4 })));
        let mut read = vec![0; answer.len()];
        stream.read_exact(&mut read).unwrap();
        assert!(read == answer);
        peer.wait_broken(&stream, SOON).unwrap();
    }
}

#[test]
fn an_answer_behind_a_fin_is_not_destroyed_by_what_the_other_side_still_sends() {
    let answer = vec![b'a'; 2_000_000];
    let (peer, stream) = V4::listening(Break::FinAfter(4).answering(&*answer));
    thread::scope(|threads| {
        // It writes until the reset that these bytes draw.
        let writer = threads.spawn(|| while (&stream).write(b"more").is_ok() {});
        let mut read = vec![0; answer.len()];
        (&stream).read_exact(&mut read).unwrap();
        assert!(read == answer);
        writer.join().unwrap();
    });
    assert_eq!(peer.wait_done(SOON).unwrap(), 4);
}

#[test]
fn a_trickling_peer_sends_all_its_bytes_and_closes() {
    let script = Break::Trickle(1000).greeting(vec![b'g'; 300_000]).answering("answer");
    let (_peer, mut stream) = V4::listening(script);
    stream.write_all(b"GET").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    assert_eq!(received.len(), 300_006);
    assert!(received.ends_with(b"answer"));
}

#[test]
fn a_request_arrives_whole_with_the_break_behind_it() {
    for round in 0..rounds() {
        let request = vec![b'r'; 1 + round as usize * 977 % 30_000];
        for (breaks, end) in [(Break::FinThenReset(0), "ok"), (Break::ResetAfter(0), RESET[0])] {
            for connect in [V4::connecting, V4::holding] {
                let (peer, mut stream) = connect(breaks.greeting(&*request));
                peer.wait_broken(&stream, SOON).unwrap();
                let mut received = Vec::new();
                let read = stream.read_to_end(&mut received);
                assert!(received == request, "{breaks:?}: {} bytes", received.len());
                assert_eq!(spell(&read.map(drop)), end, "{breaks:?}");
                assert_eq!(writes(&stream, 1), ["EPIPE"], "{breaks:?}");
            }
        }
    }
    // More than one write takes.
    let request = vec![b'r'; 5 << 20];
    let (peer, mut stream) = V4::connecting(Break::FinThenReset(0).greeting(&*request));
    let mut received = vec![0; request.len()];
    stream.read_exact(&mut received).unwrap();
    peer.wait_broken(&stream, SOON).unwrap();
    assert!(received == request);
    assert_eq!(writes(&stream, 1), ["EPIPE"]);
}

#[test]
fn a_peer_that_is_dropped_before_its_break_vanishes_in_the_same_way() {
    for (breaks, answers) in
        [(Break::FinThenReset(9), &["EPIPE"][..]), (Break::ResetAfter(9), RESET)]
    {
        for _ in 0..rounds() {
            let (peer, mut stream) = V4::connecting(breaks.greeting("x"));
            stream.read_exact(&mut [0]).unwrap();
            stream.write_all(b"too few").unwrap();
            drop(peer);
            // A process that another test starts may hold a copy of the socket for a moment.
            wait_reset(&stream, SOON).unwrap();
            assert_eq!(writes(&stream, answers.len()), answers, "{breaks:?}");
        }
    }
}

#[test]
fn it_breaks_at_the_byte_and_not_before() {
    for round in 0..rounds() {
        let count = 1 + u64::from(round % 97);
        let (peer, mut stream) = V4::listening(Break::ResetAfter(count).into());
        stream.write_all(&vec![b'x'; count as usize - 1]).unwrap();
        while peer.received() < count - 1 {
            thread::yield_now();
        }
        let early = wait_reset(&stream, Duration::ZERO).unwrap_err();
        assert_eq!(early.kind(), io::ErrorKind::TimedOut);

        stream.write_all(b"x").unwrap();
        peer.wait_broken(&stream, SOON).unwrap();
        assert_eq!(peer.received(), count);
        assert_eq!(writes(&stream, RESET.len()), RESET);
    }
}

#[test]
fn what_is_sent_beyond_the_byte_is_not_received() {
    for round in 0..rounds() {
        let count = u64::from(round * 131 % 5000);
        let (peer, mut stream) = V4::listening(Break::ResetAfter(count).into());
        // One write: the reset may come before its last byte.
        let _ = stream.write(&[b'x'; 8192]);
        peer.wait_broken(&stream, SOON).unwrap();
        assert_eq!(peer.received(), count);
    }
}

#[test]
fn a_clean_close_throws_away_what_has_arrived_beyond_the_byte() {
    for _ in 0..rounds() {
        // All eight bytes have arrived before the peer starts.
        let (ours, theirs) = pair();
        (&ours).write_all(b"too many").unwrap();
        let peer = Peer::holding(theirs, Break::FinAfter(3)).unwrap();
        peer.wait_broken(&ours, SOON).unwrap();
        // A close with unread bytes would have reset.
        wait_reset(&ours, Duration::from_millis(1)).unwrap_err();
        assert_eq!(writes(&ours, 2), ["ok", "EPIPE"]);
        assert_eq!(peer.received(), 3);
    }
    // A sender that is faster than the peer's reads delays the close only for a while.
    let (ours, theirs) = pair();
    let peer = Peer::holding(theirs, Break::FinAfter(3)).unwrap();
    thread::scope(|threads| {
        threads.spawn(|| while (&ours).write(&[b'x'; 1 << 20]).is_ok() {});
        assert_eq!(peer.wait_done(SOON).unwrap(), 3);
    });
}

#[test]
fn a_unix_peer_that_has_closed_takes_no_more_even_while_a_copy_is_open() {
    // As when another thread is starting a process.
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let _copy = theirs.try_clone().unwrap();
    ours.write_all(b"too many").unwrap();
    let peer = Peer::holding(theirs, Break::FinAfter(3)).unwrap();
    peer.wait_broken(&ours, SOON).unwrap();
    assert_eq!(writes(&ours, 1), ["EPIPE"]);
    assert_eq!(ours.read(&mut [0]).unwrap(), 0);
}

#[test]
fn it_connects_to_the_first_address_that_answers() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addresses = [closed.unwrap(), listener.local_addr().unwrap()];
    let peer = Peer::connect(&addresses[..], Break::RESET_AT_ACCEPT).unwrap();
    peer.wait_broken(&listener.accept().unwrap().0, SOON).unwrap();
}

#[test]
fn bytes_sent_before_the_reset_can_still_be_read() {
    for round in 0..rounds() {
        let greeting = vec![b'g'; 1 + round as usize * 37 % 3000];
        let answer = vec![b'a'; 1 + round as usize * 101 % 30_000];
        let script = Break::ResetAfter(4).greeting(greeting.clone()).answering(answer.clone());
        let (peer, mut stream) = V4::listening(script);
        let mut greeted = vec![0; greeting.len()];
        stream.read_exact(&mut greeted).unwrap();
        assert_eq!(greeted, greeting);
        stream.write_all(b"more").unwrap();

        peer.wait_broken(&stream, SOON).unwrap();
        // As the table says: a read of data does not take the error.
        let mut answered = vec![0; answer.len()];
        stream.read_exact(&mut answered).unwrap();
        assert_eq!(answered, answer);
        let end = stream.read(&mut [0]).unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
        // That read has taken the error.
        assert_eq!(writes(&stream, 1), ["EPIPE"]);
    }
}

#[test]
fn so_error_takes_the_reset() {
    let (_peer, stream) = broken::<V4>(Break::ResetAfter(5), V4::listening);
    assert!(stream.take_error().unwrap().is_some());
    assert_eq!(writes(&stream, 1), ["EPIPE"]);
}

#[test]
fn a_half_closed_peer_still_receives() {
    let (peer, mut stream) = broken::<V4>(Break::HalfClose(5), V4::listening);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    for _ in 0..100 {
        stream.write_all(&[b'x'; 64 * 1024]).unwrap();
    }
    drop(peer);
}

#[test]
fn a_peer_that_stops_reading_fills_the_buffers() {
    fn fills<F: Family>(set_nonblocking: fn(&F::Stream))
    where
        F::Stream: Write,
    {
        let (peer, mut stream) = F::listening(Break::StopReading(1000).into());
        set_nonblocking(&stream);
        let mut sent = 0;
        let full = loop {
            match stream.write(&[b'x'; 4096]) {
                Ok(written) => sent += written,
                // Before the peer stops, it may still make room.
                Err(_) if peer.received() < 1000 => thread::yield_now(),
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        peer.wait_broken(&stream, SOON).unwrap();
        assert_eq!(peer.received(), 1000);
        assert!(sent > 1000);
        // The peer stays connected until it is dropped.
        drop(peer);
        wait_reset(&stream, SOON).unwrap();
    }
    fills::<V4>(|stream| stream.set_nonblocking(true).unwrap());
    fills::<Unix>(|stream| stream.set_nonblocking(true).unwrap());
}

#[test]
fn a_trickling_peer_takes_all_of_it_in_many_small_writes() {
    let (peer, mut stream) = V4::listening(Break::Trickle(3).greeting(vec![b'g'; 100]));
    stream.set_nonblocking(true).unwrap();
    // The default buffer would take all bytes at once.
    let small = socket2::SockRef::from(&stream);
    small.set_send_buffer_size(4096).unwrap();
    let data = vec![b'x'; 200_000];
    let mut sent = 0;
    let mut short = 0;
    while sent < data.len() {
        match stream.write(&data[sent..]) {
            Ok(written) => {
                sent += written;
                short += u32::from(sent < data.len());
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                thread::yield_now();
            }
        }
    }
    assert!(short > 1, "{short} short counts");
    stream.set_nonblocking(false).unwrap();
    let mut greeting = [0; 100];
    stream.read_exact(&mut greeting).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    while peer.received() < data.len() as u64 {
        thread::yield_now();
    }
    assert!(matches!(peer.wait_broken(&stream, SOON), Err(WaitError::NeverBreaks)));
}

#[test]
fn a_break_that_does_not_come_is_an_error_with_its_reason() {
    let (peer, mut stream) = V4::listening(Break::ResetAfter(5).into());
    stream.write_all(b"four").unwrap();
    while peer.received() < 4 {
        thread::yield_now();
    }
    let late = peer.wait_broken(&stream, Duration::ZERO);
    assert!(matches!(late, Err(WaitError::TimedOut { received: 4 })), "{late:?}");
    stream.shutdown(Shutdown::Write).unwrap();
    let ended = peer.wait_broken(&stream, SOON);
    assert!(matches!(ended, Err(WaitError::Ended { received: 4 })), "{ended:?}");

    // The other side ends: no more bytes come, an answer is half written, or is in a buffer.
    for breaks in [
        Break::CloseUnread(4).into(),
        Break::ResetAfter(4).answering(vec![0; 50 << 20]),
        Break::ResetAfter(4).answering(vec![0; 100_000]),
    ] {
        let (peer, mut stream) = V4::listening(breaks);
        let options = socket2::SockRef::from(&stream);
        options.set_recv_buffer_size(4096).unwrap();
        options.set_linger(Some(Duration::ZERO)).unwrap();
        stream.write_all(b"four").unwrap();
        while peer.received() < 4 {
            thread::yield_now();
        }
        peer.wait_done(Duration::from_millis(100)).unwrap_err();
        drop(stream);
        let ended = peer.wait_done(SOON);
        assert!(matches!(ended, Err(WaitError::Ended { received: 4 })), "{ended:?}");
    }

    let (peer, mut stream) = V4::listening(Break::CloseUnread(4).into());
    stream.write_all(b"four").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let ended = peer.wait_broken(&stream, SOON);
    assert!(matches!(ended, Err(WaitError::Ended { received: 4 })), "{ended:?}");
}

#[test]
fn it_takes_one_connection_on_loopback() {
    let (peer, _stream) = broken::<V4>(Break::HalfClose(5), V4::listening);
    let refused = TcpStream::connect(peer.address().unwrap()).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);

    let far = Peer::connect("192.0.2.1:9", Break::RESET_AT_ACCEPT).unwrap_err();
    assert_eq!(far.kind(), io::ErrorKind::InvalidInput);
    assert!(far.to_string().contains("loopback"), "{far}");
    // A port without a listener.
    let closed = Peer::connect(peer.address().unwrap(), Break::RESET_AT_ACCEPT).unwrap_err();
    assert_eq!(closed.kind(), io::ErrorKind::ConnectionRefused);
    // Only connected stream sockets.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = Peer::holding(listener, Break::RESET_AT_ACCEPT).unwrap_err();
    assert_eq!(error.error().kind(), io::ErrorKind::NotConnected);
    let (datagram, _other) = std::os::unix::net::UnixDatagram::pair().unwrap();
    let error = Peer::holding(datagram, Break::RESET_AT_ACCEPT).unwrap_err();
    assert!(error.to_string().contains("stream sockets only"), "{error}");
    // A pipe is not a socket. The peer gives it back.
    let (reader, mut writer) = io::pipe().unwrap();
    let error = Peer::holding(reader, Break::RESET_AT_ACCEPT).unwrap_err();
    assert_eq!(error.error().raw_os_error(), Some(libc::ENOTSOCK));
    let mut reader = io::PipeReader::from(error.into_inner());
    writer.write_all(b"x").unwrap();
    assert_eq!(reader.read(&mut [0]).unwrap(), 1);
}

#[test]
fn a_peer_that_is_dropped_ends_at_once_in_every_state() {
    // No client has connected.
    drop(Peer::listen(Break::ResetAfter(1)).unwrap());
    let unix = Peer::listen_unix(Break::ResetAfter(1)).unwrap();
    let directory = unix.path().unwrap().parent().unwrap().to_path_buf();
    assert!(directory.exists());
    drop(unix);
    assert!(!directory.exists());
    // The greeting is larger than the buffers.
    let (peer, stream) = V4::listening(Break::ResetAfter(1).greeting(vec![0; 50 << 20]));
    drop(peer);
    drop(stream);
    // It reads, it stays half-closed, it has stopped, it waits for a byte.
    for breaks in
        [Break::ResetAfter(1), Break::HalfClose(0), Break::StopReading(0), Break::CloseUnread(0)]
    {
        let (peer, _stream) = V4::listening(breaks.into());
        drop(peer);
    }
}

#[test]
fn the_documented_write_kills_and_a_protected_one_does_not() {
    for (breaks, answers, _) in TABLE.iter().copied().filter(|(_, tcp, _)| tcp.contains(&"EPIPE")) {
        let scene = |write: fn(&TcpStream)| {
            let (_peer, stream) = broken::<V4>(breaks, V4::listening);
            // The writes before the last raise no signal.
            for answer in &answers[..answers.len() - 1] {
                assert_eq!(spell(&foreign_write(&stream, b"lost")), *answer);
                wait_reset(&stream, SOON).unwrap();
            }
            println!("the next one");
            write(&stream);
        };
        let received = assert_survives!(|| scene(|stream| {
            let error = socket2::SockRef::from(stream)
                .send_with_flags(b"lost", libc::MSG_NOSIGNAL)
                .unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        }));
        assert_eq!(received, "the next one\n");
        assert_killed!(|| scene(|stream| drop(foreign_write(stream, b"lost"))));
    }
}

#[test]
fn a_peer_whose_other_side_vanishes_does_not_kill() {
    assert_survives!(|| {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let script = Break::ResetAfter(1).answering(vec![0; 50 << 20]);
        let peer = Peer::holding(theirs, script).unwrap();
        ours.write_all(b"x").unwrap();
        ours.read_exact(&mut [0]).unwrap();
        // The peer has more to send, and its next write would raise.
        drop(ours);
        let ended = peer.wait_done(SOON);
        assert!(matches!(ended, Err(WaitError::Ended { .. })), "{ended:?}");
    });
    assert_killed!(|| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(ours);
        let _ = foreign_write(theirs, b"x");
    });
}
