use std::io;
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use crate::macros::{debug_by_inner, mirror, read_by_inner, stream_writes};
use crate::sys::{handle, socket};

/// A TCP stream that reports a vanished peer as an error, never as a signal.
///
/// Like [`std::net::TcpStream`]: the same methods, traits, errors and `Debug` output. Here
/// `write_vectored` is also protected.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # let listener = epipe::net::TcpListener::bind("127.0.0.1:0")?;
/// # let address = listener.local_addr()?;
/// use std::io::{ErrorKind, Read, Write};
///
/// use epipe::net::{Shutdown, TcpStream};
///
/// let mut stream = TcpStream::connect(address)?;
/// # let (mut peer, _) = listener.accept()?;
/// let mut reader = stream.try_clone()?; // the same connection, also protected
/// match stream.write_all(b"a request") {
///     Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()), // the peer is gone
///     result => result?,
/// }
/// stream.shutdown(Shutdown::Write)?;
/// # peer.read_to_end(&mut Vec::new())?;
/// # peer.write_all(b"an answer")?;
/// # drop(peer);
/// let mut answer = [0; 2];
/// reader.peek(&mut answer)?; // the bytes stay in the queue
/// let mut answer = String::new();
/// reader.read_to_string(&mut answer)?;
/// assert_eq!(answer, "an answer");
///
/// // For code that asks for std's type. **The protection ends here.**
/// let unprotected: std::net::TcpStream = reader.into_unprotected();
/// # drop(unprotected);
/// # Ok(())
/// # }
/// ```
///
/// Options and addresses:
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # let listener = epipe::net::TcpListener::bind("127.0.0.1:0")?;
/// # let address = listener.local_addr()?;
/// use std::time::Duration;
///
/// use epipe::net::TcpStream;
///
/// let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
/// stream.set_nodelay(true)?;
/// stream.set_read_timeout(Some(Duration::from_secs(1)))?;
/// stream.set_write_timeout(Some(Duration::from_secs(1)))?;
/// stream.set_linger(Some(Duration::ZERO))?; // the drop resets the connection
/// stream.set_ttl(64)?;
/// assert!(stream.nodelay()? && stream.ttl()? == 64);
/// assert!(stream.read_timeout()?.is_some() && stream.write_timeout()?.is_some());
/// assert_eq!(stream.linger()?, Some(Duration::ZERO));
/// assert_eq!(stream.peer_addr()?, address);
/// println!("{} sends, error: {:?}", stream.local_addr()?, stream.take_error()?);
/// stream.set_nonblocking(true)?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// A write to a peer that is gone fails with [`ErrorKind::BrokenPipe`] (`EPIPE`). If the system has
/// not yet reported the peer's reset, the write first fails with [`ErrorKind::ConnectionReset`].
///
/// # Limits
///
/// `into_unprotected`, `Into` std's or socket2's type, `Into<OwnedFd>` and `into_raw_fd` end the
/// protection. Stable Rust has no `is_write_vectored` to implement, so `BufWriter::write_vectored`
/// copies the slices into its buffer. With std's type it passes them on.
///
/// [`ErrorKind::BrokenPipe`]: std::io::ErrorKind::BrokenPipe
/// [`ErrorKind::ConnectionReset`]: std::io::ErrorKind::ConnectionReset
#[doc(alias("MSG_NOSIGNAL", "SO_NOSIGPIPE"))]
pub struct TcpStream {
    inner: std::net::TcpStream,
}

impl TcpStream {
    #[inline]
    fn adopt(inner: std::net::TcpStream) -> TcpStream {
        socket::adopt(&inner);
        TcpStream { inner }
    }

    /// Connects to an address, or to the first of several that answers. Like
    /// [`std::net::TcpStream::connect`].
    pub fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<TcpStream> {
        std::net::TcpStream::connect(addr).map(TcpStream::from)
    }

    /// Connects to one address within a time limit. Like
    /// [`std::net::TcpStream::connect_timeout`].
    pub fn connect_timeout(addr: &SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
        std::net::TcpStream::connect_timeout(addr, timeout).map(TcpStream::from)
    }

    /// Makes a second handle to the same connection. Like [`std::net::TcpStream::try_clone`].
    pub fn try_clone(&self) -> io::Result<TcpStream> {
        self.inner.try_clone().map(TcpStream::from)
    }

    mirror! { "std::net::TcpStream":
        /// Returns the address of the peer.
        fn peer_addr(&self) -> io::Result<SocketAddr>;
        /// Returns the address of this end.
        fn local_addr(&self) -> io::Result<SocketAddr>;
        /// Closes the reading side, the writing side, or both.
        fn shutdown(&self, how: Shutdown) -> io::Result<()>;
        /// Sets how long a read waits. `None` means without limit.
        fn set_read_timeout(&self, dur: Option<Duration>) -> io::Result<()>;
        /// Sets how long a write waits. `None` means without limit.
        fn set_write_timeout(&self, dur: Option<Duration>) -> io::Result<()>;
        /// Returns how long a read waits.
        fn read_timeout(&self) -> io::Result<Option<Duration>>;
        /// Returns how long a write waits.
        fn write_timeout(&self) -> io::Result<Option<Duration>>;
        /// Receives, and leaves the bytes in the queue.
        fn peek(&self, buf: &mut [u8]) -> io::Result<usize>;
        /// Sends small writes at once, without waiting for more (`TCP_NODELAY`).
        fn set_nodelay(&self, nodelay: bool) -> io::Result<()>;
        /// Returns whether small writes are sent at once (`TCP_NODELAY`).
        fn nodelay(&self) -> io::Result<bool>;
        /// Sets the time to live of sent packets (`IP_TTL`).
        fn set_ttl(&self, ttl: u32) -> io::Result<()>;
        /// Returns the time to live of sent packets (`IP_TTL`).
        fn ttl(&self) -> io::Result<u32>;
        /// Takes the error that the socket has stored (`SO_ERROR`).
        fn take_error(&self) -> io::Result<Option<io::Error>>;
        /// Turns non-blocking mode on or off. Every handle to this socket shares it.
        fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;
    }

    /// Returns how long `drop` waits for unsent data. With `None` it does not wait, and the system
    /// continues to send.
    ///
    /// std has this as the unstable feature `tcp_linger`. This signature is stable here.
    #[cfg(has_socket2)]
    #[doc(alias = "SO_LINGER")]
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        socket2::SockRef::from(&self.inner).linger()
    }

    /// Sets how long `drop` waits for unsent data, in whole seconds. `Some(Duration::ZERO)` makes
    /// `drop` reset the connection.
    ///
    /// std has this as the unstable feature `tcp_linger`. This signature is stable here.
    #[cfg(has_socket2)]
    #[doc(alias = "SO_LINGER")]
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        socket2::SockRef::from(&self.inner).set_linger(linger)
    }
}

read_by_inner!(TcpStream);
stream_writes!(TcpStream);
debug_by_inner!(TcpStream);
handle::net_conversions!(TcpStream, std::net::TcpStream);
