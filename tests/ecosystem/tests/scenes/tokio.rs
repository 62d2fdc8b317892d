//! tokio, and crates that are built on it: hyper and tokio-rustls.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, IoSlice, Write as _};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::extract::ConnectInfo;
use axum::serve::ListenerExt as _;
use epipe::tokio::net;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::Connection;
use hyper_util::rt::{TokioExecutor, TokioIo};
use socket2::{Domain, SockRef};
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, copy_bidirectional,
};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{ChildStdin, Command};
use tokio::runtime::Runtime;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::Scene;
use crate::rows::{DATA, Row, break_under, call, pairs, play_rows};
use crate::support::{
    Break, assert_epipe, broken_pipe, foreign_write, slices, spell, tcp_pair, unix_pair,
};
use crate::tls::{Identity, localhost};

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A stream of tokio's, made from a descriptor.
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

/// Our types for tokio's handles.
trait Ours: Sized {
    type Ours: From<Self>;
}

impl Ours for TcpStream {
    type Ours = net::TcpStream;
}

impl Ours for UnixStream {
    type Ours = net::UnixStream;
}

impl Ours for tokio::net::tcp::OwnedWriteHalf {
    type Ours = net::tcp::OwnedWriteHalf;
}

impl Ours for tokio::net::unix::OwnedWriteHalf {
    type Ours = net::unix::OwnedWriteHalf;
}

impl Ours for Sender {
    type Ours = net::unix::pipe::Sender;
}

fn adopted<T: Ours>(theirs: T) -> T::Ours {
    theirs.into()
}

impl OfFd for net::TcpStream {
    fn of(fd: OwnedFd) -> net::TcpStream {
        let std = epipe::net::TcpStream::from(fd);
        std.set_nonblocking(true).unwrap();
        net::TcpStream::from_std(std).unwrap()
    }
}

impl OfFd for net::UnixStream {
    fn of(fd: OwnedFd) -> net::UnixStream {
        let std = epipe::os::unix::net::UnixStream::from(fd);
        std.set_nonblocking(true).unwrap();
        net::UnixStream::from_std(std).unwrap()
    }
}

/// `Type: stream => call`: makes the handle from a descriptor, then the call.
macro_rules! on {
    ($type:ty: $stream:ident => $call:expr) => {
        |fd| {
            let runtime = runtime();
            #[allow(unused_mut)]
            let mut $stream = runtime.block_on(async { <$type>::of(fd) });
            Box::new(move || runtime.block_on(async { $call }).map(|n| n as u64))
        }
    };
}

/// The same for a handle that is first made from the stream, and consumes it.
macro_rules! made {
    ($type:ty: $stream:ident => $made:expr, $writer:ident => $call:expr) => {
        |fd| {
            let runtime = runtime();
            let (_rest, mut $writer) = runtime.block_on(async {
                #[allow(unused_mut)]
                let mut $stream = <$type>::of(fd);
                $made
            });
            Box::new(move || {
                let _ = &_rest;
                runtime.block_on(async { $call }).map(|n| n as u64)
            })
        }
    };
}

/// `name, our type, tokio's type: stream => call`: the same call on both.
macro_rules! row {
    ($name:literal, $ours:ty, $theirs:ty: $stream:ident => $call:expr) => {
        Row {
            name: $name,
            ours: on!($ours: $stream => $call),
            control: on!($theirs: $stream => $call),
        }
    };
    ($name:literal, $ours:ty, $theirs:ty:
        $stream:ident => $made:expr, $writer:ident => $call:expr
    ) => {
        Row {
            name: $name,
            ours: made!($ours: $stream => $made, $writer => $call),
            control: made!($theirs: $stream => $made, $writer => $call),
        }
    };
}

/// tokio's own writes of one buffer survive. Their control is `send` without a flag.
macro_rules! row_of_one {
    ($name:literal, $ours:ty: $stream:ident => $call:expr) => {
        Row {
            name: $name,
            ours: on!($ours: $stream => $call),
            control: call!(socket2::Socket: s => s.write(DATA)),
        }
    };
}

