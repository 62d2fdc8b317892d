use std::io;
use std::iter::FusedIterator;
use std::net::{SocketAddr, ToSocketAddrs};

use crate::macros::{debug_by_inner, mirror};
use crate::net::TcpStream;
use crate::sys::{handle, socket};

/// A TCP listener whose streams report a vanished peer as an error, never as a signal.
///
/// Like [`std::net::TcpListener`].
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use std::io::Write;
///
/// use epipe::net::{TcpListener, TcpStream};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// # let client = TcpStream::connect(listener.local_addr()?)?;
/// let (mut stream, client_address) = listener.accept()?; // one stream
/// # drop(client);
/// # let client = TcpStream::connect(listener.local_addr()?)?;
/// for stream in listener.incoming() {
///     // One after the other. An error of the write concerns only this client.
///     if let Err(error) = stream.and_then(|mut stream| stream.write_all(b"hello")) {
///         eprintln!("{error}");
///     }
/// #   break;
/// }
/// # Ok(())
/// # }
/// ```
///
/// Its other methods:
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use epipe::net::{IntoIncoming, TcpListener};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// println!("listens on {}", listener.local_addr()?);
/// listener.set_ttl(64)?;
/// assert_eq!(listener.ttl()?, 64);
/// assert!(listener.take_error()?.is_none());
///
/// let other = listener.try_clone()?; // for another thread
/// other.set_nonblocking(true)?; // for both handles
/// let mut streams: IntoIncoming = other.into_incoming();
/// let error = streams.next().unwrap().unwrap_err(); // no client waits
/// assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
///
/// // For code that asks for std's type. **The protection ends here.**
/// let unprotected: std::net::TcpListener = listener.into_unprotected();
/// # drop(unprotected);
/// # Ok(())
/// # }
/// ```
///
/// The option for IPv6 alone works only before `bind`, so set it on a [`Socket`]. For that reason
/// std has deprecated its two methods:
///
/// ```no_run
/// # #![allow(deprecated)]
/// # fn main() -> std::io::Result<()> {
/// use epipe::net::{SocketAddr, TcpListener};
/// use epipe::socket2::{Domain, Socket, Type};
///
/// let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
/// socket.set_only_v6(true)?; // not `TcpListener::set_only_v6`
/// socket.bind(&SocketAddr::from(([0; 16], 8080)).into())?;
/// socket.listen(128)?;
/// let listener = TcpListener::from(socket);
/// assert!(listener.only_v6()?);
/// # Ok(())
/// # }
/// ```
///
/// [`Socket`]: crate::socket2::Socket
///
/// # Limits
///
/// `into_unprotected`, `Into` std's or socket2's type, `Into<OwnedFd>` and `into_raw_fd` end the
/// protection of the streams that it accepts.
pub struct TcpListener {
    inner: std::net::TcpListener,
}

impl TcpListener {
    #[inline]
    fn adopt(inner: std::net::TcpListener) -> TcpListener {
        // A listener writes nothing, but the sockets that it accepts inherit its option.
        socket::adopt(&inner);
        TcpListener { inner }
    }

    /// Binds an address and listens on it. Like [`std::net::TcpListener::bind`].
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<TcpListener> {
        std::net::TcpListener::bind(addr).map(TcpListener::from)
    }

    /// Makes a second handle to the same listener. Like [`std::net::TcpListener::try_clone`].
    pub fn try_clone(&self) -> io::Result<TcpListener> {
        self.inner.try_clone().map(TcpListener::from)
    }

    /// Waits for a client, and returns its stream and address. Like
    /// [`std::net::TcpListener::accept`].
    #[inline]
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.inner.accept().map(|(stream, addr)| (stream.into(), addr))
    }

    /// Returns an endless iterator of accepted streams. Like [`std::net::TcpListener::incoming`].
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// Turns the listener into an endless iterator of accepted streams.
    ///
    /// std has this as the unstable feature `tcplistener_into_incoming`. This signature is stable
    /// here.
    #[must_use = "`self` will be dropped if the result is not used"]
    pub fn into_incoming(self) -> IntoIncoming {
        IntoIncoming { listener: self }
    }

    mirror! { "std::net::TcpListener":
        /// Returns the address that it listens on.
        fn local_addr(&self) -> io::Result<SocketAddr>;
        /// Sets the time to live of sent packets (`IP_TTL`).
        fn set_ttl(&self, ttl: u32) -> io::Result<()>;
        /// Returns the time to live of sent packets (`IP_TTL`).
        fn ttl(&self) -> io::Result<u32>;
        /// Refuses or accepts IPv4 clients on an IPv6 listener (`IPV6_V6ONLY`).
        #[deprecated(note = "this option can only be set before the socket is bound")]
        #[allow(deprecated)]
        fn set_only_v6(&self, only_v6: bool) -> io::Result<()>;
        /// Returns whether an IPv6 listener refuses IPv4 clients (`IPV6_V6ONLY`).
        #[deprecated(note = "this option can only be set before the socket is bound")]
        #[allow(deprecated)]
        fn only_v6(&self) -> io::Result<bool>;
        /// Takes the error that the socket has stored (`SO_ERROR`).
        fn take_error(&self) -> io::Result<Option<io::Error>>;
        /// Turns non-blocking mode on or off. Every handle to this socket shares it.
        fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;
    }
}

debug_by_inner!(TcpListener);
handle::net_conversions!(TcpListener, std::net::TcpListener);

/// An endless iterator of accepted streams. Like [`std::net::Incoming`].
///
/// ```
/// # let listener = epipe::net::TcpListener::bind("127.0.0.1:0")?;
/// let streams: epipe::net::Incoming<'_> = listener.incoming();
/// # std::io::Result::Ok(())
/// ```
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

/// An endless iterator of accepted streams, which owns its listener. See
/// [`TcpListener::into_incoming`].
///
/// ```
/// # let listener = epipe::net::TcpListener::bind("127.0.0.1:0")?;
/// let streams: epipe::net::IntoIncoming = listener.into_incoming();
/// # std::io::Result::Ok(())
/// ```
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
