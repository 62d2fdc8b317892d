use std::io;
use std::net::Shutdown;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::macros::{debug_by_inner, mirror, read_by_inner, stream_writes};
use crate::sys::{handle, socket, unix_socket};

/// A Unix stream socket that reports a vanished peer as an error, never as a signal.
///
/// Like [`std::os::unix::net::UnixStream`]: the same methods, traits, errors and `Debug` output.
/// Here `write_vectored` is also protected.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use std::io::{ErrorKind, Read, Write};
/// use std::time::Duration;
///
/// use epipe::net::Shutdown;
/// use epipe::os::unix::net::UnixStream;
///
/// let (mut stream, mut peer) = UnixStream::pair()?;
/// stream.set_write_timeout(Some(Duration::from_secs(1)))?;
/// stream.write_all(b"a line")?;
/// stream.shutdown(Shutdown::Write)?;
///
/// peer.set_read_timeout(Some(Duration::from_secs(1)))?;
/// peer.peek(&mut [0])?; // the bytes stay in the queue
/// let mut line = String::new();
/// peer.read_to_string(&mut line)?;
/// assert_eq!(line, "a line");
///
/// let mut other = peer.try_clone()?; // for another thread
/// other.set_nonblocking(true)?; // for both handles
/// drop(stream);
/// assert_eq!(other.write(b"answer").unwrap_err().kind(), ErrorKind::BrokenPipe);
/// println!("{:?} {:?}", peer.local_addr()?, peer.take_error()?);
/// assert!(peer.read_timeout()?.is_some() && peer.write_timeout()?.is_none());
///
/// // For code that asks for std's type. **The protection ends here.**
/// let unprotected: std::os::unix::net::UnixStream = peer.into_unprotected();
/// # drop(unprotected);
/// # Ok(())
/// # }
/// ```
///
/// A client, by path or by any other address:
///
/// ```no_run
/// # fn main() -> std::io::Result<()> {
/// use epipe::os::unix::net::{SocketAddr, UnixStream};
///
/// let stream = UnixStream::connect("/run/server.sock")?;
/// let other = UnixStream::connect_addr(&stream.peer_addr()?)?;
/// # Ok(())
/// # }
/// ```
///
/// # Limits
///
/// `into_unprotected`, `Into` std's or socket2's type, `Into<OwnedFd>` and `into_raw_fd` end the
/// protection. std's unstable methods for ancillary data are missing: stable Rust cannot call them.
/// [`sendmsg`](crate::socket2::Socket::sendmsg) sends such data.
pub struct UnixStream {
    inner: std::os::unix::net::UnixStream,
}

impl UnixStream {
    #[inline]
    fn adopt(inner: std::os::unix::net::UnixStream) -> UnixStream {
        socket::adopt(&inner);
        UnixStream { inner }
    }

    /// Connects to a socket file. Like [`std::os::unix::net::UnixStream::connect`].
    pub fn connect<P: AsRef<Path>>(path: P) -> io::Result<UnixStream> {
        std::os::unix::net::UnixStream::connect(path).map(UnixStream::from)
    }

    /// Connects to an address. Like [`std::os::unix::net::UnixStream::connect_addr`].
    pub fn connect_addr(socket_addr: &SocketAddr) -> io::Result<UnixStream> {
        std::os::unix::net::UnixStream::connect_addr(socket_addr).map(UnixStream::from)
    }

    /// Makes two connected streams. Like [`std::os::unix::net::UnixStream::pair`].
    #[doc(alias = "socketpair")]
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        std::os::unix::net::UnixStream::pair().map(|(a, b)| (a.into(), b.into()))
    }

    /// Makes a second handle to the same connection. Like
    /// [`std::os::unix::net::UnixStream::try_clone`].
    pub fn try_clone(&self) -> io::Result<UnixStream> {
        self.inner.try_clone().map(UnixStream::from)
    }

    mirror! { "std::os::unix::net::UnixStream":
        /// Returns the address of this end.
        fn local_addr(&self) -> io::Result<SocketAddr>;
        /// Returns the address of the peer.
        fn peer_addr(&self) -> io::Result<SocketAddr>;
        /// Sets how long a read waits. `None` means without limit.
        fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
        /// Sets how long a write waits. `None` means without limit.
        fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
        /// Returns how long a read waits.
        fn read_timeout(&self) -> io::Result<Option<Duration>>;
        /// Returns how long a write waits.
        fn write_timeout(&self) -> io::Result<Option<Duration>>;
        /// Turns non-blocking mode on or off. Every handle to this socket shares it.
        fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;
        /// Takes the error that the socket has stored (`SO_ERROR`).
        fn take_error(&self) -> io::Result<Option<io::Error>>;
        /// Closes the reading side, the writing side, or both.
        fn shutdown(&self, how: Shutdown) -> io::Result<()>;
    }

    /// Receives, and leaves the bytes in the queue.
    ///
    /// std has this as the unstable feature `unix_socket_peek`. This signature is stable here.
    #[doc(alias = "MSG_PEEK")]
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        unix_socket::peek(&self.inner, buf)
    }

    /// Returns the effective user and group of the peer when it connected.
    ///
    /// std has this as the unstable feature `peer_credentials_unix_socket`. This signature is
    /// stable here.
    ///
    /// ```
    /// # let (stream, _peer) = epipe::os::unix::net::UnixStream::pair()?;
    /// println!("user {}", stream.peer_cred()?.uid);
    /// # std::io::Result::Ok(())
    /// ```
    #[cfg(has_peer_cred)]
    #[doc(alias("SO_PEERCRED", "getpeereid"))]
    pub fn peer_cred(&self) -> io::Result<crate::sys::option::UCred> {
        crate::sys::option::peer_cred(&self.inner)
    }

    /// Sets the socket's mark: `SO_MARK`, FreeBSD's `SO_USER_COOKIE` or OpenBSD's `SO_RTABLE`.
    ///
    /// std has this as the unstable feature `unix_set_mark`. This signature is stable here.
    ///
    /// ```no_run
    /// # fn f(socket: &epipe::os::unix::net::UnixStream) -> std::io::Result<()> {
    /// socket.set_mark(7)?; // on Linux this needs the capability CAP_NET_ADMIN
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(has_mark)]
    #[doc(alias("SO_MARK", "SO_USER_COOKIE", "SO_RTABLE"))]
    pub fn set_mark(&self, mark: u32) -> io::Result<()> {
        crate::sys::option::set_mark(&self.inner, mark)
    }
}

read_by_inner!(UnixStream);
stream_writes!(UnixStream);
debug_by_inner!(UnixStream);
handle::net_conversions!(UnixStream, std::os::unix::net::UnixStream);