/// The calls on our stream, on tokio's, and on handles made from them.
macro_rules! stream_rows {
    ($ours:ty, $theirs:ty) => {
        [
            row!("write_vectored", $ours, $theirs: s => s.write_vectored(&slices()).await),
            row!("write_buf of one slice", $ours, $theirs: s => s.write_buf(&mut &*DATA).await),
            row!("try_write_vectored", $ours, $theirs: s => {
                s.writable().await?;
                s.try_write_vectored(&slices())
            }),
            row!("as_ref: try_write_vectored", $ours, $theirs: s => {
                s.writable().await?;
                s.as_ref().try_write_vectored(&slices())
            }),
            row_of_one!("try_write", $ours: s => {
                s.writable().await?;
                s.try_write(DATA)
            }),
            row_of_one!("write_all and flush", $ours: s => match s.write_all(DATA).await {
                Ok(()) => s.flush().await.map(|()| 0),
                Err(error) => Err(error),
            }),
            row_of_one!("io::copy", $ours: s => tokio::io::copy(&mut &*DATA, &mut s).await),
            row_of_one!("split: try_write", $ours: s => {
                s.writable().await?;
                s.split().1.try_write(DATA)
            }),
            row!("split: write_vectored", $ours, $theirs: s => {
                s.split().1.write_vectored(&slices()).await
            }),
            row!("split: try_write_vectored", $ours, $theirs: s => {
                let (_, writer) = s.split();
                writer.writable().await?;
                writer.try_write_vectored(&slices())
            }),
            row!("split: as_ref: try_write_vectored", $ours, $theirs: s => {
                let (_, writer) = s.split();
                writer.writable().await?;
                writer.as_ref().try_write_vectored(&slices())
            }),
            row!("into_split: write_vectored", $ours, $theirs:
                s => s.into_split(), writer => writer.write_vectored(&slices()).await),
            Row {
                name: "a half made by tokio: write_buf",
                ours: made!($theirs: s => {
                    let (reader, writer) = s.into_split();
                    (reader, adopted(writer))
                }, writer => writer.write_buf(&mut &*DATA).await),
                control: made!($theirs: s => s.into_split(),
                    writer => writer.write_buf(&mut &*DATA).await),
            },
            row!("reunite: write_vectored", $ours, $theirs: s => {
                let (reader, writer) = s.into_split();
                ((), writer.reunite(reader).unwrap())
            }, s => s.write_vectored(&slices()).await),
            row!("a reader's reunite: write_vectored", $ours, $theirs: s => {
                let (reader, writer) = s.into_split();
                ((), reader.reunite(writer).unwrap())
            }, s => s.write_vectored(&slices()).await),
            row!("io::split: write_vectored", $ours, $theirs:
                s => tokio::io::split(s), writer => writer.write_vectored(&slices()).await),
            row!("into_std: write_vectored", $ours, $theirs:
                s => ((), s.into_std().unwrap()), s => s.write_vectored(&slices())),
            Row {
                name: "a stream made by tokio: write_vectored",
                ours: made!($theirs: s => ((), adopted(s)), s => s.write_vectored(&slices()).await),
                control: on!($theirs: s => s.write_vectored(&slices()).await),
            },
        ]
    };
}

