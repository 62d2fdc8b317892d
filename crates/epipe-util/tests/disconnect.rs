//! `epipe_util::Disconnect`: errors that the tests construct, and errors from real peers.

#![allow(missing_docs, reason = "a test")]

use std::error::Error;
use std::io::{self, ErrorKind};

use epipe_util::{Disconnect, DisconnectExt};

const ALL: [(Disconnect, ErrorKind); 6] = [
    (Disconnect::BrokenPipe, ErrorKind::BrokenPipe),
    (Disconnect::Reset, ErrorKind::ConnectionReset),
    (Disconnect::Aborted, ErrorKind::ConnectionAborted),
    (Disconnect::Unreachable, ErrorKind::HostUnreachable),
    (Disconnect::Refused, ErrorKind::ConnectionRefused),
    (Disconnect::Truncated, ErrorKind::UnexpectedEof),
];

#[test]
fn each_kind_is_recognised_and_converted_back() {
    for (disconnect, kind) in ALL {
        assert_eq!(Disconnect::from_error(&kind.into()), Some(disconnect));
        let error = io::Error::from(disconnect);
        assert_eq!(error.kind(), kind);
        assert_eq!(Disconnect::from_error(&error), Some(disconnect));
        assert!(error.is_disconnect());
        assert_eq!(error.to_string(), disconnect.to_string());
    }
    let silent = io::Error::from(Disconnect::TimedOut);
    assert_eq!(silent.kind(), ErrorKind::TimedOut);
    assert_eq!(silent.disconnect(), Some(Disconnect::TimedOut));
    for kind in [ErrorKind::NetworkUnreachable, ErrorKind::NetworkDown] {
        assert_eq!(Disconnect::from_error(&kind.into()), Some(Disconnect::Unreachable));
    }
    for kind in [
        ErrorKind::WouldBlock,
        ErrorKind::TimedOut, // a deadline of this program
        ErrorKind::Interrupted,
        ErrorKind::NotConnected,
        ErrorKind::PermissionDenied,
        ErrorKind::WriteZero,
        ErrorKind::Other,
    ] {
        assert_eq!(Disconnect::from_error(&kind.into()), None, "{kind}");
    }
}

#[cfg(unix)]
#[test]
fn each_code_is_recognised() {
    for (code, expected) in [
        (libc::EPIPE, Some(Disconnect::BrokenPipe)),
        (libc::ESHUTDOWN, Some(Disconnect::BrokenPipe)),
        (libc::ECONNRESET, Some(Disconnect::Reset)),
        (libc::ENETRESET, Some(Disconnect::Reset)),
        (libc::ECONNABORTED, Some(Disconnect::Aborted)),
        (libc::ETIMEDOUT, Some(Disconnect::TimedOut)),
        (libc::EHOSTUNREACH, Some(Disconnect::Unreachable)),
        (libc::EHOSTDOWN, Some(Disconnect::Unreachable)),
        (libc::ENETUNREACH, Some(Disconnect::Unreachable)),
        (libc::ENETDOWN, Some(Disconnect::Unreachable)),
        (libc::ECONNREFUSED, Some(Disconnect::Refused)),
        (libc::ENOTCONN, None),
        (libc::EAGAIN, None),
        (libc::EBADF, None),
    ] {
        let error = io::Error::from_raw_os_error(code);
        assert_eq!(Disconnect::from_error(&error), expected, "{error}");
    }
}

