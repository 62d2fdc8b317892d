use std::io;
use std::os::unix::net::SocketAddr;
use std::path::Path;

use crate::macros::{debug_by_inner, mirror};
use crate::os::unix::net::UnixStream;
use crate::sys::{handle, socket};

/// A Unix listener whose accepted streams report a vanished peer as an error, never as a
/// signal.
///
/// Mirrors [`std::os::unix::net::UnixListener`].
///
/// # Limits
///
/// `into_unprotected`, `Into` std's or socket2's type, `Into<OwnedFd>` and `into_raw_fd` end the
/// protection of what it accepts.
pub struct UnixListener {
    inner: std::os::unix::net::UnixListener,
}

impl UnixListener {
    #[inline]
    fn adopt(inner: std::os::unix::net::UnixListener) -> UnixListener {
        // It writes nothing; the sockets that it accepts inherit its option.
        socket::adopt(&inner);
        UnixListener { inner }
    }

    /// Mirrors [`std::os::unix::net::UnixListener::bind`].
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixListener> {
        std::os::unix::net::UnixListener::bind(path).map(UnixListener::from)
    }

    /// Mirrors [`std::os::unix::net::UnixListener::bind_addr`].
    pub fn bind_addr(socket_addr: &SocketAddr) -> io::Result<UnixListener> {
        std::os::unix::net::UnixListener::bind_addr(socket_addr).map(UnixListener::from)
    }

    /// Mirrors [`std::os::unix::net::UnixListener::accept`].
    #[inline]
    pub fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        self.inner.accept().map(|(stream, addr)| (stream.into(), addr))
    }

    /// Mirrors [`std::os::unix::net::UnixListener::try_clone`].
    pub fn try_clone(&self) -> io::Result<UnixListener> {
        self.inner.try_clone().map(UnixListener::from)
    }

    /// Mirrors [`std::os::unix::net::UnixListener::incoming`].
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    mirror! { "std::os::unix::net::UnixListener":
        fn local_addr(&self) -> io::Result<SocketAddr>;
        fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;
        fn take_error(&self) -> io::Result<Option<io::Error>>;
    }
}

debug_by_inner!(UnixListener);
handle::net_conversions!(UnixListener, std::os::unix::net::UnixListener);

impl<'a> IntoIterator for &'a UnixListener {
    type Item = io::Result<UnixStream>;
    type IntoIter = Incoming<'a>;

    fn into_iter(self) -> Incoming<'a> {
        self.incoming()
    }
}

/// Endless accepted streams. Mirrors [`std::os::unix::net::Incoming`].
#[must_use = "iterators are lazy and do nothing unless consumed"]
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a UnixListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<UnixStream>;

    #[inline]
    fn next(&mut self) -> Option<io::Result<UnixStream>> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}