/// The stdin of a child that has ended.
async fn broken_child() -> ChildStdin {
    let mut child = Command::new("true").stdin(Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    child.wait().await.unwrap(); // the child has no stdin left to drop
    stdin
}

fn pipes() -> Vec<Scene> {
    fn ours() -> net::unix::pipe::Sender {
        Sender::of(broken_pipe()).into()
    }
    fn theirs() -> Sender {
        Sender::of(broken_pipe())
    }
    pairs! {
        "tokio pipe: write":
            runtime().block_on(async { ours().write(b"x").await }),
            control runtime().block_on(async { theirs().write(b"x").await });
        "tokio pipe: write_vectored":
            runtime().block_on(async { ours().write_vectored(&slices()).await }),
            control runtime().block_on(async { theirs().write_vectored(&slices()).await });
        "tokio pipe: try_write":
            runtime().block_on(async {
                let sender = ours();
                sender.writable().await?;
                sender.try_write(b"x")
            }),
            control runtime().block_on(async {
                let sender = theirs();
                sender.writable().await?;
                sender.try_write(b"x")
            });
        "tokio ChildStdin as a Sender: write":
            runtime().block_on(async {
                let stdin = broken_child().await.into_owned_fd()?;
                net::unix::pipe::Sender::from_owned_fd(stdin)?.write(b"x").await
            }),
            control runtime().block_on(async { broken_child().await.write(b"x").await });
    }
}

// --------------------------------------------- programs, and functions that make streams ----

/// `name: future`, where `net` is this crate's `tokio::net`. In the control it is tokio's own. Only
/// the `use` line differs.
macro_rules! migrated {
    ($($name:literal: $play:expr;)+) => {
        pairs! {$(
            $name:
                {
                    use epipe::tokio::net;
                    runtime().block_on($play)
                },
                control {
                    use ::tokio::net;
                    runtime().block_on($play)
                };
        )+}
    };
}

/// Breaks a new connection, then writes to it.
async fn write_broken<S>(mut ours: S, theirs: impl Into<OwnedFd>) -> io::Result<usize>
where
    S: AsyncWrite + AsFd + Unpin,
{
    let theirs = theirs.into();
    let broken = match SockRef::from(&theirs).domain()? {
        Domain::UNIX => Break::Closed,
        _ => Break::RstRead,
    };
    broken.apply(ours.as_fd(), theirs)?;
    ours.write_vectored(&slices()).await
}

/// A path in its own directory, which is removed at the end, before a control dies.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        let directory = std::env::temp_dir().join(format!("epipe-tokio-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory); // left by a killed process with the same id
        std::fs::create_dir(&directory).unwrap();
        Place(directory.join("place"))
    }

    fn with_fifo() -> Place {
        let place = Place::new();
        rustix::fs::mkfifoat(rustix::fs::CWD, &place.0, rustix::fs::Mode::RWXU).unwrap();
        place
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.0.parent().unwrap());
    }
}

