use std::io;
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use crate::macros::{debug_by_inner, mirror, read_by_inner, stream_writes};
use crate::sys::{handle, socket};

/// A TCP stream that reports a vanished peer as an error, never as a signal.
///
/// Mirrors [`std::net::TcpStream`]: same methods, traits, errors and `Debug` output. Beyond
/// it, `write_vectored` is protected as `write` is.
///
/// # Errors
///
/// A write to a peer that is gone fails with [`ErrorKind::BrokenPipe`] (`EPIPE`), or first
/// with [`ErrorKind::ConnectionReset`] if the peer's reset was not reported yet.
///
/// # Limits
///
/// `into_unprotected`, `Into` std's or socket2's type, `Into<OwnedFd>` and `into_raw_fd` end the
/// protection. On stable Rust `is_write_vectored` cannot be forwarded: `BufWriter::write_vectored`
/// copies into its buffer where std's type passes the slices on.
///
/// [`ErrorKind::BrokenPipe`]: std::io::ErrorKind::BrokenPipe
/// [`ErrorKind::ConnectionReset`]: std::io::ErrorKind::ConnectionReset
pub struct TcpStream {
    inner: std::net::TcpStream,
}

impl TcpStream {
    #[inline]
    fn adopt(inner: std::net::TcpStream) -> TcpStream {
        socket::adopt(&inner);
        TcpStream { inner }
    }

    /// Mirrors [`std::net::TcpStream::connect`].
    pub fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<TcpStream> {
        std::net::TcpStream::connect(addr).map(TcpStream::from)
    }

    /// Mirrors [`std::net::TcpStream::connect_timeout`].
    pub fn connect_timeout(addr: &SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
        std::net::TcpStream::connect_timeout(addr, timeout).map(TcpStream::from)
    }

    /// Mirrors [`std::net::TcpStream::try_clone`].
    pub fn try_clone(&self) -> io::Result<TcpStream> {
        self.inner.try_clone().map(TcpStream::from)
    }

    mirror! { "std::net::TcpStream":
        fn peer_addr(&self) -> io::Result<SocketAddr>;
        fn local_addr(&self) -> io::Result<SocketAddr>;
        fn shutdown(&self, how: Shutdown) -> io::Result<()>;
        fn set_read_timeout(&self, dur: Option<Duration>) -> io::Result<()>;
        fn set_write_timeout(&self, dur: Option<Duration>) -> io::Result<()>;
        fn read_timeout(&self) -> io::Result<Option<Duration>>;
        fn write_timeout(&self) -> io::Result<Option<Duration>>;
        fn peek(&self, buf: &mut [u8]) -> io::Result<usize>;
        fn set_nodelay(&self, nodelay: bool) -> io::Result<()>;
        fn nodelay(&self) -> io::Result<bool>;
        fn set_ttl(&self, ttl: u32) -> io::Result<()>;
        fn ttl(&self) -> io::Result<u32>;
        fn take_error(&self) -> io::Result<Option<io::Error>>;
        fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;
    }

    /// How long `drop` waits for unsent data; `None`: it does not wait, and the system goes
    /// on sending. Unstable in std as `tcp_linger`; this shape stays.
    #[cfg(has_socket2)]
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        socket2::SockRef::from(&self.inner).linger()
    }

    /// Sets how long `drop` waits for unsent data, in whole seconds. `Some(Duration::ZERO)`
    /// makes `drop` reset the connection. Unstable in std as `tcp_linger`; this shape stays.
    #[cfg(has_socket2)]
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        socket2::SockRef::from(&self.inner).set_linger(linger)
    }
}

read_by_inner!(TcpStream);
stream_writes!(TcpStream);
debug_by_inner!(TcpStream);
handle::net_conversions!(TcpStream, std::net::TcpStream);
