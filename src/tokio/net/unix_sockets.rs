//! The streams and listeners. Modules of tokio's names have no room for them.

use std::path::Path;

use super::unix::SocketAddr;
use super::*;

handle! {
    /// A Unix stream: a vanished peer is an error, never a signal.
    ///
    /// Like [`tokio::net::UnixStream`], which it lends for all that does not write. What writes to
    /// the lent stream [is not protected](crate::tokio::net#limits).
    UnixStream, ::tokio::net::UnixStream, crate::os::unix::net::UnixStream
}
stream!(UnixStream, unix);

impl UnixStream {
    mirror! { "tokio::net::UnixStream":
        fn local_addr(&self) -> io::Result<SocketAddr>;
        fn peer_addr(&self) -> io::Result<SocketAddr>;
    }

    /// Like [`tokio::net::UnixStream::connect`]; the stream is protected.
    pub async fn connect<P: AsRef<Path>>(path: P) -> io::Result<UnixStream> {
        ::tokio::net::UnixStream::connect(path).await.map(UnixStream::from)
    }

    /// Like [`tokio::net::UnixStream::pair`]; both streams are protected.
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        ::tokio::net::UnixStream::pair().map(|(a, b)| (a.into(), b.into()))
    }
}

handle! {
    /// A Unix listener whose streams are protected.
    ///
    /// Like [`tokio::net::UnixListener`], which it lends for all but this.
    UnixListener, ::tokio::net::UnixListener, crate::os::unix::net::UnixListener
}

impl UnixListener {
    mirror! { "tokio::net::UnixListener": fn local_addr(&self) -> io::Result<SocketAddr>; }

    /// Like [`tokio::net::UnixListener::bind`].
    #[track_caller]
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixListener> {
        ::tokio::net::UnixListener::bind(path).map(UnixListener::from)
    }

    /// Like [`tokio::net::UnixListener::accept`]; the stream is protected.
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        self.inner.accept().await.map(|(stream, addr)| (stream.into(), addr))
    }

    /// Like [`tokio::net::UnixListener::poll_accept`]; the stream is protected.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        self.inner.poll_accept(cx).map_ok(|(stream, addr)| (stream.into(), addr))
    }
}