fn creations() -> Vec<Scene> {
    migrated! {
        "tokio TcpStream::connect: write_vectored": async {
            let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
            let ours = net::TcpStream::connect(listener.local_addr()?).await?;
            write_broken(ours, listener.accept()?.0).await
        };
        "tokio TcpListener::accept: write_vectored": async {
            let listener = net::TcpListener::bind("127.0.0.1:0").await?;
            let theirs = std::net::TcpStream::connect(listener.local_addr()?)?;
            write_broken(listener.accept().await?.0, theirs).await
        };
        "tokio TcpListener::poll_accept: write_vectored": async {
            let listener = net::TcpListener::bind("127.0.0.1:0").await?;
            let theirs = std::net::TcpStream::connect(listener.local_addr()?)?;
            write_broken(poll_fn(|cx| listener.poll_accept(cx)).await?.0, theirs).await
        };
        "tokio TcpListener::from_std: accept: write_vectored": async {
            let listener = net::TcpListener::bind("127.0.0.1:0").await?.into_std()?;
            let theirs = std::net::TcpStream::connect(listener.local_addr()?)?;
            let listener = net::TcpListener::try_from(listener)?;
            write_broken(listener.accept().await?.0, theirs).await
        };
        "tokio TcpSocket::connect: write_vectored": async {
            let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
            let socket = net::TcpSocket::new_v4()?;
            socket.set_keepalive(true)?;
            let ours = socket.connect(listener.local_addr()?).await?;
            write_broken(ours, listener.accept()?.0).await
        };
        "tokio TcpSocket::listen: write_vectored": async {
            let socket = net::TcpSocket::new_v4()?;
            socket.bind("127.0.0.1:0".parse().unwrap())?;
            let listener = socket.listen(1)?;
            let theirs = std::net::TcpStream::connect(listener.local_addr()?)?;
            write_broken(listener.accept().await?.0, theirs).await
        };
        "tokio TcpSocket::from_std_stream: connect: write_vectored": async {
            let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
            let socket = socket2::Socket::new(Domain::IPV4, socket2::Type::STREAM, None)?;
            socket.set_nonblocking(true)?;
            let socket = net::TcpSocket::from_std_stream(socket.into());
            let ours = socket.connect(listener.local_addr()?).await?;
            write_broken(ours, listener.accept()?.0).await
        };
        "tokio UnixStream::pair: write_vectored": async {
            let (ours, theirs) = net::UnixStream::pair()?;
            write_broken(ours, theirs.into_std()?).await
        };
        "tokio UnixStream::connect: write_vectored": async {
            let place = Place::new();
            let listener = std::os::unix::net::UnixListener::bind(&place.0)?;
            let ours = net::UnixStream::connect(&place.0).await?;
            drop(place);
            write_broken(ours, listener.accept()?.0).await
        };
        "tokio UnixListener::accept: write_vectored": async {
            let place = Place::new();
            let listener = net::UnixListener::bind(&place.0)?;
            let theirs = std::os::unix::net::UnixStream::connect(&place.0)?;
            drop(place);
            write_broken(listener.accept().await?.0, theirs).await
        };
        "tokio UnixListener::poll_accept: write_vectored": async {
            let place = Place::new();
            let listener = net::UnixListener::bind(&place.0)?.into_std()?;
            let listener = net::UnixListener::from_std(listener)?;
            let theirs = std::os::unix::net::UnixStream::connect(&place.0)?;
            drop(place);
            write_broken(poll_fn(|cx| listener.poll_accept(cx)).await?.0, theirs).await
        };
        "tokio pipe: of pipe(): write": async {
            let (mut sender, receiver) = net::unix::pipe::pipe()?;
            drop(receiver);
            sender.write(b"x").await
        };
        "tokio pipe: of OpenOptions: write": async {
            let fifo = Place::with_fifo();
            let options = net::unix::pipe::OpenOptions::new();
            let receiver = options.open_receiver(&fifo.0)?;
            let mut sender = options.open_sender(&fifo.0)?;
            drop((receiver, fifo));
            sender.write(b"x").await
        };
        "tokio pipe: of OpenOptions in a chain: write": async {
            let fifo = Place::with_fifo();
            let receiver = net::unix::pipe::OpenOptions::new().open_receiver(&fifo.0)?;
            let mut options = net::unix::pipe::OpenOptions::new();
            let mut sender = options.read_write(false).unchecked(true).open_sender(&fifo.0)?;
            drop((receiver, fifo));
            sender.write(b"x").await
        };
        "tokio pipe: from_file: write": async {
            let file = std::fs::File::from(broken_pipe());
            net::unix::pipe::Sender::from_file(file)?.write(b"x").await
        };
        "tokio pipe: from_owned_fd_unchecked: write": async {
            net::unix::pipe::Sender::from_owned_fd_unchecked(broken_pipe())?.write(b"x").await
        };
        "tokio program: a TCP proxy": async {
            use net::TcpStream;
            use net::tcp::{OwnedReadHalf, OwnedWriteHalf};

            async fn relay(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<usize> {
                let mut buf = Vec::new();
                while from.read_buf(&mut buf).await? > 0 {
                    let mut rest = &buf[..];
                    while !rest.is_empty() {
                        to.write_buf(&mut rest).await?;
                    }
                    buf.clear();
                }
                Ok(0)
            }
            async fn tunnel(mut client: TcpStream, to: SocketAddr) -> io::Result<u64> {
                let mut server = TcpStream::connect(to).await?;
                let (sent, received) = copy_bidirectional(&mut client, &mut server).await?;
                Ok(sent + received)
            }
            async fn proxy(client: TcpStream, to: SocketAddr) -> io::Result<usize> {
                let server = TcpStream::connect(to).await?;
                server.set_nodelay(true)?;
                let (client_reader, client_writer) = client.into_split();
                let (server_reader, server_writer) = server.into_split();
                let back = tokio::spawn(relay(server_reader, client_writer));
                let forth = relay(client_reader, server_writer).await;
                back.await??;
                forth
            }

            let listener = net::TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?;
            let server = net::TcpListener::bind("127.0.0.1:0").await?;
            let to = server.local_addr()?;
            tokio::spawn(async move { while server.accept().await.is_ok() {} }); // closes each one
            drop(TcpStream::connect(address).await?);
            assert_eq!(tunnel(listener.accept().await?.0, to).await?, 0);
            let mut client = TcpStream::connect(address).await?;
            tokio::spawn(async move {
                // The server has closed, but the client goes on.
                assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
                while client.write_buf(&mut &*DATA).await.is_ok() {}
            });
            proxy(listener.accept().await?.0, to).await
        };
        "tokio program: a Unix server": async {
            use net::{UnixListener, UnixStream};

            async fn answer(mut client: UnixStream) -> io::Result<usize> {
                let (reader, mut writer) = client.split();
                let mut request = String::new();
                BufReader::new(reader).read_to_string(&mut request).await?;
                let (head, body) = (IoSlice::new(b"200 "), IoSlice::new(request.as_bytes()));
                writer.write_vectored(&[head, body]).await
            }

            let place = Place::new();
            let server = UnixListener::bind(&place.0)?;
            let mut client = UnixStream::connect(&place.0).await?;
            client.write_buf(&mut &*DATA).await?;
            drop((client, place));
            answer(server.accept().await?.0).await
        };
    }
}

/// All written bytes arrive, through buffers that fill repeatedly.
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
                let (read_a, write_a) = adopted(TcpStream::of(a)).into_split();
                let (read_b, write_b) = tokio::io::split(adopted(TcpStream::of(b)));
                assert!(write_a.is_write_vectored() && write_b.is_write_vectored());
                // One task each: a waiting task must be woken by the event that it waits for.
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
                tokio::join!(write(adopted(UnixStream::of(a))), read(UnixStream::of(b)));
            });
        }),
        Scene::survives("tokio UdpSocket, which is tokio's own: its peer is gone", || {
            let broken: io::Result<()> = runtime().block_on(async {
                let peer = net::UdpSocket::bind("127.0.0.1:0").await?;
                let socket = net::UdpSocket::bind("127.0.0.1:0").await?;
                socket.connect(peer.local_addr()?).await?;
                drop(peer);
                loop {
                    socket.send(DATA).await?;
                }
            });
            assert_eq!(broken.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        })
        .only_where(!crate::suites::is_suite(), "std's own send needs the flag"),
        Scene::survives("tokio pipe: much goes through", || {
            let (reader, writer) = io::pipe().unwrap();
            runtime().block_on(async {
                let reader = Receiver::from_owned_fd(reader.into()).unwrap();
                let writing = tokio::spawn(write(adopted(Sender::of(writer.into()))));
                read(reader).await;
                writing.await.unwrap();
            });
        }),
    ]
}

