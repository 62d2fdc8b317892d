//! Handles and writers of other crates, for which this one has no type.

use std::future::{Future as _, poll_fn};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::Poll;

use epipe::{Guarded, NoSigpipe};
use os_pipe::PipeWriter;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::Scene;
use crate::rows::{DATA, Row, break_under, call, pairs, play_rows};
use crate::support::{
    Break, assert_epipe, broken_pipe, foreign_write, is_blocked, is_pending, slices, tcp_pair,
};
use crate::tls::{Identity, localhost};

fn os_pipe() -> PipeWriter {
    PipeWriter::from(broken_pipe())
}

/// Like a channel of ssh2: its drop writes a last message.
struct Parting(OwnedFd);

impl Write for Parting {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        foreign_write(&self.0, buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Parting {
    fn drop(&mut self) {
        let _ = foreign_write(&self.0, b"goodbye");
    }
}

/// Drops it, and returns EPIPE in its place. A drop reports nothing: the scene shows that the
/// process lives.
fn part(parting: impl Sized) -> io::Result<()> {
    drop(parting);
    Err(io::Error::from_raw_os_error(libc::EPIPE))
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn stream(fd: OwnedFd) -> TcpStream {
    let stream = std::net::TcpStream::from(fd);
    stream.set_nonblocking(true).unwrap();
    TcpStream::from_std(stream).unwrap()
}

type Boxed = Box<dyn AsyncWrite + Unpin + Send>;

/// Writes repeatedly to the writer that `wrap` makes from tokio's own stream.
macro_rules! writes {
    ($wrap:expr) => {
        |fd| {
            let runtime = runtime();
            let wrap = $wrap;
            let mut stream = runtime.block_on(async { wrap(stream(fd)) });
            Box::new(move || runtime.block_on(stream.write_vectored(&slices())).map(|n| n as u64))
        }
    };
}

fn rows() -> [Row; 4] {
    [
        Row {
            name: "Guarded<tokio TcpStream>: write_vectored",
            ours: writes!(Guarded::new),
            control: writes!(|stream: TcpStream| stream),
        },
        Row {
            name: "Guarded<Box<dyn AsyncWrite>>: write_vectored",
            ours: writes!(|stream| Guarded::new(Box::new(stream) as Boxed)),
            control: writes!(|stream| Box::new(stream) as Boxed),
        },
        Row {
            name: "Guarded<Box<dyn Write>>: write_vectored",
            ours: call!(Foreign<true>: s => s.0.write_vectored(&slices())),
            control: call!(Foreign<false>: s => s.0.write_vectored(&slices())),
        },
        Row {
            name: "NoSigpipe<OwnedFd> of a stream of async-net: write_vectored",
            ours: |fd| {
                let stream = async_net::TcpStream::try_from(fd).unwrap();
                let fd = stream.as_fd().try_clone_to_owned().unwrap();
                let mut ours = NoSigpipe::new(fd).unwrap();
                Box::new(move || {
                    let _ = &stream;
                    ours.write_vectored(&slices()).map(|n| n as u64)
                })
            },
            control: call!(std::net::TcpStream: s => s.write_vectored(&slices())),
        },
    ]
}

/// A boxed writer, in a `Guarded` or not.
struct Foreign<const GUARDED: bool>(Box<dyn Write>);

impl<const GUARDED: bool> From<OwnedFd> for Foreign<GUARDED> {
    fn from(fd: OwnedFd) -> Self {
        let stream: Box<dyn Write> = Box::new(std::net::TcpStream::from(fd));
        Foreign(if GUARDED { Box::new(Guarded::new(stream)) } else { stream })
    }
}

fn pipes() -> Vec<Scene> {
    pairs! {
        "os_pipe PipeWriter in a Guarded: write":
            Guarded::new(os_pipe()).write(b"x"),
            control os_pipe().write(b"x");
        "os_pipe PipeWriter as an OwnedFd in a NoSigpipe: write":
            NoSigpipe::new(OwnedFd::from(os_pipe())).unwrap().write(b"x"),
            control os_pipe().write(b"x");
        "os_pipe PipeWriter as this crate's: write":
            epipe::io::PipeWriter::from(OwnedFd::from(os_pipe())).write(b"x"),
            control os_pipe().write(b"x");
        "foreign writer that writes in its drop, in a Guarded: drop":
            part(Guarded::new(Parting(broken_pipe()))),
            control part(Parting(broken_pipe()));
        "foreign writer that writes in its drop, in a Guarded: write":
            Guarded::new(Parting(broken_pipe())).write(b"x"),
            control Parting(broken_pipe()).write(b"x");
    }
}

/// A TLS stream that foreign code has put over tokio's own stream, used through `wrap`.
fn tls<S: AsyncRead + AsyncWrite + Unpin>(
    wrap: fn(tokio_rustls::client::TlsStream<TcpStream>) -> S,
    use_it: impl AsyncFn(&mut S) -> io::Result<()>,
) {
    let (ours, theirs) = tcp_pair("127.0.0.1:0").unwrap();
    let fd = ours.try_clone().unwrap();
    let identity = Identity::new();
    let runtime = runtime();
    let (mut ours, theirs) = runtime.block_on(async {
        let (ours, theirs) = (stream(ours), stream(theirs));
        let connector = TlsConnector::from(identity.client());
        let acceptor = TlsAcceptor::from(identity.server());
        let (ours, theirs) =
            tokio::join!(connector.connect(localhost(), ours), acceptor.accept(theirs));
        let theirs = theirs.unwrap().into_inner().0.into_std().unwrap();
        (wrap(ours.unwrap()), theirs)
    });
    let fd: BorrowedFd<'_> = fd.as_fd();
    let call = || runtime.block_on(use_it(&mut ours)).map(|()| 0);
    let answers = break_under(fd, theirs.into(), Break::RstRead, call);
    assert_eq!(answers.last().unwrap(), "EPIPE");
    runtime.block_on(async { drop(ours) });
}

fn tokio_rustls() -> Vec<Scene> {
    async fn write<S: AsyncWrite + Unpin>(stream: &mut S) -> io::Result<()> {
        stream.write_all(DATA).await?;
        stream.flush().await
    }
    async fn shutdown<S: AsyncWrite + Unpin>(stream: &mut S) -> io::Result<()> {
        stream.shutdown().await
    }
    let name = "foreign Guarded<tokio-rustls TlsStream>: write_all and flush";
    let other = "foreign Guarded<tokio-rustls TlsStream>: shutdown";
    vec![
        Scene::survives(name, || tls(Guarded::new, write)),
        Scene::dies(format!("{name}: control"), || tls(|stream| stream, write)),
        Scene::survives(other, || tls(Guarded::new, shutdown)),
        Scene::dies(format!("{other}: control"), || tls(|stream| stream, shutdown)),
    ]
}

/// All bytes arrive through a `Guarded`, and a waiting poll leaves no guard behind.
fn healthy() -> Vec<Scene> {
    const MUCH: usize = 4 << 20;

    fn bytes() -> Vec<u8> {
        (0..MUCH).map(|n| (n % 251) as u8).collect()
    }

    vec![
        Scene::survives("foreign Guarded<tokio TcpStream>: much goes through", || {
            let (a, b) = tcp_pair("127.0.0.1:0").unwrap();
            runtime().block_on(async {
                let (mut a, mut b) = (Guarded::new(stream(a)), Guarded::new(stream(b)));
                let writing = tokio::spawn(async move {
                    assert!(a.is_write_vectored());
                    a.write_all(&bytes()).await.unwrap();
                    a.shutdown().await.unwrap();
                });
                let mut read = Vec::new();
                b.read_to_end(&mut read).await.unwrap();
                writing.await.unwrap();
                assert!(read == bytes());
                assert!(!is_blocked() && !is_pending());
            });
        }),
        Scene::survives("foreign Guarded<tokio TcpStream>: a poll that waits", || {
            let (a, _b) = tcp_pair("127.0.0.1:0").unwrap();
            runtime().block_on(async {
                let mut a = Guarded::new(stream(a));
                let much = vec![0; 64 << 20];
                let mut writing = Box::pin(a.write_all(&much));
                let waits = poll_fn(|cx| Poll::Ready(writing.as_mut().poll(cx))).await;
                assert!(waits.is_pending() && !is_blocked() && !is_pending());
            });
        }),
        Scene::survives("foreign Guarded<async-net TcpStream>: much goes through", || {
            use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _, future};

            let (a, b) = tcp_pair("127.0.0.1:0").unwrap();
            let [mut a, mut b] =
                [a, b].map(|fd| Guarded::new(async_net::TcpStream::try_from(fd).unwrap()));
            let writing = async {
                a.write_all(&bytes()).await.unwrap();
                a.close().await.unwrap();
            };
            let mut read = Vec::new();
            let reading = async { b.read_to_end(&mut read).await.unwrap() };
            async_io::block_on(future::zip(writing, reading));
            assert!(read == bytes());
            assert!(!is_blocked() && !is_pending());
        }),
    ]
}

pub fn scenes() -> Vec<Scene> {
    let mut scenes = play_rows(|| tcp_pair("127.0.0.1:0"), "foreign tcp", Break::TCP, &rows());
    scenes.extend(pipes());
    scenes.extend(tokio_rustls());
    // tokio and async-net send with the flag themselves, and fail if a library rejects it.
    let why_not = "the crates' own sends need the flag";
    let healthy = healthy().into_iter();
    scenes.extend(healthy.map(|scene| scene.only_where(!crate::suites::is_suite(), why_not)));
    scenes
}
