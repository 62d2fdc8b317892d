//! tokio, and what is built on it: hyper and tokio-rustls.

use std::convert::Infallible;
use std::future::Future;
use std::io::{self, IoSlice, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process::Stdio;
use std::sync::Mutex;
use std::task::Poll;

use epipe::NoSigpipe;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{ChildStdin, Command};
use tokio::runtime::Runtime;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::Scene;
use crate::rows::{DATA, Row, break_under, call, pairs, play_rows};
use crate::support::{
    Break, assert_epipe, broken_pipe, foreign_write, is_blocked, is_pending, slices, spell,
    tcp_pair, unix_pair,
};
use crate::tls::{Identity, localhost};

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A stream of tokio's that is made of a descriptor.
trait OfFd: Sized {
    fn of(fd: OwnedFd) -> Self;
}

impl OfFd for TcpStream {
    fn of(fd: OwnedFd) -> TcpStream {
        let std = std::net::TcpStream::from(fd);
        std.set_nonblocking(true).unwrap();
        TcpStream::from_std(std).unwrap()
    }
}

impl OfFd for UnixStream {
    fn of(fd: OwnedFd) -> UnixStream {
        let std = std::os::unix::net::UnixStream::from(fd);
        std.set_nonblocking(true).unwrap();
        UnixStream::from_std(std).unwrap()
    }
}

impl OfFd for Sender {
    fn of(fd: OwnedFd) -> Sender {
        Sender::from_owned_fd(fd).unwrap()
    }
}

/// `Type: stream => call`: takes the descriptor over as tokio's `Type`, then makes the call.
macro_rules! bare {
    ($type:ty: $stream:ident => $call:expr) => {
        |fd| {
            let runtime = runtime();
            #[allow(unused_mut)]
            let mut $stream = runtime.block_on(async { <$type>::of(fd) });
            Box::new(move || runtime.block_on(async { $call }).map(|n| n as u64))
        }
    };
}

/// The same in an adapter.
macro_rules! ours {
    ($type:ty: $stream:ident => $call:expr) => {
        |fd| {
            let runtime = runtime();
            #[allow(unused_mut)]
            let mut $stream = runtime.block_on(async { NoSigpipe::new(<$type>::of(fd)).unwrap() });
            Box::new(move || runtime.block_on(async { $call }).map(|n| n as u64))
        }
    };
}

/// The calls of a stream. tokio's own writes of one buffer survive: their control is the `send`
/// without a flag.
macro_rules! stream_rows {
    ($type:ty) => {
        [
            Row {
                name: "write_vectored",
                ours: ours!($type: s => s.write_vectored(&slices()).await),
                control: bare!($type: s => s.write_vectored(&slices()).await),
            },
            Row {
                name: "write_buf of one slice",
                ours: ours!($type: s => s.write_buf(&mut &*DATA).await),
                control: bare!($type: s => s.write_buf(&mut &*DATA).await),
            },
            Row {
                name: "try_write_vectored",
                ours: ours!($type: s => {
                    s.get_ref().writable().await?;
                    s.try_write_vectored(&slices())
                }),
                control: bare!($type: s => {
                    s.writable().await?;
                    s.try_write_vectored(&slices())
                }),
            },
            Row {
                name: "try_write",
                ours: ours!($type: s => {
                    s.get_ref().writable().await?;
                    s.try_write(DATA)
                }),
                control: call!(socket2::Socket: s => s.write(DATA)),
            },
            Row {
                name: "write_all and flush",
                ours: ours!($type: s => match s.write_all(DATA).await {
                    Ok(()) => s.flush().await.map(|()| 0),
                    Err(error) => Err(error),
                }),
                control: call!(socket2::Socket: s => s.write(DATA)),
            },
            Row {
                name: "io::copy",
                ours: ours!($type: s => tokio::io::copy(&mut &*DATA, &mut s).await),
                control: call!(socket2::Socket: s => s.write(DATA)),
            },
            Row {
                name: "split: write_vectored",
                ours: ours!($type: s => s.split().1.write_vectored(&slices()).await),
                control: bare!($type: s => s.split().1.write_vectored(&slices()).await),
            },
            Row {
                name: "split: try_write_vectored",
                ours: ours!($type: s => {
                    let (_, writer) = s.split();
                    writer.get_ref().writable().await?;
                    writer.try_write_vectored(&slices())
                }),
                control: bare!($type: s => {
                    let (_, writer) = s.split();
                    writer.writable().await?;
                    writer.try_write_vectored(&slices())
                }),
            },
            Row {
                name: "into_split: write_vectored",
                ours: |fd| {
                    let runtime = runtime();
                    let (reader, mut writer) = runtime
                        .block_on(async { NoSigpipe::new(<$type>::of(fd)).unwrap() })
                        .into_split();
                    Box::new(move || {
                        let _ = &reader;
                        runtime.block_on(writer.write_vectored(&slices())).map(|n| n as u64)
                    })
                },
                control: |fd| {
                    let runtime = runtime();
                    let (reader, mut writer) =
                        runtime.block_on(async { <$type>::of(fd) }).into_split();
                    Box::new(move || {
                        let _ = &reader;
                        runtime.block_on(writer.write_vectored(&slices())).map(|n| n as u64)
                    })
                },
            },
            Row {
                name: "a half of somebody else's: write_buf",
                ours: |fd| {
                    let runtime = runtime();
                    let (reader, writer) =
                        runtime.block_on(async { <$type>::of(fd) }).into_split();
                    let mut writer = NoSigpipe::from(writer);
                    Box::new(move || {
                        let _ = &reader;
                        runtime.block_on(writer.write_buf(&mut &*DATA)).map(|n| n as u64)
                    })
                },
                control: |fd| {
                    let runtime = runtime();
                    let (reader, mut writer) =
                        runtime.block_on(async { <$type>::of(fd) }).into_split();
                    Box::new(move || {
                        let _ = &reader;
                        runtime.block_on(writer.write_buf(&mut &*DATA)).map(|n| n as u64)
                    })
                },
            },
            Row {
                name: "reunite: write_vectored",
                ours: |fd| {
                    let runtime = runtime();
                    let (reader, writer) = runtime
                        .block_on(async { NoSigpipe::new(<$type>::of(fd)).unwrap() })
                        .into_split();
                    let mut s = writer.reunite(reader).unwrap();
                    Box::new(move || runtime.block_on(s.write_vectored(&slices())).map(|n| n as u64))
                },
                control: bare!($type: s => s.write_vectored(&slices()).await),
            },
            Row {
                name: "io::split: write_vectored",
                ours: |fd| {
                    let runtime = runtime();
                    let s = runtime.block_on(async { NoSigpipe::new(<$type>::of(fd)).unwrap() });
                    let (reader, mut writer) = tokio::io::split(s);
                    Box::new(move || {
                        let _ = &reader;
                        runtime.block_on(writer.write_vectored(&slices())).map(|n| n as u64)
                    })
                },
                control: bare!($type: s => s.write_vectored(&slices()).await),
            },
        ]
    };
}

fn sender() -> Sender {
    Sender::of(broken_pipe())
}

/// The stdin of a child that has ended.
async fn broken_child() -> ChildStdin {
    let mut child = Command::new("true").stdin(Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    child.wait().await.unwrap(); // which has no stdin left to drop
    stdin
}

macro_rules! adopt {
    ($handle:expr) => {
        NoSigpipe::new($handle).unwrap()
    };
}

fn pipes() -> Vec<Scene> {
    pairs! {
        "tokio pipe: write":
            runtime().block_on(async { adopt!(sender()).write(b"x").await }),
            control runtime().block_on(async { sender().write(b"x").await });
        "tokio pipe: write_vectored":
            runtime().block_on(async { adopt!(sender()).write_vectored(&slices()).await }),
            control runtime().block_on(async { sender().write_vectored(&slices()).await });
        "tokio pipe: try_write":
            runtime().block_on(async {
                let sender = adopt!(sender());
                sender.get_ref().writable().await?;
                sender.try_write(b"x")
            }),
            control runtime().block_on(async {
                let sender = sender();
                sender.writable().await?;
                sender.try_write(b"x")
            });
        "tokio ChildStdin: write":
            runtime().block_on(async { adopt!(broken_child().await).write(b"x").await }),
            control runtime().block_on(async { broken_child().await.write(b"x").await });
        "tokio ChildStdin: write_vectored":
            runtime().block_on(async {
                adopt!(broken_child().await).write_vectored(&slices()).await
            }),
            control runtime().block_on(async {
                broken_child().await.write_vectored(&slices()).await
            });
        "tokio ChildStdin as a Sender: write":
            runtime().block_on(async {
                let stdin = broken_child().await.into_owned_fd()?;
                adopt!(Sender::from_owned_fd(stdin)?).write(b"x").await
            }),
            control runtime().block_on(async { broken_child().await.write(b"x").await });
    }
}

/// Everything that is written arrives, through buffers that fill again and again.
fn healthy() -> Vec<Scene> {
    const MUCH: usize = 8 << 20;

    fn bytes() -> Vec<u8> {
        (0..MUCH).map(|n| (n % 251) as u8).collect()
    }

    async fn write<W: AsyncWrite + Unpin>(mut writer: W) {
        let bytes = bytes();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (a, b) = rest.split_at(rest.len() / 3);
            let written = writer.write_vectored(&[IoSlice::new(a), IoSlice::new(b)]).await;
            rest = &rest[written.unwrap()..];
        }
        writer.shutdown().await.unwrap();
    }

    async fn read<R: AsyncRead + Unpin>(mut reader: R) {
        let mut read = Vec::new();
        reader.read_to_end(&mut read).await.unwrap();
        assert!(read == bytes());
    }

    vec![
        Scene::survives("tokio tcp: much goes through, both ways at once", || {
            let (a, b) = tcp_pair("127.0.0.1:0").unwrap();
            runtime().block_on(async {
                let (read_a, write_a) = adopt!(TcpStream::of(a)).into_split();
                let (read_b, write_b) = tokio::io::split(adopt!(TcpStream::of(b)));
                assert!(write_a.is_write_vectored() && write_b.is_write_vectored());
                // A task each: one that waits must be woken by what it waits for.
                let tasks = [
                    tokio::spawn(write(write_a)),
                    tokio::spawn(read(read_a)),
                    tokio::spawn(write(write_b)),
                    tokio::spawn(read(read_b)),
                ];
                for task in tasks {
                    task.await.unwrap();
                }
            });
        }),
        Scene::survives("tokio unix: much goes through", || {
            let (a, b) = unix_pair().unwrap();
            runtime().block_on(async {
                tokio::join!(write(adopt!(UnixStream::of(a))), read(UnixStream::of(b)));
            });
        }),
        Scene::survives("tokio pipe: much goes through", || {
            let (reader, writer) = io::pipe().unwrap();
            runtime().block_on(async {
                let reader = Receiver::from_owned_fd(reader.into()).unwrap();
                let writing = tokio::spawn(write(adopt!(Sender::of(writer.into()))));
                read(reader).await;
                writing.await.unwrap();
            });
        }),
        Scene::survives("tokio ChildStdin: much goes through", || {
            runtime().block_on(async {
                let mut child = Command::new("cat")
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .spawn()
                    .unwrap();
                let stdin = adopt!(child.stdin.take().unwrap());
                let stdout = child.stdout.take().unwrap();
                tokio::join!(write(stdin), read(stdout));
            });
        }),
        Scene::survives("tokio ChildStdin: no guard is left by a poll that waits", || {
            runtime().block_on(async {
                let mut child = Command::new("sleep")
                    .arg("10")
                    .stdin(Stdio::piped())
                    .kill_on_drop(true)
                    .spawn()
                    .unwrap();
                let mut stdin = adopt!(child.stdin.take().unwrap());
                let mut writing = Box::pin(stdin.write_all(&[0; 1 << 20]));
                let waits = std::future::poll_fn(|cx| Poll::Ready(writing.as_mut().poll(cx)));
                assert!(waits.await.is_pending());
                assert!(!is_blocked() && !is_pending());
            });
        }),
    ]
}

/// A runtime of one's own: each of its threads stands under a guard, and tokio's own types survive.
fn threads() -> Vec<Scene> {
    fn play(on_thread_start: fn()) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .on_thread_start(on_thread_start)
            .build()
            .unwrap();
        let (ours, theirs) = tcp_pair("127.0.0.1:0").unwrap();
        Break::RstRead.apply(ours.as_fd(), theirs).unwrap();
        let writing = runtime.spawn(async {
            let mut stream = TcpStream::of(ours);
            stream.write_vectored(&slices()).await
        });
        let answer = runtime.block_on(writing).unwrap();
        assert_eq!(spell(&answer), "EPIPE");
        let writing = runtime.spawn_blocking(|| foreign_write(broken_pipe(), b"x"));
        let answer = runtime.block_on(writing).unwrap();
        assert_eq!(spell(&answer), "EPIPE");
    }
    vec![
        Scene::survives("tokio threads under a guard: bare types", || {
            play(|| std::mem::forget(epipe::sigpipe::guard().unwrap()));
        }),
        Scene::dies("tokio threads under a guard: bare types: control", || {
            play(|| {});
        }),
    ]
}