#[cfg(windows)]
#[test]
fn each_code_is_recognised() {
    for (code, expected) in [
        (64, Some(Disconnect::Reset)),          // ERROR_NETNAME_DELETED
        (109, Some(Disconnect::BrokenPipe)),    // ERROR_BROKEN_PIPE
        (232, Some(Disconnect::BrokenPipe)),    // ERROR_NO_DATA
        (121, Some(Disconnect::TimedOut)),      // ERROR_SEM_TIMEOUT
        (233, Some(Disconnect::BrokenPipe)),    // ERROR_PIPE_NOT_CONNECTED
        (1225, Some(Disconnect::Refused)),      // ERROR_CONNECTION_REFUSED
        (1236, Some(Disconnect::Aborted)),      // ERROR_CONNECTION_ABORTED
        (10050, Some(Disconnect::Unreachable)), // WSAENETDOWN
        (10051, Some(Disconnect::Unreachable)), // WSAENETUNREACH
        (10052, Some(Disconnect::Reset)),       // WSAENETRESET
        (10053, Some(Disconnect::Aborted)),     // WSAECONNABORTED
        (10054, Some(Disconnect::Reset)),       // WSAECONNRESET
        (10058, Some(Disconnect::BrokenPipe)),  // WSAESHUTDOWN
        (10060, Some(Disconnect::TimedOut)),    // WSAETIMEDOUT
        (10061, Some(Disconnect::Refused)),     // WSAECONNREFUSED
        (10064, Some(Disconnect::Unreachable)), // WSAEHOSTDOWN
        (10065, Some(Disconnect::Unreachable)), // WSAEHOSTUNREACH
        (10101, Some(Disconnect::BrokenPipe)),  // WSAEDISCON
        (10035, None),                          // WSAEWOULDBLOCK
        (995, None),                            // ERROR_OPERATION_ABORTED
        (5, None),                              // ERROR_ACCESS_DENIED
    ] {
        let error = io::Error::from_raw_os_error(code);
        assert_eq!(Disconnect::from_error(&error), expected, "{error}");
    }
}

/// An error of a library around another error.
#[derive(Debug, thiserror::Error)]
#[error("the request failed")]
struct Wrapped(#[source] Box<dyn Error + Send + Sync>);

#[test]
fn a_wrapped_error_is_found() {
    let mut error = io::Error::from(ErrorKind::BrokenPipe);
    for _ in 0..3 {
        error = io::Error::other(Wrapped(error.into()));
        assert_eq!(error.kind(), ErrorKind::Other);
        assert_eq!(error.disconnect(), Some(Disconnect::BrokenPipe));
    }
    let twice = io::Error::other(io::Error::other(io::Error::from(Disconnect::Truncated)));
    assert_eq!(twice.disconnect(), Some(Disconnect::Truncated));
    // The outermost kind counts.
    let outermost = io::Error::new(ErrorKind::ConnectionReset, Wrapped(twice.into()));
    assert_eq!(outermost.disconnect(), Some(Disconnect::Reset));
    assert_eq!(io::Error::other(Wrapped("nothing".into())).disconnect(), None);
    // An error that is its own source.
    #[derive(Debug)]
    struct Circle;
    impl std::fmt::Display for Circle {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an error that is its own source")
        }
    }
    impl Error for Circle {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(self)
        }
    }
    let circle = io::Error::other(Wrapped(Box::new(Circle)));
    assert_eq!(circle.disconnect(), None);
}

#[test]
fn the_chain_of_any_error_is_followed() {
    let boxed: Box<dyn Error + Send + Sync> =
        Wrapped(io::Error::from(ErrorKind::ConnectionReset).into()).into();
    assert_eq!(Disconnect::in_chain(&*boxed), Some(Disconnect::Reset));
    let own = Wrapped(Disconnect::Truncated.into());
    assert_eq!(Disconnect::in_chain(&own), Some(Disconnect::Truncated));
    assert_eq!(Disconnect::in_chain(&Wrapped("nothing".into())), None);
    // The limit is 16 errors.
    let mut deep: Box<dyn Error + Send + Sync> = io::Error::from(ErrorKind::BrokenPipe).into();
    for depth in 1..20 {
        deep = Wrapped(deep).into();
        let found = Disconnect::in_chain(&*deep);
        assert_eq!(found, (depth < 16).then_some(Disconnect::BrokenPipe), "{depth}");
    }
}

#[test]
fn a_result_has_the_methods_too() {
    let fine: io::Result<usize> = Ok(0);
    assert!(!fine.is_disconnect());
    let gone: io::Result<usize> = Err(ErrorKind::BrokenPipe.into());
    assert!(gone.is_disconnect());
    assert_eq!(gone.disconnect(), Some(Disconnect::BrokenPipe));
}

#[cfg(unix)]
mod connections {
    use std::io::{Read, Write};
    use std::net::Shutdown;

    use super::*;
    use epipe::net::{TcpListener, TcpStream, UdpSocket};
    use epipe::os::unix::net::UnixStream;

