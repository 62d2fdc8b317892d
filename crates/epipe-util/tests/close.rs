//! `epipe_util::close`: which close loses data, and which does not.

#![allow(missing_docs, reason = "a test")]
#![cfg(unix)]

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use epipe::net::{TcpListener, TcpStream};
use epipe::os::unix::net::UnixStream;
use epipe_util::close::{Ending, close_gracefully, reset};
use socket2::SockRef;

/// More than the client's buffer holds, but less than the server's buffer holds with the usual
/// limit (net.core.wmem_max, 208 KiB).
const ANSWER: usize = 200_000;

#[path = "support/deadline.rs"]
mod deadline;
use deadline::{in_, soon};

/// A client with a small receive buffer, and the server's stream.
fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    SockRef::from(&listener).set_recv_buffer_size(8 << 10).unwrap();
    let client = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    client.set_recv_buffer_size(8 << 10).unwrap();
    client.connect(&listener.local_addr().unwrap().into()).unwrap();
    let (server, _) = listener.accept().unwrap();
    (TcpStream::from(client), server)
}

/// A server answers before it has read the request, and ends. Returns what the client reads.
fn answers_early(end: impl FnOnce(TcpStream) -> io::Result<()>) -> io::Result<usize> {
    let (mut client, mut server) = tcp();
    client.write_all(b"a request that is not read").unwrap();
    SockRef::from(&server).set_send_buffer_size(4 << 20).unwrap();
    server.write_all(&vec![b'a'; ANSWER]).unwrap();
    thread::scope(|threads| {
        let reads = threads.spawn(move || {
            // The client reads only after it has sent everything and the server has closed.
            thread::sleep(Duration::from_millis(50));
            client.shutdown(Shutdown::Write).ok();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).map(|_| answer.len())
        });
        end(server)?;
        reads.join().unwrap()
    })
}

