use std::io;
use std::net::Shutdown;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::macros::{debug_by_inner, mirror};
use crate::sys::{handle, socket, unix_socket};

/// A Unix datagram socket that reports a vanished peer as an error, never as a signal.
///
/// Mirrors [`std::os::unix::net::UnixDatagram`].
///
/// # Limits
///
/// `into_unprotected`, `Into` std's or socket2's type, `Into<OwnedFd>` and `into_raw_fd` end the
/// protection. std's unstable methods for ancillary data are out of reach on stable Rust.
pub struct UnixDatagram {
    inner: std::os::unix::net::UnixDatagram,
}

impl UnixDatagram {
    #[inline]
    fn adopt(inner: std::os::unix::net::UnixDatagram) -> UnixDatagram {
        socket::adopt(&inner);
        UnixDatagram { inner }
    }

    /// Mirrors [`std::os::unix::net::UnixDatagram::bind`].
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixDatagram> {
        std::os::unix::net::UnixDatagram::bind(path).map(UnixDatagram::from)
    }

    /// Mirrors [`std::os::unix::net::UnixDatagram::bind_addr`].
    pub fn bind_addr(socket_addr: &SocketAddr) -> io::Result<UnixDatagram> {
        std::os::unix::net::UnixDatagram::bind_addr(socket_addr).map(UnixDatagram::from)
    }

    /// Mirrors [`std::os::unix::net::UnixDatagram::unbound`].
    pub fn unbound() -> io::Result<UnixDatagram> {
        std::os::unix::net::UnixDatagram::unbound().map(UnixDatagram::from)
    }

    /// Mirrors [`std::os::unix::net::UnixDatagram::pair`].
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        std::os::unix::net::UnixDatagram::pair().map(|(a, b)| (a.into(), b.into()))
    }

    /// Mirrors [`std::os::unix::net::UnixDatagram::try_clone`].
    pub fn try_clone(&self) -> io::Result<UnixDatagram> {
        self.inner.try_clone().map(UnixDatagram::from)
    }

    /// Mirrors [`std::os::unix::net::UnixDatagram::send`].
    #[inline]
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        #[cfg(sigpipe)]
        return socket::write_datagram(&self.inner, buf);
        #[cfg(not(sigpipe))]
        self.inner.send(buf)
    }

    /// Mirrors [`std::os::unix::net::UnixDatagram::send_to`].
    pub fn send_to<P: AsRef<Path>>(&self, buf: &[u8], path: P) -> io::Result<usize> {
        self.send_to_addr(buf, &SocketAddr::from_pathname(path)?)
    }

    /// Mirrors [`std::os::unix::net::UnixDatagram::send_to_addr`].
    pub fn send_to_addr(&self, buf: &[u8], socket_addr: &SocketAddr) -> io::Result<usize> {
        #[cfg(sigpipe)]
        return socket::send_to(&self.inner, buf, &unix_socket::to_socket2(socket_addr)?);
        #[cfg(not(sigpipe))]
        self.inner.send_to_addr(buf, socket_addr)
    }

    mirror! { "std::os::unix::net::UnixDatagram":
        fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()>;
        fn connect_addr(&self, socket_addr: &SocketAddr) -> io::Result<()>;
        fn local_addr(&self) -> io::Result<SocketAddr>;
        fn peer_addr(&self) -> io::Result<SocketAddr>;
        fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)>;
        fn recv(&self, buf: &mut [u8]) -> io::Result<usize>;
        fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
        fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
        fn read_timeout(&self) -> io::Result<Option<Duration>>;
        fn write_timeout(&self) -> io::Result<Option<Duration>>;
        fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;
        fn take_error(&self) -> io::Result<Option<io::Error>>;
        fn shutdown(&self, how: Shutdown) -> io::Result<()>;
    }

    /// Receives without removing from the queue. Unstable in std as `unix_socket_peek`; this
    /// shape stays.
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        unix_socket::peek(&self.inner, buf)
    }

    /// Receives without removing from the queue, and reports the sender. Unstable in std as
    /// `unix_socket_peek`; this shape stays.
    pub fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        unix_socket::peek_from(&self.inner, buf)
    }

    /// Sets the socket's mark: `SO_MARK`, FreeBSD's `SO_USER_COOKIE` or OpenBSD's
    /// `SO_RTABLE`. Unstable in std as `unix_set_mark`; this shape stays.
    #[cfg(has_mark)]
    pub fn set_mark(&self, mark: u32) -> io::Result<()> {
        crate::sys::option::set_mark(&self.inner, mark)
    }
}

debug_by_inner!(UnixDatagram);
handle::net_conversions!(UnixDatagram, std::os::unix::net::UnixDatagram);
