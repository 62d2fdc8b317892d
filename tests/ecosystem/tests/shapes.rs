//! A crate that links epipe with its features still compiles.

#![allow(missing_docs, reason = "a test")]
#![cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
))]

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

use async_io::Async;
use epipe as _;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};

#[path = "../../support/shapes.rs"]
mod shapes;

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

#[test]
fn a_reference_to_a_stream_of_async_io() {
    async fn echo<T>(stream: Async<T>) -> io::Result<()>
    where
        for<'a> &'a Async<T>: futures_lite::AsyncRead + futures_lite::AsyncWrite,
    {
        let mut byte = [0];
        (&stream).read_exact(&mut byte).await?;
        (&stream).write_all(&byte).await
    }
    async fn first<T>(stream: &Async<T>) -> io::Result<u8>
    where
        for<'a> &'a T: Read,
    {
        let mut byte = [0];
        stream.read_with(|mut inner| inner.read(&mut byte)).await?;
        Ok(byte[0])
    }
    let (ours, mut peer) = pair();
    peer.write_all(&[1, 2]).unwrap();
    let ours = Async::new(ours).unwrap();
    future::block_on(async {
        assert_eq!(first(&ours).await.unwrap(), 1);
        echo(ours).await.unwrap();
    });
    let mut byte = [0];
    (&peer).read_exact(&mut byte).unwrap();
    assert_eq!(byte, [2]);
}

#[test]
fn a_source_of_mio() {
    fn register<S>(mut source: Box<S>, registry: &mio::Registry) -> io::Result<usize>
    where
        S: mio::event::Source + ?Sized,
        for<'a> &'a S: Read + Write,
    {
        registry.register(&mut source, mio::Token(0), mio::Interest::WRITABLE)?;
        (&*source).write(&[3])
    }
    let poll = mio::Poll::new().unwrap();
    let (ours, peer) = pair();
    ours.set_nonblocking(true).unwrap();
    let ours = mio::net::TcpStream::from_std(ours);
    assert_eq!(register(Box::new(ours), poll.registry()).unwrap(), 1);
    let mut byte = [0];
    (&peer).read_exact(&mut byte).unwrap();
    assert_eq!(byte, [3]);
}

#[test]
fn a_stream_of_tokio() {
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

    async fn echo<S>(stream: S) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite,
    {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let byte = reader.read_u8().await?;
        writer.write_u8(byte).await
    }
    fn boxed<S>(stream: S) -> Box<dyn AsyncRead + Unpin>
    where
        S: AsyncRead + Unpin + 'static,
        for<'a> &'a mut S: AsyncRead,
    {
        Box::new(stream)
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.unwrap().block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut peer = tokio::net::TcpStream::connect(address).await.unwrap();
        let (ours, _) = listener.accept().await.unwrap();
        peer.write_u8(4).await.unwrap();
        echo(ours).await.unwrap();
        assert_eq!(boxed(peer).read_u8().await.unwrap(), 4);
    });
}

#[cfg(unix)]
#[allow(deprecated, reason = "`AsyncFd::register` is unsafe")]
#[test]
fn a_handle_that_tokio_watches() {
    use std::os::fd::AsRawFd;

    use tokio::io::unix::AsyncFd;

    async fn first<T>(handle: AsyncFd<T>) -> io::Result<u8>
    where
        T: AsRawFd,
        for<'a> &'a T: Read,
    {
        let mut byte = [0];
        loop {
            let mut ready = handle.readable().await?;
            if let Ok(read) = ready.try_io(|handle| handle.get_ref().read(&mut byte)) {
                return read.map(|_| byte[0]);
            }
        }
    }
    let (ours, mut peer) = pair();
    ours.set_nonblocking(true).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.unwrap().block_on(async {
        peer.write_all(&[5]).unwrap();
        assert_eq!(first(AsyncFd::new(ours).unwrap()).await.unwrap(), 5);
    });
}

/// A trait with tokio's method names, as axum and tokio-util have. If only `Deref` reached the
/// method, the trait's method would call itself without end.
#[test]
fn a_trait_with_names_of_tokio() {
    use epipe::tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

    macro_rules! own {
        ($trait:ident, $ty:ident: $($name:ident -> $ret:ty),+) => {
            trait $trait {
                $(fn $name(&self) -> io::Result<$ret>;)+
            }
            #[deny(unconditional_recursion)]
            impl $trait for $ty {
                $(fn $name(&self) -> io::Result<$ret> {
                    self.$name()
                })+
            }
        };
    }
    own!(Listens, TcpListener: local_addr -> std::net::SocketAddr);
    own!(Speaks, TcpStream:
        local_addr -> std::net::SocketAddr, peer_addr -> std::net::SocketAddr, nodelay -> bool);
    own!(UnixSpeaks, UnixStream:
        local_addr -> tokio::net::unix::SocketAddr, peer_addr -> tokio::net::unix::SocketAddr);
    own!(UnixListens, UnixListener: local_addr -> tokio::net::unix::SocketAddr);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Listens::local_addr(&listener).unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        assert_eq!(Speaks::peer_addr(&stream).unwrap(), address);
        assert_ne!(Speaks::local_addr(&stream).unwrap(), address);
        assert!(!Speaks::nodelay(&stream).unwrap());
        let (unix, _peer) = UnixStream::pair().unwrap();
        assert!(UnixSpeaks::local_addr(&unix).unwrap().is_unnamed());
        assert!(UnixSpeaks::peer_addr(&unix).unwrap().is_unnamed());
        let _: fn(&UnixListener) -> io::Result<tokio::net::unix::SocketAddr> =
            UnixListens::local_addr;
    });
}
