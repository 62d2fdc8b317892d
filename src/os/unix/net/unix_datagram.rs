use std::io;
use std::net::Shutdown;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::macros::{debug_by_inner, mirror};
use crate::sys::{handle, socket, unix_socket};

/// A Unix datagram socket that reports a vanished peer as an error, never as a signal.
///
/// Like [`std::os::unix::net::UnixDatagram`].
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use std::io::ErrorKind;
/// use std::time::Duration;
///
/// use epipe::net::Shutdown;
/// use epipe::os::unix::net::UnixDatagram;
///
/// let (socket, peer) = UnixDatagram::pair()?;
/// socket.set_write_timeout(Some(Duration::from_secs(1)))?;
/// peer.set_read_timeout(Some(Duration::from_secs(1)))?;
/// assert_eq!(socket.write_timeout()?, peer.read_timeout()?);
/// socket.send(b"a record")?;
/// peer.peek(&mut [0; 8])?; // the datagram stays in the queue
/// let mut record = [0; 8];
/// peer.recv(&mut record)?;
/// assert_eq!(&record, b"a record");
///
/// let other = socket.try_clone()?; // for another thread
/// other.set_nonblocking(true)?; // for both handles
/// socket.shutdown(Shutdown::Write)?;
/// assert_eq!(other.send(b"more").unwrap_err().kind(), ErrorKind::BrokenPipe);
/// println!("stored error: {:?}", socket.take_error()?);
///
/// // For code that asks for std's type. **The protection ends here.**
/// let unprotected: std::os::unix::net::UnixDatagram = peer.into_unprotected();
/// # drop(unprotected);
/// # Ok(())
/// # }
/// ```
///
/// Sockets with addresses:
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # let path = std::env::temp_dir().join(format!("epipe-datagram-{}", std::process::id()));
/// # let _ = std::fs::remove_file(&path);
/// use epipe::os::unix::net::{SocketAddr, UnixDatagram};
///
/// let server = UnixDatagram::bind(&path)?;
/// let client = UnixDatagram::unbound()?;
/// client.send_to(b"a record", &path)?;
/// client.send_to_addr(b"a record", &server.local_addr()?)?;
/// client.connect(&path)?; // now `send` needs no address
/// client.connect_addr(&server.local_addr()?)?;
/// client.send(b"a record")?;
/// println!("sends to {:?}", client.peer_addr()?);
///
/// let mut record = [0; 8];
/// server.peek_from(&mut record)?;
/// let (length, sender) = server.recv_from(&mut record)?;
/// # std::fs::remove_file(&path)?;
///
/// let other = UnixDatagram::bind_addr(&SocketAddr::from_pathname(&path)?)?;
/// # std::fs::remove_file(&path)?;
/// # Ok(())
/// # }
/// ```
///
/// # Limits
///
/// `into_unprotected`, `Into` std's or socket2's type, `Into<OwnedFd>` and `into_raw_fd` end the
/// protection. std's unstable methods for ancillary data are missing: stable Rust cannot call them.
/// [`sendmsg`](crate::socket2::Socket::sendmsg) sends such data.
pub struct UnixDatagram {
    inner: std::os::unix::net::UnixDatagram,
}

impl UnixDatagram {
    #[inline]
    fn adopt(inner: std::os::unix::net::UnixDatagram) -> UnixDatagram {
        socket::adopt(&inner);
        UnixDatagram { inner }
    }

    /// Creates a socket file, and receives at it. Like [`std::os::unix::net::UnixDatagram::bind`].
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixDatagram> {
        std::os::unix::net::UnixDatagram::bind(path).map(UnixDatagram::from)
    }

    /// Creates a socket that receives at an address. Like
    /// [`std::os::unix::net::UnixDatagram::bind_addr`].
    pub fn bind_addr(socket_addr: &SocketAddr) -> io::Result<UnixDatagram> {
        std::os::unix::net::UnixDatagram::bind_addr(socket_addr).map(UnixDatagram::from)
    }

    /// Creates a socket without an address. Like [`std::os::unix::net::UnixDatagram::unbound`].
    pub fn unbound() -> io::Result<UnixDatagram> {
        std::os::unix::net::UnixDatagram::unbound().map(UnixDatagram::from)
    }

