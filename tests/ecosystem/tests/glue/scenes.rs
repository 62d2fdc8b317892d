//! The programs against peers that vanish.

use std::fmt::Debug;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;

use axum::Router;
use axum::extract::ConnectInfo;
use epipe::verify::Technique;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio_tungstenite::tungstenite;
use tonic::service::Routes;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use ureq::unversioned::resolver::DefaultResolver;

use crate::peers::{
    Gated, ROUNDS, answer, assert_gone, clients, server, server_that_vanishes, vanish,
};
use crate::scene::Scene;
use crate::support::Break;

/// `name: program` makes two scenes: the program on this crate's types, and on the original types
/// under the same names. The second must die.
macro_rules! both {
    ($($name:literal: $play:expr;)+) => { vec![$(
        Scene::survives($name, || {
            #[allow(unused_imports)]
            use crate::ours::{programs, tokio::net};
            $play
        }),
        Scene::dies(concat!($name, ": control"), || {
            #[allow(unused_imports)]
            use crate::bare::{programs, tokio::net};
            $play
        }),
    )+] };
}

/// The same for a program that writes one buffer at a time. It lives on the original types too,
/// because they pass the flag. The control's stream passes none.
macro_rules! plain {
    ($($name:literal: $play:expr;)+) => { vec![$(
        Scene::survives($name, || {
            #[allow(unused_imports)]
            use crate::ours::{programs, tokio::net};
            $play
        }),
        Scene::survives(concat!($name, ", bare"), || {
            #[allow(unused_imports)]
            use crate::bare::{programs, tokio::net};
            $play
        }),
        Scene::dies(concat!($name, ": control without a flag"), || {
            #[allow(unused_imports)]
            use crate::unflagged::{programs, tokio::net};
            $play
        }),
    )+] };
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Runs a server until its clients are done.
async fn until(clients: impl FnOnce() + Send + 'static, server: impl Future<Output: Debug>) {
    tokio::select! {
        ended = server => panic!("the server has ended: {ended:?}"),
        done = tokio::task::spawn_blocking(clients) => done.unwrap(),
    }
}

const GET: &str = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

fn get(server: SocketAddr) -> impl FnOnce() {
    move || clients(|| TcpStream::connect(server), GET)
}

fn app() -> Router {
    Router::new().fallback(|ConnectInfo(client): ConnectInfo<SocketAddr>| async move {
        assert!(client.ip().is_loopback());
        answer()
    })
}

/// Clients of a proxy, and the server behind it. The server answers when the client is gone.
fn proxied(proxy: SocketAddr, backend: TcpListener) {
    let connect = || {
        let mut client = TcpStream::connect(proxy).unwrap();
        client.write_all(b"ask").unwrap();
        let mut server = backend.accept().unwrap().0;
        server.read_exact(&mut [0; 3]).unwrap();
        (client, server)
    };
    for _ in 0..ROUNDS {
        let (client, mut server) = connect();
        vanish(client);
        assert_eq!(server.read(&mut [0]).unwrap(), 0); // the proxy has seen the end
        server.write_all(b"hello").unwrap();
    }
    let (mut client, mut server) = connect();
    server.write_all(b"hello").unwrap();
    client.read_exact(&mut [0; 5]).unwrap();
}

fn unix_client(path: &str) -> io::Result<Socket> {
    let client = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    client.connect(&SockAddr::unix(path)?)?;
    Ok(client)
}

fn servers() -> Vec<Scene> {
    both! {
        "TCP proxy: an answer": block_on(async {
            let listener = net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let proxy = listener.local_addr().unwrap();
            let backend = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = backend.local_addr().unwrap();
            let clients = move || proxied(proxy, backend);
            until(clients, programs::tcp_proxy::serve(listener, address)).await
        });
        "Unix server: an answer": block_on(async {
            let path = format!("\0epipe-{}-glue", std::process::id()); // no file
            let listener = net::UnixListener::bind(&path).unwrap();
            let clients = move || clients(|| unix_client(&path), "ask\n");
            until(clients, programs::unix_server::serve(listener, answer)).await
        });
        "axum server: a response": block_on(async {
            let listener = net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let clients = get(listener.local_addr().unwrap());
            until(clients, programs::axum::serve(listener, app())).await
        });
        "hyper server: a response of a program": block_on(async {
            let listener = net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let clients = get(listener.local_addr().unwrap());
            until(clients, programs::hyper::serve(listener, answer)).await
        });
        "tonic server: a response": block_on(async {
            let socket = net::TcpSocket::new_v4().unwrap();
            // The server must still be writing when the client vanishes.
            socket.set_send_buffer_size(4096).unwrap();
            socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let listener = socket.listen(16).unwrap();
            let server = listener.local_addr().unwrap();
            let services = Routes::from(Router::new().fallback(|| async { vec![0; 60_000] }));
            let services = services.add_service(tonic_health::server::health_reporter().1);
            until(move || {
                for _ in 0..ROUNDS {
                    unread_http2_response(server);
                }
                let answer = block_on(async {
                    let channel = programs::tonic_client::connect(server).await.unwrap();
                    HealthClient::new(channel).check(HealthCheckRequest::default()).await
                });
                answer.unwrap();
            }, programs::tonic_server::serve(listener, services)).await
        });
    }
}

/// The beginning of an HTTP/2 connection.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// `POST http:///`, in the first stream.
const HEADERS: &[u8] = b"\0\0\x03\x01\x05\0\0\0\x01\x83\x86\x84";
/// SETTINGS_INITIAL_WINDOW_SIZE and WINDOW_UPDATE: the client may send without a limit.
const WINDOW: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x04\x7f\xff\xff\xff\
    \0\0\x04\x08\0\0\0\0\0\x7f\0\0\0";

/// A client that vanishes in the middle of a response.
fn unread_http2_response(server: SocketAddr) {
    let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    client.set_recv_buffer_size(2048).unwrap();
    client.connect(&server.into()).unwrap();
    (&client).write_all(&[PREFACE, HEADERS].concat()).unwrap();
    let mut seen = [std::mem::MaybeUninit::uninit(); 2000];
    while client.peek(&mut seen).unwrap() < 1000 {}
    vanish(client);
}

/// A server that vanishes in the middle of a request.
fn unread_request(mut client: TcpStream) {
    client.read_exact(&mut [0; 1000]).unwrap();
    vanish(client);
}

/// The same over HTTP/2.
fn unread_http2_request(mut client: TcpStream) {
    client.write_all(WINDOW).unwrap();
    unread_request(client);
}

fn http_clients() -> Vec<Scene> {
    both! {
        "hyper-util client: a request": block_on(async {
            let url = format!("http://{}/", server_that_vanishes());
            for _ in 0..ROUNDS {
                let request = hyper::Request::post(&url).body(Gated::new()).unwrap();
                assert_gone(programs::hyper_util::send(request).await);
            }
        });
        "tonic client: a request": block_on(async {
            let server = server(unread_http2_request);
            let request = HealthCheckRequest { service: "x".repeat(1 << 20) };
            for _ in 0..ROUNDS {
                let channel = programs::tonic_client::connect(server).await.unwrap();
                HealthClient::new(channel).check(request.clone()).await.unwrap_err();
            }
        });
        "reqwest: a request": programs::reqwest::run(async {
            let url = format!("http://{}/", server_that_vanishes());
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            for _ in 0..ROUNDS {
                let body = reqwest::Body::wrap(Gated::new());
                assert_gone(client.post(&url).body(body).send().await);
            }
        }).unwrap();
    }
}

/// A client that starts its own thread. Where the guard is a handler, the disposition goes back to
/// the default while that thread lives.
fn blocking_clients() -> Vec<Scene> {
    let guard_is_a_mask = epipe::protection().pipe_write().contains(&Technique::ThreadMask);
    let scenes = both! {
        "reqwest blocking: a request": {
            let url = format!("http://{}/", server(unread_request));
            let builder = reqwest::blocking::Client::builder().no_proxy();
            let client = programs::reqwest_blocking::build(builder).unwrap();
            for _ in 0..ROUNDS {
                // More bytes than one write takes.
                client.post(&url).body(vec![0; 8 << 20]).send().unwrap_err();
            }
        };
    };
    let scenes = scenes.into_iter();
    scenes.map(|scene| scene.only_where(guard_is_a_mask, "the guard is no mask")).collect()
}

/// `stream => call`, on connections whose server has vanished.
macro_rules! on_broken {
    ($stream:ident => $call:expr) => {
        block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            for _ in 0..ROUNDS {
                let address = listener.local_addr().unwrap();
                let $stream = net::TcpStream::connect(address).await.unwrap();
                let theirs = listener.accept().unwrap().0;
                Break::FinRst.apply($stream.as_fd(), theirs.into()).unwrap();
                assert_gone($call.await);
            }
        })
    };
}

