//! async-io: an `Async` writes as the type that it holds. Also async-net and async-process, which
//! are built on it and belong to smol.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener as StdUnixListener};

use async_io::{Async, IoSafe, block_on};
use async_process::{ChildStdin, Command, Stdio};
use epipe::async_io::{accept, accept_unix, connect, connect_unix};
use epipe::net::{TcpListener, TcpStream};
use epipe::os::unix::net::{UnixListener, UnixStream};
use epipe::{Guarded, NoSigpipe};
use futures_lite::AsyncWriteExt;

use crate::Scene;
use crate::rows::{Call, Row, broken_child, pairs, play_rows};
use crate::support::{Break, assert_epipe, broken_pipe, slices, tcp_pair, unix_pair};

/// Writes two slices repeatedly.
fn writes<T>(handle: T) -> Call
where
    T: AsFd + std::io::Write + IoSafe + 'static,
{
    let mut handle = Async::new(handle).unwrap();
    Box::new(move || block_on(handle.write_vectored(&slices())).map(|n| n as u64))
}

macro_rules! row {
    ($name:literal, $ours:ty, control $std:ty) => {
        Row {
            name: concat!("Async<", $name, ">: write_vectored"),
            ours: |fd| writes(<$ours>::from(fd)),
            control: |fd| writes(<$std>::from(fd)),
        }
    };
}

fn adapter_row<T>() -> Row
where
    T: From<OwnedFd> + epipe::Adopt + AsFd + std::io::Write + IoSafe + 'static,
    NoSigpipe<T>: std::io::Write,
{
    Row {
        name: "Async<NoSigpipe<std stream>>: write_vectored",
        ours: |fd| writes(NoSigpipe::new(T::from(fd)).unwrap()),
        control: |fd| writes(T::from(fd)),
    }
}

// ------------------------------------------------------------------ connect and accept ----