// ------------------------------------------------------------------------------- hyper ----

/// A server answers while its peer is gone: the service is where the connection breaks.
fn serve<S>(adopt: fn(TcpStream) -> S, broken: Break)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (ours, theirs) = tcp_pair("127.0.0.1:0").unwrap();
    foreign_write(&theirs, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let duplicate = ours.try_clone().unwrap();
    let theirs = Mutex::new(Some(theirs));
    let service = service_fn(|_: Request<_>| async {
        let theirs = theirs.lock().unwrap().take().unwrap();
        broken.apply(duplicate.as_fd(), theirs).unwrap();
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(DATA))))
    });
    runtime().block_on(async {
        let stream = TokioIo::new(adopt(TcpStream::of(ours)));
        let error = http1::Builder::new().serve_connection(stream, service).await.unwrap_err();
        assert_eq!(spell_cause(&error), "EPIPE");
    });
}

/// A client's request waits in a queue while its connection breaks.
fn request<S>(adopt: fn(TcpStream) -> S, broken: Break)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (ours, theirs) = tcp_pair("127.0.0.1:0").unwrap();
    let duplicate = ours.try_clone().unwrap();
    runtime().block_on(async {
        let stream = TokioIo::new(adopt(TcpStream::of(ours)));
        let (mut client, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        let request = Request::post("/").header("host", "localhost");
        let request =
            client.send_request(request.body(Full::new(Bytes::from_static(DATA))).unwrap());
        broken.apply(duplicate.as_fd(), theirs).unwrap();
        let (ended, answer) = tokio::join!(connection, request);
        answer.unwrap_err();
        drop(ended);
    });
}

