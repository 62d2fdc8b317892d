//! `epipe_util::queue`: the counts match the bytes that were written and read.

#![allow(missing_docs, reason = "a test")]
#![cfg(target_os = "linux")]

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use epipe::net::{TcpListener, TcpStream};
use epipe::os::unix::net::UnixStream;
use epipe_util::close::reset;
use epipe_util::queue::{TcpState, tcp_info, unacknowledged, unread, unsent, wait_acknowledged};
use socket2::SockRef;

#[path = "support/deadline.rs"]
mod deadline;
use deadline::soon;

fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    SockRef::from(&listener).set_recv_buffer_size(8 << 10).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    SockRef::from(&client).set_send_buffer_size(4 << 20).unwrap();
    let (server, _) = listener.accept().unwrap();
    (client, server)
}

#[test]
fn every_byte_is_counted_and_no_syn_or_fin() {
    const LEN: usize = 200_000;
    for half_closes in [false, true] {
        let (mut client, mut server) = tcp();
        assert_eq!(unacknowledged(&client).unwrap(), 0);
        client.write_all(&vec![7; LEN]).unwrap();
        if half_closes {
            client.shutdown(Shutdown::Write).unwrap();
        }
        // The counts stop changing when the server's buffer is full and the last delayed
        // acknowledgement has arrived.
        let mut last = (0, 0);
        let mut same = 0;
        while same < 20 {
            thread::sleep(Duration::from_millis(20));
            let now = (unacknowledged(&client).unwrap(), unread(&server).unwrap());
            same = if now == last { same + 1 } else { 0 };
            last = now;
        }
        let (left, come) = last;
        assert_eq!(left + come, LEN, "half-closed: {half_closes}");
        let waits = unsent(&client).unwrap();
        assert!(waits > 0 && waits <= left);
        let info = tcp_info(&client).unwrap();
        assert_eq!(info.bytes_acknowledged, Some(come as u64));
        assert_eq!(tcp_info(&server).unwrap().bytes_received, Some(come as u64));
        let error = wait_acknowledged(&client, Instant::now()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(error.raw_os_error(), None);

        let reads = thread::spawn(move || {
            let mut content = vec![0; LEN];
            server.read_exact(&mut content).unwrap();
            server
        });
        wait_acknowledged(&client, soon()).unwrap();
        assert_eq!(unsent(&client).unwrap(), 0);
        let server = reads.join().unwrap();
        assert_eq!(unread(&server).unwrap(), 0);
        let (ours, theirs) = (tcp_info(&client).unwrap(), tcp_info(&server).unwrap());
        assert_eq!(ours.bytes_acknowledged, Some(LEN as u64));
        assert_eq!(theirs.bytes_received, Some(LEN as u64));
        assert_eq!(ours.bytes_received, Some(0));
        assert_eq!(theirs.bytes_acknowledged, Some(0));
        assert!(!ours.rtt.is_zero());
        let (our_state, their_state) = match half_closes {
            false => (TcpState::Established, TcpState::Established),
            true => (TcpState::FinWait2, TcpState::CloseWait),
        };
        assert_eq!((ours.state, theirs.state), (our_state, their_state));
    }
}

#[test]
fn sent_bytes_are_not_unsent() {
    let (mut client, mut server) = tcp();
    // A server that answers at once delays its acknowledgement, to send both in one segment
    // (tcp(7), TCP_QUICKACK).
    let is_sent = (0..100).any(|_| {
        client.write_all(b"?").unwrap();
        let counts = (unacknowledged(&client).unwrap(), unsent(&client).unwrap());
        server.read_exact(&mut [0]).unwrap();
        server.write_all(b"!").unwrap();
        client.read_exact(&mut [0]).unwrap();
        counts == (1, 0)
    });
    assert!(is_sent, "no byte was sent and unacknowledged");
}

#[test]
fn nothing_is_acknowledged_before_the_handshake_is_done() {
    // A listener whose queue is full does not answer.
    let listener =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let connecting = (0..10).map(|_| {
        let client =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        client.set_nonblocking(true).unwrap();
        let _ = client.connect(&listener.local_addr().unwrap()); // EINPROGRESS
        client
    });
    let connecting: Vec<_> = connecting.collect();
    thread::sleep(Duration::from_millis(50));
    let waits = connecting.last().unwrap();
    waits.set_nonblocking(false).unwrap();
    assert_eq!(tcp_info(waits).unwrap().state, TcpState::SynSent);
    for error in [
        unacknowledged(waits).unwrap_err(),
        unsent(waits).unwrap_err(),
        wait_acknowledged(waits, soon()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::NotConnected);
    }
}

#[test]
fn a_reset_connection_is_an_error_and_not_an_endless_wait() {
    let (mut client, server) = tcp();
    client.write_all(&vec![7; 200_000]).unwrap();
    reset(server).unwrap();
    let error = wait_acknowledged(&client, soon()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(error.raw_os_error().is_some());
    // The count no longer changes, and the pending error is reported only once.
    assert!(unacknowledged(&client).unwrap() > 0);
    let again = wait_acknowledged(&client, soon()).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::ConnectionReset);
    assert_eq!(tcp_info(&client).unwrap().state, TcpState::Close);
}

#[test]
fn both_ends_of_an_orderly_close_count_the_same() {
    let (mut client, mut server) = tcp();
    client.write_all(b"hello").unwrap();
    server.write_all(b"good bye").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    server.read_exact(&mut [0; 5]).unwrap();
    assert_eq!(server.read(&mut [0]).unwrap(), 0);
    server.shutdown(Shutdown::Write).unwrap();
    wait_acknowledged(&client, soon()).unwrap();
    wait_acknowledged(&server, soon()).unwrap();
    assert_eq!(unread(&client).unwrap(), 8);
    assert_eq!(tcp_info(&client).unwrap().bytes_acknowledged, Some(5));
    assert_eq!(tcp_info(&server).unwrap().bytes_acknowledged, Some(8));
}

#[test]
fn a_socket_that_is_not_a_tcp_stream_has_no_counts() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.write_all(b"hello").unwrap();
    assert_eq!(unread(&theirs).unwrap(), 5);
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for error in [
        unsent(&ours).unwrap_err(),
        unacknowledged(&ours).unwrap_err(),
        wait_acknowledged(&ours, soon()).unwrap_err(),
        tcp_info(&ours).unwrap_err(),
        unacknowledged(&udp).unwrap_err(),
        tcp_info(&udp).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let info = tcp_info(&listener).unwrap();
    assert_eq!(info.state, TcpState::Listen);
    assert_eq!(info.unacknowledged_segments, None);
    assert_eq!(unacknowledged(&listener).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    let file = std::fs::File::open("/").unwrap();
    assert_eq!(unacknowledged(&file).unwrap_err().raw_os_error(), Some(libc::ENOTSOCK));
}
