//! The Unix streams and listeners. tokio's public module `unix` does not have them.

use std::path::Path;

use super::unix::SocketAddr;
use super::*;

handle! {
    /// A Unix stream: a vanished peer is an error, never a signal.
    ///
    /// Like [`tokio::net::UnixStream`], which it lends for all methods that do not write. A write
    /// to the lent stream [is not protected](crate::tokio::net#limits).
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// # runtime.block_on(async {
    /// use std::io::{ErrorKind, IoSlice};
    ///
    /// use epipe::tokio::net::UnixStream;
    ///
    /// let (mut stream, peer) = UnixStream::pair()?;
    /// println!("{:?} to {:?}", stream.local_addr()?, stream.peer_addr()?);
    /// stream.writable().await?; // tokio's own method
    /// stream.try_write_vectored(&[IoSlice::new(b"a "), IoSlice::new(b"record")])?;
    /// drop(peer);
    /// assert_eq!(stream.try_write(b"more").unwrap_err().kind(), ErrorKind::BrokenPipe);
    ///
    /// let (reader, writer) = stream.split(); // for one task
    /// let (reader, writer) = stream.into_split(); // for two tasks
    /// let stream = reader.reunite(writer).unwrap();
    /// let std: epipe::os::unix::net::UnixStream = stream.into_std()?; // still protected
    /// let stream = UnixStream::from_std(std)?;
    ///
    /// // For code that asks for tokio's type. **The protection ends here.**
    /// let unprotected: tokio::net::UnixStream = stream.into_unprotected();
    /// # drop(unprotected);
    /// # std::io::Result::Ok(())
    /// # })
    /// # }
    /// ```
    UnixStream, ::tokio::net::UnixStream, crate::os::unix::net::UnixStream
}
stream!(UnixStream, unix);

impl UnixStream {
    mirror! { "tokio::net::UnixStream":
        /// Returns the address of this end.
        fn local_addr(&self) -> io::Result<SocketAddr>;
        /// Returns the address of the peer.
        fn peer_addr(&self) -> io::Result<SocketAddr>;
    }

    /// Connects to a socket file; the stream is protected. Like
    /// [`tokio::net::UnixStream::connect`].
    ///
    /// ```no_run
    /// # async fn f() -> std::io::Result<()> {
    /// let stream = epipe::tokio::net::UnixStream::connect("/run/server.sock").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect<P: AsRef<Path>>(path: P) -> io::Result<UnixStream> {
        ::tokio::net::UnixStream::connect(path).await.map(UnixStream::from)
    }

    /// Makes two connected streams, both protected. Like [`tokio::net::UnixStream::pair`].
    #[doc(alias = "socketpair")]
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        ::tokio::net::UnixStream::pair().map(|(a, b)| (a.into(), b.into()))
    }
}

handle! {
    /// A Unix listener whose streams are protected.
    ///
    /// Like [`tokio::net::UnixListener`], which it lends for its other methods.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// # runtime.block_on(async {
    /// use epipe::tokio::net::{UnixListener, UnixStream};
    ///
    /// # let path = std::env::temp_dir().join(format!("epipe-tokio-{}", std::process::id()));
    /// # let _ = std::fs::remove_file(&path);
    /// let listener = UnixListener::bind(&path)?;
    /// let client = UnixStream::connect(&path).await?;
    /// println!("listens on {:?}", listener.local_addr()?);
    /// let (stream, client_address) = listener.accept().await?;
    /// # let client = UnixStream::connect(&path).await?;
    /// let (stream, client_address) = std::future::poll_fn(|cx| listener.poll_accept(cx)).await?;
    /// let std: epipe::os::unix::net::UnixListener = listener.into_std()?;
    /// let listener = UnixListener::from_std(std)?;
    ///
    /// // For code that asks for tokio's type. **The protection ends here.**
    /// let unprotected: tokio::net::UnixListener = listener.into_unprotected();
    /// # drop(unprotected);
    /// # std::fs::remove_file(&path)?;
    /// # std::io::Result::Ok(())
    /// # })
    /// # }
    /// ```
    UnixListener, ::tokio::net::UnixListener, crate::os::unix::net::UnixListener
}

impl UnixListener {
    mirror! { "tokio::net::UnixListener":
        /// Returns the address that it listens on.
        fn local_addr(&self) -> io::Result<SocketAddr>;
    }

    /// Creates a socket file and listens on it. Like [`tokio::net::UnixListener::bind`].
    #[track_caller]
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixListener> {
        ::tokio::net::UnixListener::bind(path).map(UnixListener::from)
    }

    /// Waits for a client; the stream is protected. Like [`tokio::net::UnixListener::accept`].
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        self.inner.accept().await.map(|(stream, addr)| (stream.into(), addr))
    }

    /// Polls for a client; the stream is protected. Like [`tokio::net::UnixListener::poll_accept`].
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        self.inner.poll_accept(cx).map_ok(|(stream, addr)| (stream.into(), addr))
    }
}