fn given_a_stream() -> Vec<Scene> {
    let mut scenes = both! {
        "redis: connect": on_broken!(stream => programs::redis::connect(stream));
    };
    scenes.extend(plain! {
        "tokio-postgres: connect_raw": {
            let mut config = tokio_postgres::Config::new();
            config.user("user");
            on_broken!(stream => programs::tokio_postgres::connect(&config, stream))
        };
        "tokio-tungstenite: connect": {
            on_broken!(stream => programs::tokio_tungstenite::connect(stream))
        };
        "tokio-tungstenite: close": block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            for _ in 0..ROUNDS {
                let address = listener.local_addr().unwrap();
                let stream = net::TcpStream::connect(address).await.unwrap();
                let theirs = listener.accept().unwrap().0;
                let peer = std::thread::spawn(move || tungstenite::accept(theirs).unwrap());
                let socket = programs::tokio_tungstenite::connect(stream).await.unwrap();
                vanish(peer.join().unwrap().get_mut().try_clone().unwrap());
                assert_gone(programs::tokio_tungstenite::close(socket).await);
            }
        });
        "ureq: a request": {
            let url = format!("http://{}/", server_that_vanishes());
            let resolver = DefaultResolver::default();
            let agent = ureq::Agent::with_parts(Default::default(), programs::ureq::Tcp, resolver);
            for _ in 0..ROUNDS {
                let body = ureq::SendBody::from_owned_reader(Gated::new());
                assert_gone(agent.post(&url).send(body));
            }
        };
    });
    scenes
}

pub fn scenes() -> Vec<Scene> {
    let mut scenes = servers();
    scenes.extend(http_clients());
    scenes.extend(blocking_clients());
    scenes.extend(given_a_stream());
    scenes
}
