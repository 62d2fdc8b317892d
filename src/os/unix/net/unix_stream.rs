use std::io;
use std::net::Shutdown;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::macros::{debug_by_inner, mirror, read_by_inner, stream_writes};
use crate::sys::{handle, socket, unix_socket};

/// A Unix stream socket that reports a vanished peer as an error, never as a signal.
///
/// Mirrors [`std::os::unix::net::UnixStream`]: same methods, traits, errors and `Debug`
/// output. Beyond it, `write_vectored` is protected as `write` is.
///
/// # Limits
///
/// `into_unprotected`, `Into` std's or socket2's type, `Into<OwnedFd>` and `into_raw_fd` end the
/// protection. std's unstable methods for ancillary data are out of reach on stable Rust.
pub struct UnixStream {
    inner: std::os::unix::net::UnixStream,
}

impl UnixStream {
    #[inline]
    fn adopt(inner: std::os::unix::net::UnixStream) -> UnixStream {
        socket::adopt(&inner);
        UnixStream { inner }
    }

    /// Mirrors [`std::os::unix::net::UnixStream::connect`].
    pub fn connect<P: AsRef<Path>>(path: P) -> io::Result<UnixStream> {
        std::os::unix::net::UnixStream::connect(path).map(UnixStream::from)
    }

    /// Mirrors [`std::os::unix::net::UnixStream::connect_addr`].
    pub fn connect_addr(socket_addr: &SocketAddr) -> io::Result<UnixStream> {
        std::os::unix::net::UnixStream::connect_addr(socket_addr).map(UnixStream::from)
    }

    /// Mirrors [`std::os::unix::net::UnixStream::pair`].
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        std::os::unix::net::UnixStream::pair().map(|(a, b)| (a.into(), b.into()))
    }

    /// Mirrors [`std::os::unix::net::UnixStream::try_clone`].
    pub fn try_clone(&self) -> io::Result<UnixStream> {
        self.inner.try_clone().map(UnixStream::from)
    }

    mirror! { "std::os::unix::net::UnixStream":
        fn local_addr(&self) -> io::Result<SocketAddr>;
        fn peer_addr(&self) -> io::Result<SocketAddr>;
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

    /// The effective ids of the peer when it connected. Unstable in std as
    /// `peer_credentials_unix_socket`; this shape stays.
    #[cfg(has_peer_cred)]
    pub fn peer_cred(&self) -> io::Result<crate::sys::option::UCred> {
        crate::sys::option::peer_cred(&self.inner)
    }

    /// Sets the socket's mark: `SO_MARK`, FreeBSD's `SO_USER_COOKIE` or OpenBSD's
    /// `SO_RTABLE`. Unstable in std as `unix_set_mark`; this shape stays.
    #[cfg(has_mark)]
    pub fn set_mark(&self, mark: u32) -> io::Result<()> {
        crate::sys::option::set_mark(&self.inner, mark)
    }
}

read_by_inner!(UnixStream);
stream_writes!(UnixStream);
debug_by_inner!(UnixStream);
handle::net_conversions!(UnixStream, std::os::unix::net::UnixStream);