#[test]
fn an_answer_is_not_destroyed_by_a_request_that_was_not_read() {
    let arrived = answers_early(|server| {
        assert_eq!(close_gracefully(server, soon())?, Ending::Clean);
        Ok(())
    });
    assert_eq!(arrived.unwrap(), ANSWER);
    // Control: a plain close.
    let destroyed = answers_early(|server| {
        drop(server);
        Ok(())
    });
    assert_eq!(destroyed.unwrap_err().kind(), ErrorKind::ConnectionReset);
    // Control: a close after a shutdown of the sending half.
    let destroyed = answers_early(|server| server.shutdown(Shutdown::Write));
    assert_eq!(destroyed.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn what_the_peer_still_sends_is_discarded() {
    let (mut client, server) = tcp();
    thread::scope(|threads| {
        let writes = threads.spawn(move || {
            for _ in 0..100 {
                client.write_all(&[0; 10_000]).unwrap();
            }
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
        });
        assert_eq!(close_gracefully(server, soon()).unwrap(), Ending::Clean);
        writes.join().unwrap();
    });
}

#[test]
fn a_peer_that_goes_on_sending_is_not_read_for_ever() {
    let (client, server) = tcp();
    thread::scope(|threads| {
        threads.spawn(|| while (&client).write(&[0; 1 << 20]).is_ok() {});
        let ending = close_gracefully(server, soon()).unwrap();
        assert!(matches!(ending, Ending::Flooded { .. }), "{ending:?}");
        // The server's stream is closed, so the client's next write fails and its loop ends.
    });
}

#[test]
fn a_peer_that_does_not_end_is_waited_for_until_the_deadline() {
    let (_client, mut server) = tcp();
    server.write_all(b"answer").unwrap();
    let begun = Instant::now();
    let ending = close_gracefully(server, in_(100)).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(100));
    let unacknowledged = cfg!(any(target_os = "linux", target_os = "android")).then_some(0);
    assert_eq!(ending, Ending::TimedOut { unacknowledged });
}

#[cfg(target_os = "linux")] // On other systems a Unix stream holds less.
#[test]
fn arrived_data_is_read_even_after_the_deadline() {
    let (mut client, server) = UnixStream::pair().unwrap();
    client.write_all(&[0; 100_000]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let ending = close_gracefully(server, Instant::now()).unwrap();
    assert_eq!(ending, Ending::Clean);
}

/// While the error queue has an entry, poll(2) returns at once each time.
#[cfg(target_os = "linux")]
#[test]
#[allow(unsafe_code, reason = "socket2 has no SO_ZEROCOPY")]
fn a_full_error_queue_does_not_move_the_deadline() {
    use std::os::fd::AsRawFd;
    let (_client, server) = tcp();
    let on: libc::c_int = 1;
    // SAFETY: the type of this option is an int.
    let set = unsafe {
        libc::setsockopt(
            server.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ZEROCOPY,
            (&raw const on).cast(),
            size_of_val(&on) as _,
        )
    };
    assert_eq!(set, 0);
    SockRef::from(&server).send_with_flags(b"answer", libc::MSG_ZEROCOPY).unwrap();
    let ending = close_gracefully(server, in_(100)).unwrap();
    assert!(matches!(ending, Ending::TimedOut { .. }), "{ending:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn unacknowledged_bytes_are_reported() {
    let (_client, mut server) = tcp();
    SockRef::from(&server).set_send_buffer_size(4 << 20).unwrap();
    server.write_all(&vec![0; ANSWER]).unwrap();
    match close_gracefully(server, in_(100)).unwrap() {
        Ending::TimedOut { unacknowledged: Some(left) } => {
            assert!((ANSWER / 2..ANSWER).contains(&left), "{left}")
        }
        ending => panic!("{ending:?}"),
    }
    // The same if the peer has ended its own sending half.
    let (client, mut server) = tcp();
    SockRef::from(&server).set_send_buffer_size(4 << 20).unwrap();
    server.write_all(&vec![0; ANSWER]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let ending = close_gracefully(server, in_(100)).unwrap();
    assert!(matches!(ending, Ending::TimedOut { .. }), "{ending:?}");
}

#[test]
fn a_reset_of_the_peer_is_reported() {
    // A reset before the call, and one while the call waits.
    let (client, server) = tcp();
    reset(client).unwrap();
    assert_eq!(close_gracefully(&server, soon()).unwrap(), Ending::Reset);

    let (client, server) = tcp();
    let later = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        reset(client).unwrap();
    });
    assert_eq!(close_gracefully(server, soon()).unwrap(), Ending::Reset);
    later.join().unwrap();

    // The peer ended before its reset: no read reports the reset.
    let (mut client, mut server) = tcp();
    client.write_all(b"request").unwrap();
    drop(client);
    server.read_exact(&mut [0; 7]).unwrap();
    server.write_all(b"answer").unwrap();
    while SockRef::from(&server).peer_addr().is_ok() {} // until the reset has arrived
    assert_eq!(close_gracefully(server, soon()).unwrap(), Ending::Reset);

    // A write has reported the reset already, so it now looks like an end of both sides.
    let (client, server) = tcp();
    reset(client).unwrap();
    assert!((&server).write(b"answer").is_err());
    assert_eq!(close_gracefully(server, soon()).unwrap(), Ending::Over);
}

#[test]
fn a_linger_time_of_zero_destroys_nothing() {
    let (mut client, mut server) = tcp();
    SockRef::from(&server).set_linger(Some(Duration::ZERO)).unwrap();
    SockRef::from(&server).set_send_buffer_size(4 << 20).unwrap();
    server.write_all(&vec![b'a'; ANSWER]).unwrap();
    let ending = close_gracefully(server, in_(20)).unwrap();
    assert!(matches!(ending, Ending::TimedOut { .. }), "{ending:?}");
    // The rest of the answer still arrives.
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert_eq!(answer.len(), ANSWER);
}

#[test]
fn a_connection_that_had_ended_is_over() {
    let (client, server) = tcp();
    client.shutdown(Shutdown::Write).unwrap();
    server.shutdown(Shutdown::Both).unwrap();
    // Both have ended, which the system reports as not connected.
    while (&client).read(&mut [0]).unwrap() > 0 {}
    assert_eq!(close_gracefully(server, soon()).unwrap(), Ending::Over);
}

#[test]
fn a_reference_is_closed_by_its_owner() {
    let (client, server) = tcp();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(close_gracefully(&server, soon()).unwrap(), Ending::Clean);
    server.local_addr().unwrap();
    // An adapter over std's type, and a bare descriptor.
    let (client, server) = tcp();
    client.shutdown(Shutdown::Write).unwrap();
    let adapted = epipe::NoSigpipe::new(std::net::TcpStream::from(server)).unwrap();
    assert_eq!(close_gracefully(&adapted, soon()).unwrap(), Ending::Clean);
    let bare = OwnedFd::from(client);
    assert_eq!(close_gracefully(bare, soon()).unwrap(), Ending::Over);
}

#[test]
fn unix_streams_also_end_gracefully() {
    let (mut client, mut server) = UnixStream::pair().unwrap();
    server.write_all(b"answer").unwrap();
    client.write_all(b"unread").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(close_gracefully(server, soon()).unwrap(), Ending::Clean);
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "answer");

    let (_client, server) = UnixStream::pair().unwrap();
    let unacknowledged = None;
    assert_eq!(close_gracefully(server, in_(20)).unwrap(), Ending::TimedOut { unacknowledged });

    // The peer closes and leaves the answer unread.
    let (client, mut server) = UnixStream::pair().unwrap();
    server.write_all(b"answer").unwrap();
    drop(client);
    if cfg!(target_os = "linux") {
        assert_eq!(close_gracefully(server, soon()).unwrap(), Ending::Reset);
    }
}

#[test]
fn a_non_blocking_stream_is_refused_and_not_changed() {
    let (client, server) = tcp();
    server.set_nonblocking(true).unwrap();
    let error = close_gracefully(&server, soon()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("close_gracefully_async"), "{error}");
    (&server).write_all(b"not shut down").unwrap();
    server.set_nonblocking(false).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(close_gracefully(server, soon()).unwrap(), Ending::Clean);
}

#[test]
fn a_socket_without_connection_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let never = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    for error in [
        close_gracefully(&listener, soon()).unwrap_err(),
        close_gracefully(never, soon()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::NotConnected, "{error}");
    }
    let datagrams = epipe::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let error = close_gracefully(datagrams, soon()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let file = std::fs::File::open("/").unwrap();
    let error = close_gracefully(&file, soon()).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOTSOCK));
    assert_eq!(reset(&file).unwrap_err().raw_os_error(), Some(libc::ENOTSOCK));
}

#[test]
fn reset_reports_to_the_peer_and_discards_sent_data() {
    let (client, mut server) = tcp();
    SockRef::from(&server).set_send_buffer_size(4 << 20).unwrap();
    server.write_all(&vec![0; ANSWER]).unwrap();
    reset(server).unwrap();
    let error = (&client).read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}