// ------------------------------------------------------------------------------- hyper ----

/// A server answers while its peer is gone: the connection breaks in the service.
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

/// A client sends a request and vanishes at once, while the service waits. A byte must follow the
/// request: hyper drops a request that only the end follows.
fn answer_in_vain<S>(adopt: fn(TcpStream) -> S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (ours, theirs) = tcp_pair("127.0.0.1:0").unwrap();
    foreign_write(&theirs, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nG").unwrap();
    Break::FinRst.apply(ours.as_fd(), theirs).unwrap();
    let service = service_fn(|_: Request<_>| async {
        tokio::task::yield_now().await;
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

/// The system's error at the bottom of a foreign error.
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
        scenes.push(Scene::survives(&name, move || serve(adopted::<TcpStream>, broken)));
        scenes.push(Scene::dies(format!("{name}: control"), move || serve(|s| s, broken)));
    }
    let name = "hyper server: a response to a client that asks and vanishes";
    scenes.push(Scene::survives(name, || answer_in_vain(adopted::<TcpStream>)));
    scenes.push(Scene::dies(format!("{name}: control"), || answer_in_vain(|s| s)));
    for broken in [Break::Rst, Break::RstRead, Break::FinRst] {
        let name = format!("hyper client {broken:?}: a request in the queue");
        scenes.push(Scene::survives(&name, move || request(adopted::<TcpStream>, broken)));
        scenes.push(Scene::dies(format!("{name}: control"), move || request(|s| s, broken)));
    }
    scenes
}

// --------------------------------------------------------------- axum and hyper-util ----

/// axum answers a client that is gone, then another one. It identifies the first by its address.
async fn axum<L>(listener: L, address: io::Result<SocketAddr>)
where
    L: axum::serve::Listener<Addr = SocketAddr>,
    L::Io: AsFd,
{
    let ours = Arc::new(Mutex::new(None));
    let of_accept = Arc::clone(&ours);
    let listener = listener.tap_io(move |stream| {
        let duplicate = || stream.as_fd().try_clone_to_owned().unwrap();
        of_accept.lock().unwrap().get_or_insert_with(duplicate); // of the first client
    });
    let connect = || {
        let client = std::net::TcpStream::connect(*address.as_ref().unwrap()).unwrap();
        foreign_write(&client, b"GET / HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\n\r\n")
            .unwrap();
        client
    };
    let gone = connect();
    let expected = gone.local_addr().unwrap();
    let theirs = Arc::new(Mutex::new(Some(OwnedFd::from(gone))));
    let answer = move |ConnectInfo(client): ConnectInfo<SocketAddr>| async move {
        if let Some(theirs) = theirs.lock().unwrap().take() {
            assert_eq!(client, expected);
            let ours = ours.lock().unwrap().take().unwrap();
            Break::RstRead.apply(ours.as_fd(), theirs).unwrap();
        }
        DATA
    };
    let app = axum::Router::new().route("/", axum::routing::get(answer));
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(axum::serve(listener, app).into_future());
    let second = connect();
    second.set_nonblocking(true).unwrap();
    let mut answer = Vec::new();
    TcpStream::from_std(second).unwrap().read_to_end(&mut answer).await.unwrap();
    assert!(answer.ends_with(DATA));
}

/// A request of hyper-util's pooling client, whose server vanishes before the body is sent.
async fn client<S>(adopt: fn(TcpStream) -> S)
where
    S: AsyncRead + AsyncWrite + Connection + AsFd + Unpin + Send + 'static,
{
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let ours = Arc::new(Mutex::new(None));
    let of_connect = Arc::clone(&ours);
    let connector = tower::service_fn(move |_: hyper::Uri| {
        let ours = Arc::clone(&of_connect);
        Box::pin(async move {
            let stream = adopt(TcpStream::connect(address).await?);
            *ours.lock().unwrap() = Some(stream.as_fd().try_clone_to_owned()?);
            Ok::<_, io::Error>(TokioIo::new(stream))
        })
    });
    let body = Full::new(Bytes::from_static(DATA)).map_frame(move |data| {
        let theirs = listener.accept().unwrap().0;
        let ours = ours.lock().unwrap().take().unwrap();
        Break::RstRead.apply(ours.as_fd(), theirs.into()).unwrap();
        data
    });
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let request = Request::post(format!("http://{address}/")).body(body).unwrap();
    let error = client.request(request).await.unwrap_err();
    assert_eq!(spell_cause(&error), "EPIPE");
}

fn glue() -> Vec<Scene> {
    async fn serve_ours() {
        let listener = net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr();
        axum(listener, address).await;
    }
    async fn serve_theirs() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr();
        axum(listener, address).await;
    }
    async fn connect_info() {
        let listener = net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, address) = listener.accept().await.unwrap();
        let info = tonic::transport::server::Connected::connect_info(&stream);
        assert_eq!(info.remote_addr(), Some(address));
        assert_eq!(info.remote_addr(), client.local_addr().ok());
        let (a, _b) = net::UnixStream::pair().unwrap();
        let info = tonic::transport::server::Connected::connect_info(&a);
        assert_eq!(info.peer_cred.unwrap().pid(), Some(std::process::id() as i32));
    }
    vec![
        Scene::survives("tokio tonic: who is connected", || runtime().block_on(connect_info())),
        Scene::survives("tokio axum: a response", || runtime().block_on(serve_ours())),
        Scene::dies("tokio axum: a response: control", || runtime().block_on(serve_theirs())),
        Scene::survives("hyper client of hyper-util: a body", || {
            runtime().block_on(client(adopted::<TcpStream>));
        }),
        Scene::dies("hyper client of hyper-util: a body: control", || {
            runtime().block_on(client(|stream| stream));
        }),
    ]
}

// ------------------------------------------------------------------------- tokio-rustls ----

/// A use of a TLS stream whose peer is gone.
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
    // SAFETY: the stream lives until the end.
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
                // A close_notify is sent only once, and the first write to a peer that has closed
                // succeeds.
                if matches!((does, broken), (Does::Shutdown, Break::Fin)) {
                    continue;
                }
                let name = format!("tokio-rustls {side} {broken:?}: {name}");
                scenes.push(Scene::survives(&name, move || {
                    tls(adopted::<TcpStream>, as_client, does, broken);
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
    let tcp = stream_rows!(net::TcpStream, TcpStream);
    let unix = stream_rows!(net::UnixStream, UnixStream);
    let mut scenes = play_rows(tcp4, "tokio tcp", Break::TCP, &tcp);
    scenes.extend(play_rows(unix_pair, "tokio unix", Break::UNIX, &unix));
    scenes.extend(pipes());
    scenes.extend(creations());
    scenes.extend(healthy());
    scenes.extend(hyper());
    scenes.extend(glue());
    scenes.extend(tokio_rustls());
    scenes
}