/// The system's error at the bottom of somebody else's.
fn spell_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<io::Error>() {
        Some(error) => {
            spell::<()>(&Err(io::Error::from_raw_os_error(error.raw_os_error().unwrap())))
        }
        None => format!("{cause:?}"),
    }
}

fn hyper() -> Vec<Scene> {
    let mut scenes = Vec::new();
    for broken in [Break::RstRead, Break::FinRst] {
        let name = format!("hyper server {broken:?}: a response");
        scenes.push(Scene::survives(&name, move || serve(|s| adopt!(s), broken)));
        scenes.push(Scene::dies(format!("{name}: control"), move || serve(|s| s, broken)));
    }
    for broken in [Break::Rst, Break::RstRead, Break::FinRst] {
        let name = format!("hyper client {broken:?}: a request in the queue");
        scenes.push(Scene::survives(&name, move || request(|s| adopt!(s), broken)));
        scenes.push(Scene::dies(format!("{name}: control"), move || request(|s| s, broken)));
    }
    scenes
}

// ------------------------------------------------------------------------- tokio-rustls ----

/// What is done with a TLS stream whose peer is gone.
#[derive(Clone, Copy)]
enum Does {
    WriteAndFlush,
    Shutdown,
}

async fn once<S: AsyncWrite + Unpin>(stream: &mut S, does: Does) -> io::Result<u64> {
    match does {
        Does::WriteAndFlush => {
            stream.write_all(DATA).await?;
            stream.flush().await?;
        }
        Does::Shutdown => stream.shutdown().await?,
    }
    Ok(0)
}

