//! How a TLS connection over this crate's streams ends: by a truncation, or by a close_notify. Also
//! what `Disconnect::in_chain` finds in the errors of other crates when a real peer vanishes.

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

/// The text that a client reads from a server that writes some data, then ends by `end`.
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
    let mut text = String::new();
    let answer = client.read_to_string(&mut text);
    client.conn.send_close_notify();
    let _ = client.flush();
    drop(client);
    peer.join().unwrap();
    answer.map(|_| text)
}

#[test]
fn a_truncated_stream_differs_from_one_that_has_ended() {
    // A killed program ends like this.
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

/// A TLS stream of foreign code, which gives access to its socket.
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

/// The errors of other crates. The peers are plain sockets.
mod chains {
    use std::error::Error;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use epipe_util::close::{Ending, close_gracefully_async, reset};
    use http_body_util::{BodyExt, Empty};
    use hyper::body::{Bytes, Incoming};
    use hyper::{Request, Response};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tungstenite::protocol::{Role, WebSocket};

    use super::*;

    type Any = Box<dyn Error + Send + Sync>;

    /// A listener whose one connection goes to `peer`.
    fn listens(peer: impl FnOnce(TcpStream) + Send + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || peer(listener.accept().unwrap().0));
        address
    }

    /// This side's stream of a connection, and the peer's.
    fn tcp() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (ours, listener.accept().unwrap().0)
    }

    /// Reads until `end` has arrived.
    fn reads_until(stream: &mut TcpStream, end: &[u8]) {
        let mut all = Vec::new();
        while !all.windows(end.len()).any(|part| part == end) {
            let mut piece = [0; 4096];
            let count = stream.read(&mut piece).unwrap();
            assert!(count > 0, "the stream ended early");
            all.extend_from_slice(&piece[..count]);
        }
    }

    async fn connect(address: SocketAddr) -> TokioIo<epipe::tokio::net::TcpStream> {
        TokioIo::new(epipe::tokio::net::TcpStream::connect(address).await.unwrap())
    }

    fn get() -> Request<Empty<Bytes>> {
        Request::get("http://localhost/").header("host", "localhost").body(Empty::new()).unwrap()
    }

    /// The error that a client of HTTP/1 gets, for a request and the body of the answer.
    async fn http1(peer: impl FnOnce(TcpStream) + Send + 'static) -> hyper::Error {
        let io = connect(listens(peer)).await;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        match sender.send_request(get()).await {
            Err(error) => error,
            Ok(response) => response.into_body().collect().await.unwrap_err(),
        }
    }

    /// The head of an answer, with half of its body.
    const HALF: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";

    #[tokio::test]
    async fn of_hyper_with_http1() {
        let error = http1(|mut peer| reads_until(&mut peer, b"\r\n\r\n")).await;
        assert!(error.is_incomplete_message(), "{error:?}");
        assert_eq!(Disconnect::in_chain(&error), Some(Disconnect::Truncated));

        let error = http1(|mut peer| {
            reads_until(&mut peer, b"\r\n\r\n");
            peer.write_all(HALF).unwrap();
        });
        let error = error.await;
        assert_eq!(Disconnect::in_chain(&error), Some(Disconnect::Truncated), "{error:?}");

        let error = http1(|mut peer| {
            reads_until(&mut peer, b"\r\n\r\n");
            reset(peer).unwrap();
        });
        let error = error.await;
        assert_eq!(Disconnect::in_chain(&error), Some(Disconnect::Reset), "{error:?}");
        // An error about the message is not about the connection.
        let error = http1(|mut peer| {
            reads_until(&mut peer, b"\r\n\r\n");
            peer.write_all(b"no HTTP\r\n\r\n").unwrap();
        });
        let error = error.await;
        assert!(error.is_parse(), "{error:?}");
        assert_eq!(Disconnect::in_chain(&error), None);
    }

    #[tokio::test]
    async fn of_hyper_when_the_connection_has_ended_before_the_request() {
        let io = connect(listens(drop)).await;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        let _ = connection.await;
        let canceled = sender.send_request(get()).await.unwrap_err();
        assert!(canceled.is_canceled(), "{canceled:?}");
        assert_eq!(Disconnect::in_chain(&canceled), Some(Disconnect::BrokenPipe));
        let closed = sender.ready().await.unwrap_err();
        assert!(closed.is_closed(), "{closed:?}");
        assert_eq!(Disconnect::in_chain(&closed), Some(Disconnect::BrokenPipe));
    }

    /// How a server's connection ends, and what its handler gets of the body.
    async fn serves(
        client: impl FnOnce(TcpStream) + Send + 'static,
    ) -> (hyper::Result<()>, Option<Any>) {
        let (theirs, ours) = tcp();
        thread::spawn(move || client(theirs));
        ours.set_nonblocking(true).unwrap();
        let ours = tokio::net::TcpStream::from_std(ours).unwrap();
        let io = TokioIo::new(epipe::tokio::net::TcpStream::from(ours));
        let (sender, mut errors) = tokio::sync::mpsc::unbounded_channel();
        let answers = hyper::service::service_fn(move |request: Request<Incoming>| {
            let sender = sender.clone();
            async move {
                if let Err(error) = request.into_body().collect().await {
                    sender.send(error.into()).unwrap();
                }
                Ok::<_, std::convert::Infallible>(Response::new(Empty::<Bytes>::new()))
            }
        });
        let served = hyper::server::conn::http1::Builder::new().serve_connection(io, answers).await;
        (served, errors.recv().await)
    }

    #[tokio::test]
    async fn of_a_hyper_server() {
        let (served, body) = serves(|mut client| client.write_all(b"GET / HT").unwrap()).await;
        let error = served.unwrap_err();
        assert_eq!(Disconnect::in_chain(&error), Some(Disconnect::Truncated), "{error:?}");
        assert!(body.is_none());
        // The handler gets this error, and answers.
        let half = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf";
        let (_, body) = serves(|mut client| client.write_all(half).unwrap()).await;
        let error = body.unwrap();
        assert_eq!(Disconnect::in_chain(&*error), Some(Disconnect::Truncated), "{error:?}");
        let (served, _) = serves(|mut client| {
            client.write_all(b"GET / HT").unwrap();
            reset(client).unwrap();
        })
        .await;
        let error = served.unwrap_err();
        assert_eq!(Disconnect::in_chain(&error), Some(Disconnect::Reset), "{error:?}");
    }

    /// A server of HTTP/2 that sends its settings, waits for a request's head, and sends `answer`.
    fn http2_peer(mut peer: TcpStream, answer: &[u8]) -> TcpStream {
        peer.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).unwrap();
        let mut preface = [0; 24];
        peer.read_exact(&mut preface).unwrap();
        loop {
            let mut head = [0; 9];
            peer.read_exact(&mut head).unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            peer.read_exact(&mut vec![0; length as usize]).unwrap();
            if head[3] == 1 {
                break; // HEADERS
            }
        }
        peer.write_all(answer).unwrap();
        peer
    }

    /// A HEADERS frame on the first stream, with its flags and fields.
    fn headers(flags: u8, fields: &[u8]) -> Vec<u8> {
        let mut frame = vec![0, 0, fields.len() as u8, 1, flags, 0, 0, 0, 1];
        frame.extend_from_slice(fields);
        frame
    }

    const END_HEADERS: u8 = 4;
    const END_STREAM: u8 = 1;
    /// `:status: 200`, by its number in HPACK's table.
    const OK: &[u8] = &[0x88];

    async fn http2(peer: impl FnOnce(TcpStream) + Send + 'static) -> hyper::Error {
        let io = connect(listens(peer)).await;
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        match sender.send_request(get()).await {
            Err(error) => error,
            Ok(response) => response.into_body().collect().await.unwrap_err(),
        }
    }

    /// A read gets the reset, or h2's own write does when it answers the settings.
    fn is_lost(error: &(dyn Error + 'static)) -> bool {
        let found = Disconnect::in_chain(error);
        matches!(found, Some(Disconnect::Reset | Disconnect::BrokenPipe))
    }

    #[tokio::test]
    async fn of_hyper_with_http2() {
        let error = http2(|peer| reset(http2_peer(peer, &[])).unwrap()).await;
        assert!(is_lost(&error), "{error:?}");
        let half = headers(END_HEADERS, OK);
        let error = http2(move |peer| reset(http2_peer(peer, &half)).unwrap()).await;
        assert!(is_lost(&error), "{error:?}");
        // RST_STREAM with CANCEL: the connection stays open.
        let stops = [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8];
        let error = http2(move |peer| {
            let mut peer = http2_peer(peer, &stops);
            let _ = peer.read_to_end(&mut Vec::new());
        });
        let error = error.await;
        assert_eq!(Disconnect::in_chain(&error), None, "{error:?}");
    }

    /// A codec for empty messages.
    #[derive(Clone, Default)]
    struct Codec;

    impl tonic::codec::Codec for Codec {
        type Encode = ();
        type Decode = ();
        type Encoder = Codec;
        type Decoder = Codec;
        fn encoder(&mut self) -> Codec {
            Codec
        }
        fn decoder(&mut self) -> Codec {
            Codec
        }
    }

    impl tonic::codec::Encoder for Codec {
        type Item = ();
        type Error = tonic::Status;
        fn encode(&mut self, _: (), _: &mut tonic::codec::EncodeBuf<'_>) -> tonic::Result<()> {
            Ok(())
        }
    }

    impl tonic::codec::Decoder for Codec {
        type Item = ();
        type Error = tonic::Status;
        fn decode(&mut self, _: &mut tonic::codec::DecodeBuf<'_>) -> tonic::Result<Option<()>> {
            Ok(Some(()))
        }
    }

    async fn grpc(peer: impl FnOnce(TcpStream) + Send + 'static) -> tonic::Status {
        let address = format!("http://{}", listens(peer));
        let channel = tonic::transport::Endpoint::new(address).unwrap().connect().await.unwrap();
        let mut client = tonic::client::Grpc::new(channel);
        client.ready().await.unwrap();
        let path = "/a.B/C".parse().unwrap();
        client.unary(tonic::Request::new(()), path, Codec).await.unwrap_err()
    }

    #[tokio::test]
    async fn of_tonic() {
        let status = grpc(|peer| reset(http2_peer(peer, &[])).unwrap()).await;
        assert!(is_lost(&status), "{status:?}");
        let half = headers(END_HEADERS, OK);
        let status = grpc(move |peer| reset(http2_peer(peer, &half)).unwrap()).await;
        assert!(is_lost(&status), "{status:?}");
        // The server's own answer, `grpc-status: 14` (Unavailable), is not a disconnect.
        let mut fields = OK.to_vec();
        for (name, value) in [("content-type", "application/grpc"), ("grpc-status", "14")] {
            fields.push(0); // a literal with a new name
            for text in [name, value] {
                fields.push(text.len() as u8);
                fields.extend(text.bytes());
            }
        }
        let answer = headers(END_HEADERS | END_STREAM, &fields);
        let status = grpc(move |peer| {
            let mut peer = http2_peer(peer, &answer);
            let _ = peer.read_to_end(&mut Vec::new());
        });
        let status = status.await;
        assert_eq!(status.code(), tonic::Code::Unavailable, "{status:?}");
        assert_eq!(Disconnect::in_chain(&status), None);
        // Nothing listens.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let endpoint = tonic::transport::Endpoint::new(format!("http://{address}")).unwrap();
        let error = endpoint.connect().await.unwrap_err();
        assert_eq!(Disconnect::in_chain(&error), Some(Disconnect::Refused), "{error:?}");
    }

    #[test]
    fn of_tungstenite() {
        let (ours, theirs) = tcp();
        let mut socket = WebSocket::from_raw_socket(ours, Role::Server, None);
        drop(theirs);
        let error = socket.read().unwrap_err();
        assert_eq!(Disconnect::in_chain(&error), Some(Disconnect::Truncated), "{error:?}");

        let (ours, theirs) = tcp();
        let mut socket = WebSocket::from_raw_socket(ours, Role::Server, None);
        reset(theirs).unwrap();
        let error = socket.read().unwrap_err();
        assert_eq!(Disconnect::in_chain(&error), Some(Disconnect::Reset), "{error:?}");

        // An orderly end.
        let (ours, theirs) = tcp();
        let mut socket = WebSocket::from_raw_socket(ours, Role::Server, None);
        let mut peer = WebSocket::from_raw_socket(theirs, Role::Client, None);
        peer.close(None).unwrap();
        peer.flush().unwrap();
        assert!(socket.read().unwrap().is_close());
        let mut seen = Vec::new();
        for _ in 0..3 {
            let error = socket.read().unwrap_err();
            assert_eq!(Disconnect::in_chain(&error), Some(Disconnect::BrokenPipe), "{error:?}");
            seen.push(error.to_string());
        }
        assert_ne!(seen[0], seen[1], "ConnectionClosed, then AlreadyClosed");

        // An error about a message is not about the connection.
        let (ours, mut theirs) = tcp();
        let mut socket = WebSocket::from_raw_socket(ours, Role::Server, None);
        theirs.write_all(&[0xff, 0x80, 0, 0, 0, 0]).unwrap(); // reserved bits
        let error = socket.read().unwrap_err();
        assert_eq!(Disconnect::in_chain(&error), None, "{error:?}");
    }

    #[tokio::test]
    async fn of_anyhow() {
        use anyhow::Context;

        let error = http1(|mut peer| reads_until(&mut peer, b"\r\n\r\n")).await;
        let error = Err::<(), _>(error).context("the request").context("the job").unwrap_err();
        assert_eq!(Disconnect::in_chain(error.as_ref()), Some(Disconnect::Truncated));
    }

    /// The adapter around a stream of tokio.
    #[tokio::test]
    async fn the_adapter_is_closed_gracefully() {
        let stream = connect(listens(|mut peer| {
            peer.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(peer.read(&mut [0]).unwrap(), 0);
        }));
        let stream = stream.await.into_inner();
        let soon = Instant::now() + Duration::from_secs(10);
        assert_eq!(close_gracefully_async(stream, soon).await.unwrap(), Ending::Clean);
    }
}