/// Both ends of a connection that this crate's functions make. The first one has connected.
async fn tcp() -> (Async<TcpStream>, Async<TcpStream>) {
    let listener = Async::new(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
    let ours = connect(listener.get_ref().local_addr().unwrap()).await.unwrap();
    (ours, accept(&listener).await.unwrap().0)
}

/// The same by async-io's own functions.
async fn std_tcp() -> (Async<std::net::TcpStream>, Async<std::net::TcpStream>) {
    let listener = Async::<std::net::TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
    let address = listener.get_ref().local_addr().unwrap();
    let ours = Async::<std::net::TcpStream>::connect(address).await.unwrap();
    (ours, listener.accept().await.unwrap().0)
}

/// A listener without a file, and its address in async-io's notation.
fn unix_listener() -> (StdUnixListener, String) {
    let name = format!("epipe {}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    (StdUnixListener::bind_addr(&address).unwrap(), format!("\0{name}"))
}

async fn unix() -> (Async<UnixStream>, Async<UnixStream>) {
    let (listener, address) = unix_listener();
    let listener = Async::new(UnixListener::from(listener)).unwrap();
    let ours = connect_unix(address).await.unwrap();
    (ours, accept_unix(&listener).await.unwrap().0)
}

async fn std_unix() -> (Async<StdUnixStream>, Async<StdUnixStream>) {
    let (listener, address) = unix_listener();
    let listener = Async::new(listener).unwrap();
    let ours = Async::<StdUnixStream>::connect(address).await.unwrap();
    (ours, listener.accept().await.unwrap().0)
}

/// Breaks a connection, then writes to it.
async fn write<T>((mut ours, theirs): (Async<T>, Async<T>), broken: Break) -> io::Result<usize>
where
    T: AsFd + io::Write + IoSafe + Into<OwnedFd>,
{
    broken.apply(ours.as_fd(), theirs.into_inner()?.into())?;
    ours.write_vectored(&slices()).await
}

fn turned<T>((ours, theirs): (T, T)) -> (T, T) {
    (theirs, ours)
}

fn connections() -> Vec<Scene> {
    pairs! {
        "async-io connect: write_vectored":
            block_on(async { write(tcp().await, Break::RstRead).await }),
            control block_on(async { write(std_tcp().await, Break::RstRead).await });
        "async-io accept: write_vectored":
            block_on(async { write(turned(tcp().await), Break::RstRead).await }),
            control block_on(async { write(turned(std_tcp().await), Break::RstRead).await });
        "async-io connect_unix: write_vectored":
            block_on(async { write(unix().await, Break::Closed).await }),
            control block_on(async { write(std_unix().await, Break::Closed).await });
        "async-io accept_unix: write_vectored":
            block_on(async { write(turned(unix().await), Break::Closed).await }),
            control block_on(async { write(turned(std_unix().await), Break::Closed).await });
    }
}

/// Without a listener, a connection attempt is an error.
fn refused() -> Vec<Scene> {
    vec![Scene::survives("async-io connect, connect_unix: refused", || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = block_on(connect(address)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = block_on(connect_unix("/does/not/exist")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    })]
}

// ------------------------------------------------------------------------------- smol ----

/// Writes two slices repeatedly to async-net's stream, as `wrap` returns it.
macro_rules! async_net {
    ($wrap:expr) => {
        |fd| {
            let wrap = $wrap;
            let mut stream = wrap(async_net::TcpStream::try_from(fd).unwrap());
            Box::new(move || block_on(stream.write_vectored(&slices())).map(|n| n as u64))
        }
    };
}

fn async_net() -> [Row; 2] {
    [
        Row {
            name: "async-net TcpStream in a Guarded: write_vectored",
            ours: async_net!(Guarded::new),
            control: async_net!(|stream| stream),
        },
        Row {
            name: "async-net TcpStream, Async<TcpStream> in its place: write_vectored",
            ours: |fd| writes(TcpStream::from(fd)),
            control: async_net!(|stream| stream),
        },
    ]
}

/// The stdin of an async-process child that has ended.
fn smol_child() -> ChildStdin {
    let mut child = Command::new("true").stdin(Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    block_on(child.status()).unwrap();
    stdin
}

fn smol_children() -> Vec<Scene> {
    pairs! {
        "async-process ChildStdin in a Guarded: write":
            block_on(Guarded::new(smol_child()).write(b"x")),
            control block_on(smol_child().write(b"x"));
        "async-process ChildStdin in a Guarded: write_vectored":
            block_on(Guarded::new(smol_child()).write_vectored(&slices())),
            control block_on(smol_child().write_vectored(&slices()));
        "async-process ChildStdin as an Async<PipeWriter>: write": {
            let stdin = OwnedFd::try_from(smol_child()).unwrap();
            block_on(Async::new(epipe::io::PipeWriter::from(stdin)).unwrap().write(b"x"))
        },
            control block_on(smol_child().write(b"x"));
    }
}

type StdUnixStream = std::os::unix::net::UnixStream;

pub fn scenes() -> Vec<Scene> {
    let tcp4 = || tcp_pair("127.0.0.1:0");
    let tcp = [
        row!("TcpStream", epipe::net::TcpStream, control std::net::TcpStream),
        row!("Socket", epipe::socket2::Socket, control std::net::TcpStream),
        adapter_row::<std::net::TcpStream>(),
    ];
    let unix =
        [row!("UnixStream", UnixStream, control StdUnixStream), adapter_row::<StdUnixStream>()];
    let mut scenes = play_rows(tcp4, "async-io tcp", Break::TCP, &tcp);
    scenes.extend(play_rows(tcp4, "smol tcp", Break::TCP, &async_net()));
    scenes.extend(play_rows(unix_pair, "async-io unix", Break::UNIX, &unix));
    scenes.extend(pairs! {
        "async-io: Async<PipeWriter>: write":
            block_on(Async::new(epipe::io::PipeWriter::from(broken_pipe())).unwrap().write(b"x")),
            control block_on(
                Async::new(std::io::PipeWriter::from(broken_pipe())).unwrap().write(b"x"),
            );
        "async-io: Async<NoSigpipe<ChildStdin>>: write": {
            let stdin = NoSigpipe::new(broken_child()).unwrap();
            block_on(Async::new(stdin).unwrap().write(b"x"))
        },
            control block_on(Async::new(broken_child()).unwrap().write(b"x"));
    });
    scenes.extend(connections());
    scenes.extend(refused());
    scenes.extend(smol_children());
    scenes
}