fn tls<S>(adopt: fn(TcpStream) -> S, as_client: bool, does: Does, broken: Break)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (ours, theirs) = tcp_pair("127.0.0.1:0").unwrap();
    let fd = ours.as_raw_fd();
    let identity = Identity::new();
    let runtime = runtime();
    let (mut stream, theirs) = runtime.block_on(async {
        let (ours, theirs) = (adopt(TcpStream::of(ours)), TcpStream::of(theirs));
        let connector = TlsConnector::from(identity.client());
        let acceptor = TlsAcceptor::from(identity.server());
        if as_client {
            let (ours, theirs) =
                tokio::join!(connector.connect(localhost(), ours), acceptor.accept(theirs));
            let theirs = theirs.unwrap().into_inner().0;
            (tokio_rustls::TlsStream::from(ours.unwrap()), theirs)
        } else {
            let (theirs, ours) =
                tokio::join!(connector.connect(localhost(), theirs), acceptor.accept(ours));
            let theirs = theirs.unwrap().into_inner().0;
            (tokio_rustls::TlsStream::from(ours.unwrap()), theirs)
        }
    });
    let theirs = runtime.block_on(async { theirs.into_std() }).unwrap();
    // SAFETY: the stream lives to the end.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    let answers =
        break_under(fd, theirs.into(), broken, || runtime.block_on(once(&mut stream, does)));
    assert_eq!(answers.last().unwrap(), "EPIPE");
    runtime.block_on(async { drop(stream) });
}