    /// Makes two connected sockets. Like [`std::os::unix::net::UnixDatagram::pair`].
    #[doc(alias = "socketpair")]
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        std::os::unix::net::UnixDatagram::pair().map(|(a, b)| (a.into(), b.into()))
    }

    /// Makes a second handle to the same socket. Like
    /// [`std::os::unix::net::UnixDatagram::try_clone`].
    pub fn try_clone(&self) -> io::Result<UnixDatagram> {
        self.inner.try_clone().map(UnixDatagram::from)
    }

    /// Sends a datagram to the connected address. Like [`std::os::unix::net::UnixDatagram::send`].
    #[inline]
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        #[cfg(sigpipe)]
        return socket::write_datagram(&self.inner, buf);
        #[cfg(not(sigpipe))]
        self.inner.send(buf)
    }

    /// Sends a datagram to a socket file. Like [`std::os::unix::net::UnixDatagram::send_to`].
    pub fn send_to<P: AsRef<Path>>(&self, buf: &[u8], path: P) -> io::Result<usize> {
        self.send_to_addr(buf, &SocketAddr::from_pathname(path)?)
    }

    /// Sends a datagram to an address. Like [`std::os::unix::net::UnixDatagram::send_to_addr`].
    pub fn send_to_addr(&self, buf: &[u8], socket_addr: &SocketAddr) -> io::Result<usize> {
        #[cfg(sigpipe)]
        return socket::send_to(&self.inner, buf, &unix_socket::to_socket2(socket_addr)?);
        #[cfg(not(sigpipe))]
        self.inner.send_to_addr(buf, socket_addr)
    }

    mirror! { "std::os::unix::net::UnixDatagram":
        /// Connects to a socket file, so that `send` needs no address.
        fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()>;
        /// Connects to an address, so that `send` needs no address.
        fn connect_addr(&self, socket_addr: &SocketAddr) -> io::Result<()>;
        /// Returns the address of this end.
        fn local_addr(&self) -> io::Result<SocketAddr>;
        /// Returns the connected address.
        fn peer_addr(&self) -> io::Result<SocketAddr>;
        /// Receives a datagram and the address of its sender.
        fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)>;
        /// Receives a datagram.
        fn recv(&self, buf: &mut [u8]) -> io::Result<usize>;
        /// Sets how long a receive waits. `None` means without limit.
        fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
        /// Sets how long a send waits. `None` means without limit.
        fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
        /// Returns how long a receive waits.
        fn read_timeout(&self) -> io::Result<Option<Duration>>;
        /// Returns how long a send waits.
        fn write_timeout(&self) -> io::Result<Option<Duration>>;
        /// Turns non-blocking mode on or off. Every handle to this socket shares it.
        fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;
        /// Takes the error that the socket has stored (`SO_ERROR`).
        fn take_error(&self) -> io::Result<Option<io::Error>>;
        /// Closes the reading side, the writing side, or both.
        fn shutdown(&self, how: Shutdown) -> io::Result<()>;
    }

    /// Receives, and leaves the datagram in the queue.
    ///
    /// std has this as the unstable feature `unix_socket_peek`. This signature is stable here.
    #[doc(alias = "MSG_PEEK")]
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        unix_socket::peek(&self.inner, buf)
    }

    /// Receives a datagram and the address of its sender, and leaves it in the queue.
    ///
    /// std has this as the unstable feature `unix_socket_peek`. This signature is stable here.
    #[doc(alias = "MSG_PEEK")]
    pub fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        unix_socket::peek_from(&self.inner, buf)
    }

    /// Sets the socket's mark: `SO_MARK`, FreeBSD's `SO_USER_COOKIE` or OpenBSD's `SO_RTABLE`.
    ///
    /// std has this as the unstable feature `unix_set_mark`. This signature is stable here.
    ///
    /// ```no_run
    /// # fn f(socket: &epipe::os::unix::net::UnixDatagram) -> std::io::Result<()> {
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

debug_by_inner!(UnixDatagram);
handle::net_conversions!(UnixDatagram, std::os::unix::net::UnixDatagram);