    fn tcp() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    #[test]
    fn the_ways_a_peer_ends_have_different_results() {
        let (mut client, server) = tcp();
        epipe_util::close::reset(server).unwrap();
        assert_eq!(client.read(&mut [0]).disconnect(), Some(Disconnect::Reset));
        assert_eq!(client.write(b"x").disconnect(), Some(Disconnect::BrokenPipe));

        let (mut client, server) = tcp();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.write(b"x").disconnect(), Some(Disconnect::BrokenPipe));
        drop(server);
        // For TCP this is an orderly end.
        assert_eq!(client.read(&mut [0]).disconnect(), None);
        let short = client.read_exact(&mut [0]);
        assert_eq!(short.disconnect(), Some(Disconnect::Truncated));

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let refused = TcpStream::connect(address).unwrap_err();
        assert_eq!(refused.disconnect(), Some(Disconnect::Refused));
    }

    /// `peer_addr` fails for a stream that was reset before it was accepted. The pending error is
    /// still there for the read.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_stream_that_was_reset_before_accept_is_not_connected() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        epipe_util::close::reset(client).unwrap();
        let (mut stream, from) = listener.accept().unwrap();
        assert!(from.ip().is_loopback(), "accept itself reports the address");
        for error in
            [stream.peer_addr().unwrap_err(), stream.shutdown(Shutdown::Write).unwrap_err()]
        {
            assert_eq!(error.raw_os_error(), Some(libc::ENOTCONN));
            assert_eq!(Disconnect::from_connected(&error), Some(Disconnect::Reset));
            assert_eq!(Disconnect::from_error(&error), None);
        }
        assert_eq!(stream.read(&mut [0]).disconnect(), Some(Disconnect::Reset));

        // A socket that was never connected has the same error, and so has one that both sides
        // have ended.
        let never = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        assert_eq!(never.unwrap().peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
        let (client, server) = tcp();
        client.shutdown(Shutdown::Write).unwrap();
        server.shutdown(Shutdown::Write).unwrap();
        assert_eq!((&client).read(&mut [0]).unwrap(), 0);
        assert_eq!(client.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
        // For other errors the result is that of `from_error`.
        let gone = io::Error::from(ErrorKind::BrokenPipe);
        assert_eq!(Disconnect::from_connected(&gone), Some(Disconnect::BrokenPipe));
        assert_eq!(Disconnect::from_connected(&ErrorKind::WouldBlock.into()), None);
    }

    #[test]
    fn a_refused_datagram_socket_still_works() {
        let gone = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = gone.local_addr().unwrap();
        drop(gone);
        let connected = UdpSocket::bind("127.0.0.1:0").unwrap();
        connected.connect(address).unwrap();
        connected.send(b"x").unwrap();
        let refused = connected.recv(&mut [0]).disconnect().unwrap();
        assert!(refused.is_transient_for_datagrams(), "{refused:?}");
        // The receiver comes back, and the same socket reaches it.
        let back = UdpSocket::bind(address).unwrap();
        connected.send(b"y").unwrap();
        let mut received = [0];
        back.recv(&mut received).unwrap();
        assert_eq!(&received, b"y");
        // These are the end of any connection.
        assert!(!Disconnect::BrokenPipe.is_transient_for_datagrams());
        assert!(!Disconnect::Truncated.is_transient_for_datagrams());
    }

    /// A Unix socket reports the closed receiver once, and is then not connected.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_unix_datagram_socket_is_disconnected_by_its_receiver() {
        use epipe::os::unix::net::UnixDatagram;

        let (ours, theirs) = UnixDatagram::pair().unwrap();
        drop(theirs);
        let reported = ours.send(b"x").disconnect().unwrap();
        assert!(reported.is_transient_for_datagrams(), "{reported:?}");
        assert_eq!(ours.send(b"x").unwrap_err().kind(), ErrorKind::NotConnected);
    }

    #[test]
    fn only_a_connected_datagram_socket_reports_a_refusal() {
        let gone = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = gone.local_addr().unwrap();
        drop(gone);
        let connected = UdpSocket::bind("127.0.0.1:0").unwrap();
        connected.connect(address).unwrap();
        connected.send(b"x").unwrap();
        let reported = connected.recv(&mut [0]);
        assert_eq!(reported.disconnect(), Some(Disconnect::Refused));

        // A server with one socket for all clients gets no error for a vanished client.
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.send_to(b"x", address).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"hello", server.local_addr().unwrap()).unwrap();
        assert_eq!(server.recv_from(&mut [0; 5]).unwrap().0, 5);
    }

    #[test]
    fn a_plain_stream_reports_a_truncation_as_the_end() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"the first half").unwrap();
        drop(theirs);
        let mut received = String::new();
        assert!(!ours.read_to_string(&mut received).is_disconnect());
    }
}