fn tokio_rustls() -> Vec<Scene> {
    let mut scenes = Vec::new();
    for (side, as_client) in [("client", true), ("server", false)] {
        for (does, name) in
            [(Does::WriteAndFlush, "write_all and flush"), (Does::Shutdown, "shutdown")]
        {
            for broken in [Break::Rst, Break::RstRead, Break::Fin, Break::FinRst] {
                // close_notify is said once, and the first write to a peer that has closed
                // succeeds.
                if matches!((does, broken), (Does::Shutdown, Break::Fin)) {
                    continue;
                }
                let name = format!("tokio-rustls {side} {broken:?}: {name}");
                scenes.push(Scene::survives(&name, move || {
                    tls(|s| adopt!(s), as_client, does, broken);
                }));
                scenes.push(Scene::dies(format!("{name}: control"), move || {
                    tls(|s| s, as_client, does, broken);
                }));
            }
        }
    }
    scenes
}

pub fn scenes() -> Vec<Scene> {
    let tcp4 = || tcp_pair("127.0.0.1:0");
    let mut scenes = play_rows(tcp4, "tokio tcp", Break::TCP, &stream_rows!(TcpStream));
    scenes.extend(play_rows(unix_pair, "tokio unix", Break::UNIX, &stream_rows!(UnixStream)));
    scenes.extend(pipes());
    scenes.extend(healthy());
    scenes.extend(threads());
    scenes.extend(hyper());
    scenes.extend(tokio_rustls());
    scenes
}
