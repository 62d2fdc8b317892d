use std::io;
use std::iter::FusedIterator;
use std::net::{SocketAddr, ToSocketAddrs};

use crate::macros::{debug_by_inner, mirror};
use crate::net::TcpStream;
use crate::sys::{handle, socket};

/// A TCP listener whose accepted streams report a vanished peer as an error, never as a
/// signal.
///
/// Mirrors [`std::net::TcpListener`].
///
/// # Limits
///
/// `into_unprotected`, `Into` std's or socket2's type, `Into<OwnedFd>` and `into_raw_fd` end the
/// protection of what it accepts.
pub struct TcpListener {
    inner: std::net::TcpListener,
}

impl TcpListener {
    #[inline]
    fn adopt(inner: std::net::TcpListener) -> TcpListener {
        // It writes nothing; the sockets that it accepts inherit its option.
        socket::adopt(&inner);
        TcpListener { inner }
    }

    /// Mirrors [`std::net::TcpListener::bind`].
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<TcpListener> {
        std::net::TcpListener::bind(addr).map(TcpListener::from)
    }

    /// Mirrors [`std::net::TcpListener::try_clone`].
    pub fn try_clone(&self) -> io::Result<TcpListener> {
        self.inner.try_clone().map(TcpListener::from)
    }

    /// Mirrors [`std::net::TcpListener::accept`].
    #[inline]
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.inner.accept().map(|(stream, addr)| (stream.into(), addr))
    }

    /// Mirrors [`std::net::TcpListener::incoming`].
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// As [`incoming`](Self::incoming), by value. Unstable in std as
    /// `tcplistener_into_incoming`; this shape stays.
    #[must_use = "`self` will be dropped if the result is not used"]
    pub fn into_incoming(self) -> IntoIncoming {
        IntoIncoming { listener: self }
    }

    mirror! { "std::net::TcpListener":
        fn local_addr(&self) -> io::Result<SocketAddr>;
        fn set_ttl(&self, ttl: u32) -> io::Result<()>;
        fn ttl(&self) -> io::Result<u32>;
        #[deprecated(note = "this option can only be set before the socket is bound")]
        #[allow(deprecated)]
        fn set_only_v6(&self, only_v6: bool) -> io::Result<()>;
        #[deprecated(note = "this option can only be set before the socket is bound")]
        #[allow(deprecated)]
        fn only_v6(&self) -> io::Result<bool>;
        fn take_error(&self) -> io::Result<Option<io::Error>>;
        fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;
    }
}

debug_by_inner!(TcpListener);
handle::net_conversions!(TcpListener, std::net::TcpListener);

/// Endless accepted streams. Mirrors [`std::net::Incoming`].
#[must_use = "iterators are lazy and do nothing unless consumed"]
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    #[inline]
    fn next(&mut self) -> Option<io::Result<TcpStream>> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl FusedIterator for Incoming<'_> {}

/// Endless accepted streams of a listener that it owns: see [`TcpListener::into_incoming`].
#[derive(Debug)]
pub struct IntoIncoming {
    listener: TcpListener,
}

impl Iterator for IntoIncoming {
    type Item = io::Result<TcpStream>;

    #[inline]
    fn next(&mut self) -> Option<io::Result<TcpStream>> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl FusedIterator for IntoIncoming {}
