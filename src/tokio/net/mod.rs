//! tokio's sockets and pipes, protected: a vanished peer is an error, never a signal.
//!
//! tokio writes one buffer to a socket by `send` with the flag. A write of several buffers kills:
//! `write_vectored`, `try_write_vectored` and `write_buf` call `writev`, and hyper and rustls use
//! them. On tokio's pipes, each write kills.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! use std::io::IoSlice;
//!
//! use epipe::tokio::io::AsyncWriteExt;
//! use epipe::tokio::net::{TcpListener, TcpStream}; // was: tokio::net
//!
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! # let client = tokio::net::TcpStream::connect(listener.local_addr()?).await?;
//! let (stream, _) = listener.accept().await?; // protected
//! stream.set_nodelay(true)?;
//! let (reader, mut writer) = stream.into_split(); // the halves are also protected
//! writer.write_vectored(&[IoSlice::new(b"a "), IoSlice::new(b"record")]).await?;
//! # drop((client, reader));
//! # std::io::Result::Ok(())
//! # })
//! # }
//! ```
//!
//! Names, methods, errors and `Debug` output are tokio's. Each type lends tokio's own (`Deref`). It
//! replaces every method that writes, or that makes or returns a stream. `from_std` takes a type of
//! [`epipe::net`](crate::net), and `into_std` returns one. For std's own types the compiler
//! proposes `.into()`, which adopts them.
//!
//! `From` adopts a stream, listener or half of tokio's that other code has made:
//! `epipe::tokio::net::TcpStream::from(stream)`.
//!
//! `UdpSocket` is tokio's own. It writes by std's `send`, which passes the flag, and the peer of a
//! UDP socket raises no signal. `UnixDatagram` is missing: use tokio's. Other types are also
//! missing, such as `UnixSocket`: use tokio's, and adopt its stream.
//!
//! # Other crates
//!
//! The features `axum`, `hyper-util` and `tonic` implement the traits of these crates for our
//! types, as the crates do for tokio's. These are `axum::serve::Listener`, hyper-util's
//! `Connection` for connectors, and tonic's `Connected`. To get a client's address from axum, call
//! `tap_io` on the listener:
//!
//! ```
//! # #[cfg(feature = "axum")]
//! # async fn f(app: axum::Router) -> std::io::Result<()> {
//! use std::net::SocketAddr;
//!
//! use axum::serve::ListenerExt;
//! use epipe::tokio::net::TcpListener;
//!
//! let listener = TcpListener::bind("127.0.0.1:8080").await?.tap_io(|_| {});
//! let service = app.into_make_service_with_connect_info::<SocketAddr>();
//! axum::serve(listener, service).await
//! # }
//! ```
//!
//! tokio-stream's `TcpListenerStream` takes tokio's listener. Instead use, of the crate futures,
//! `futures::stream::poll_fn(move |cx| listener.poll_accept(cx).map(Some))`.
//!
//! # Cost
//!
//! Adoption costs nothing on Linux, and up to two system calls on systems with a socket option. A
//! write is one system call, as tokio's own. A write that fills the socket's buffer makes one more.
//!
//! # Limits
//!
//! * `into_unprotected` gives tokio's own type: **the protection ends there**. There is no `Into`.
//! * A function that takes `&tokio::net::TcpStream` also accepts a reference to ours, and its
//!   writes are not protected. The same holds for a closure in `try_io` or `async_io` that writes
//!   with its own calls.
//! * A function that takes tokio's type by value does not take ours. Most crates also have a
//!   function for any `AsyncRead + AsyncWrite`. For others see the features above.
//! * A trait of yours with a method of tokio's name, such as `readable`, hides that method. Inside
//!   `impl Trait for TcpStream`, `self.readable()` calls itself, and rustc warns. Write
//!   `(**self).readable()`. This cannot happen with `local_addr`, `peer_addr`, `nodelay` and
//!   `set_nodelay`, which are methods of our types.
//! * `from_raw_fd` and `into_raw_fd` of tokio's `TcpSocket` are missing.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

#[cfg(sigpipe)]
use ::tokio::io::Interest;
use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::macros::mirror;
use crate::sys::handle::{lent_handle, transparent};
use crate::sys::socket;

#[doc(no_inline)]
pub use ::tokio::net::{ToSocketAddrs, UdpSocket, lookup_host};

/// Writes until a write is done, or until tokio knows that it would block.
fn poll_write(
    mut poll_ready: impl FnMut() -> Poll<io::Result<()>>,
    try_write: impl Fn() -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(poll_ready())?;
        match try_write() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            answer => return Poll::Ready(answer),
        }
    }
}

/// A type around one of tokio's, the type that it lends, and the function that lends it.
macro_rules! newtype {
    ($(#[$doc:meta])* $ours:ident $(<$a:lifetime>)?, $inner:ty, $lent:ty, $lend:expr) => {
        transparent! { $(#[$doc])* $ours $(<$a>)?, $inner }

        impl $(<$a>)? $ours $(<$a>)? {
            /// Returns tokio's own type. **The protection ends here.**
            pub fn into_unprotected(self) -> $inner {
                self.inner
            }
        }

        impl $(<$a>)? Deref for $ours $(<$a>)? {
            type Target = $lent;

            fn deref(&self) -> &$lent {
                $lend(&self.inner)
            }
        }

        impl $(<$a>)? From<$inner> for $ours $(<$a>)? {
            /// Adopts it: its writes are protected from here on.
            fn from(inner: $inner) -> Self {
                let ours = Self { inner };
                socket::adopt(&*ours);
                ours
            }
        }

        impl $(<$a>)? fmt::Debug for $ours $(<$a>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.inner.fmt(f)
            }
        }
    };
}

/// A handle that lends tokio's. It converts to and from `$std`, a type of this crate.
macro_rules! handle {
    ($(#[$doc:meta])* $ours:ident, $inner:ty $(, $std:ty)?) => {
        newtype! { $(#[$doc])* $ours, $inner, $inner, |inner| inner }
        lent_handle!($ours);
        $(
            impl $ours {
                /// Takes over a handle of this crate that is in non-blocking mode. Like tokio's
                /// method of this name.
                #[track_caller]
                pub fn from_std(std: $std) -> io::Result<$ours> {
                    <$inner>::from_std(std.into()).map($ours::from)
                }

                /// Returns a handle of this crate, still in non-blocking mode. Like tokio's method
                /// of this name.
                pub fn into_std(self) -> io::Result<$std> {
                    self.inner.into_std().map(<$std>::from)
                }
            }

            impl TryFrom<$std> for $ours {
                type Error = io::Error;

                fn try_from(std: $std) -> io::Result<$ours> {
                    $ours::from_std(std)
                }
            }
        )?
    };
}

/// `AsyncWrite` that calls the type's own `try_write` and `try_write_vectored`.
macro_rules! async_write {
    ($ours:ty) => {
        impl AsyncWrite for $ours {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                poll_write(|| self.poll_write_ready(cx), || self.try_write(buf))
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                poll_write(|| self.poll_write_ready(cx), || self.try_write_vectored(bufs))
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut self.get_mut().inner).poll_flush(cx)
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
            }
        }
    };
}

/// `AsyncRead` that calls tokio's.
macro_rules! async_read {
    ($ours:ty) => {
        impl AsyncRead for $ours {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                Pin::new(&mut self.get_mut().inner).poll_read(cx, buf)
            }
        }
    };
}

/// Methods that read, write and split: of a stream, with the module of its halves here and in
/// tokio.
macro_rules! stream {
    ($stream:ident, $halves:ident) => {
        async_read!($stream);
        async_write!($stream);

        impl $stream {
            /// Writes without waiting. Like tokio's method of this name.
            pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
                #[cfg(sigpipe)]
                return self.try_io(Interest::WRITABLE, || socket::write(&self.inner, buf));
                #[cfg(not(sigpipe))]
                self.inner.try_write(buf)
            }

            /// Writes several slices without waiting. Like tokio's method of this name.
            pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                #[cfg(sigpipe)]
                return self
                    .try_io(Interest::WRITABLE, || socket::write_vectored(&self.inner, bufs));
                #[cfg(not(sigpipe))]
                self.inner.try_write_vectored(bufs)
            }

            /// Lends two halves; the one that writes is protected. Like tokio's method of this
            /// name.
            pub fn split(&mut self) -> ($halves::ReadHalf<'_>, $halves::WriteHalf<'_>) {
                let (reader, writer) = self.inner.split();
                (reader.into(), writer.into())
            }

            /// Returns two halves, for two tasks; the one that writes is protected. Like tokio's
            /// method of this name.
            pub fn into_split(self) -> ($halves::OwnedReadHalf, $halves::OwnedWriteHalf) {
                let (reader, writer) = self.inner.into_split();
                (reader.into(), writer.into())
            }
        }

        /// Shadows tokio's `as_ref`, which would show tokio's stream.
        impl AsRef<$stream> for $stream {
            fn as_ref(&self) -> &$stream {
                self
            }
        }
    };
}

/// The halves of a stream, for a module. Each lends the stream by a shared reference.
macro_rules! halves {
    ($stream:ident, $family:ident) => {
        use super::*;

        halves! { @each $stream, $family
            "Reads from a borrowed stream.", ReadHalf<'a>, "stream.split().0";
            "Reads from a stream.", OwnedReadHalf, "stream.into_split().0";
            "Writes to a borrowed stream: a vanished peer is an error, never a signal.",
                WriteHalf<'a>, "stream.split().1";
            "Writes to a stream: a vanished peer is an error, never a signal.",
                OwnedWriteHalf, "stream.into_split().1";
        }
        async_read!(ReadHalf<'_>);
        async_read!(OwnedReadHalf);
        async_write!(WriteHalf<'_>);
        async_write!(OwnedWriteHalf);

        impl OwnedReadHalf {
            /// Joins two halves to a protected stream. Like tokio's method of this name.
            ///
            /// # Errors
            ///
            /// Returns both halves back if they are not of the same stream.
            ///
            /// ```
            #[doc = concat!("# use epipe::tokio::net::", stringify!($stream), ";")]
            #[doc = concat!("# fn f(stream: ", stringify!($stream), ") {")]
            /// let (reader, writer) = stream.into_split();
            /// let stream = reader.reunite(writer).unwrap();
            /// # drop(stream);
            /// # }
            /// ```
            pub fn reunite(self, other: OwnedWriteHalf) -> Result<$stream, ReuniteError> {
                let reunited = self.inner.reunite(other.inner).map($stream::from);
                reunited.map_err(|error| ReuniteError(error.0.into(), error.1.into()))
            }
        }

        impl OwnedWriteHalf {
            /// Joins two halves to a protected stream. Like tokio's method of this name.
            ///
            /// # Errors
            ///
            /// Returns both halves back if they are not of the same stream.
            ///
            /// ```
            #[doc = concat!("# use epipe::tokio::net::", stringify!($stream), ";")]
            #[doc = concat!("# fn f(stream: ", stringify!($stream), ") {")]
            /// let (reader, writer) = stream.into_split();
            /// let stream = writer.reunite(reader).unwrap();
            /// # drop(stream);
            /// # }
            /// ```
            pub fn reunite(self, other: OwnedReadHalf) -> Result<$stream, ReuniteError> {
                other.reunite(self)
            }

            /// Drops the half and leaves the stream open. Like tokio's method of this name.
            ///
            /// ```
            #[doc = concat!("# use epipe::tokio::net::", stringify!($stream), ";")]
            #[doc = concat!("# fn f(stream: ", stringify!($stream), ") {")]
            /// let (reader, writer) = stream.into_split();
            /// writer.forget(); // the peer does not see an end
            /// # drop(reader);
            /// # }
            /// ```
            pub fn forget(self) {
                self.inner.forget();
            }
        }

        /// Two halves that are not of the same stream, in an error that gives them back.
        #[derive(Debug, thiserror::Error)]
        #[error("tried to reunite halves that are not from the same socket")]
        pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);
    };
    (@each $stream:ident, $family:ident
        $($what:literal, $half:ident $(<$a:lifetime>)?, $make:literal;)+
    ) => {$(
        newtype! {
            #[doc = $what]
            ///
            #[doc = concat!(
                "Like [`tokio::net::", stringify!($family), "::", stringify!($half), "`]. ",
                "It lends a shared [`", stringify!($stream), "`]."
            )]
            ///
            /// ```
            #[doc = concat!("# use epipe::{io, tokio::net::", stringify!($stream), "};")]
            #[doc = concat!("# fn f(mut stream: ", stringify!($stream), ") -> io::Result<()> {")]
            #[doc = concat!("let half = ", $make, ";")]
            /// println!("the peer is {:?}", half.peer_addr()?); // of the stream
            ///
            /// // For code that asks for tokio's type. **The protection ends here.**
            /// let unprotected = half.into_unprotected();
            /// # drop(unprotected);
            /// # Ok(())
            /// # }
            /// ```
            $half $(<$a>)?,
            ::tokio::net::$family::$half $(<$a>)?,
            $stream,
            |inner| $stream::from_ref(AsRef::as_ref(inner))
        }

        impl $(<$a>)? AsRef<$stream> for $half $(<$a>)? {
            fn as_ref(&self) -> &$stream {
                self
            }
        }
    )+};
}

/// The halves of a [`TcpStream`]. Like [`tokio::net::tcp`].
///
/// ```
/// # fn f(mut stream: epipe::tokio::net::TcpStream) {
/// use epipe::tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
///
/// let (reader, writer): (ReadHalf<'_>, WriteHalf<'_>) = stream.split();
/// let (reader, writer): (OwnedReadHalf, OwnedWriteHalf) = stream.into_split();
/// match reader.reunite(writer) {
///     Ok(stream) => drop(stream),
///     Err(ReuniteError(reader, writer)) => drop((reader, writer)), // of two streams
/// }
/// # }
/// ```
pub mod tcp {
    halves!(TcpStream, tcp);
}

/// The halves of a [`UnixStream`], and pipes. Like [`tokio::net::unix`].
///
/// ```
/// # fn f(mut stream: epipe::tokio::net::UnixStream) {
/// use epipe::tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
///
/// let (reader, writer): (ReadHalf<'_>, WriteHalf<'_>) = stream.split();
/// let (reader, writer): (OwnedReadHalf, OwnedWriteHalf) = stream.into_split();
/// match reader.reunite(writer) {
///     Ok(stream) => drop(stream),
///     Err(ReuniteError(reader, writer)) => drop((reader, writer)), // of two streams
/// }
/// # }
/// ```
#[cfg(unix)]
pub mod unix {
    pub mod pipe;

    #[doc(no_inline)]
    pub use ::tokio::net::unix::{SocketAddr, UCred, gid_t, pid_t, uid_t};

    halves!(UnixStream, unix);
}

#[cfg(any(feature = "axum", feature = "hyper-util", feature = "tonic"))]
mod glue;
#[cfg(unix)]
mod unix_sockets;
#[cfg(unix)]
pub use unix_sockets::{UnixListener, UnixStream};

handle! {
    /// A TCP stream: a vanished peer is an error, never a signal.
    ///
    /// Like [`tokio::net::TcpStream`], which it lends for all methods that do not write. A write to
    /// the lent stream [is not protected](crate::tokio::net#limits).
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// # runtime.block_on(async {
    /// use std::io::IoSlice;
    ///
    /// use epipe::tokio::net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let mut stream = TcpStream::connect(listener.local_addr()?).await?;
    /// stream.set_nodelay(true)?;
    /// assert!(stream.nodelay()? && stream.peer_addr()? == listener.local_addr()?);
    /// stream.writable().await?; // tokio's own method
    /// stream.try_write(b"a record")?;
    /// stream.try_write_vectored(&[IoSlice::new(b"a "), IoSlice::new(b"record")])?;
    ///
    /// let (reader, writer) = stream.split(); // for one task
    /// let (reader, writer) = stream.into_split(); // for two tasks
    /// let stream = reader.reunite(writer).unwrap();
    /// let std: epipe::net::TcpStream = stream.into_std()?; // still protected
    /// let stream = TcpStream::from_std(std)?;
    ///
    /// // For code that asks for tokio's type. **The protection ends here.**
    /// let unprotected: tokio::net::TcpStream = stream.into_unprotected();
    /// # drop(unprotected);
    /// # std::io::Result::Ok(())
    /// # })
    /// # }
    /// ```
    TcpStream, ::tokio::net::TcpStream, crate::net::TcpStream
}
stream!(TcpStream, tcp);

impl TcpStream {
    mirror! { "tokio::net::TcpStream":
        /// Returns the address of this end.
        fn local_addr(&self) -> io::Result<SocketAddr>;
        /// Returns the address of the peer.
        fn peer_addr(&self) -> io::Result<SocketAddr>;
        /// Returns whether small writes are sent at once (`TCP_NODELAY`).
        fn nodelay(&self) -> io::Result<bool>;
        /// Sends small writes at once, without waiting for more (`TCP_NODELAY`).
        fn set_nodelay(&self, nodelay: bool) -> io::Result<()>;
    }

    /// Connects to an address; the stream is protected. Like [`tokio::net::TcpStream::connect`].
    pub async fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<TcpStream> {
        ::tokio::net::TcpStream::connect(addr).await.map(TcpStream::from)
    }
}

handle! {
    /// A TCP listener whose streams are protected.
    ///
    /// Like [`tokio::net::TcpListener`], which it lends for its other methods.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// # runtime.block_on(async {
    /// use epipe::tokio::net::TcpListener;
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let clients = [
    /// #     std::net::TcpStream::connect(listener.local_addr()?)?,
    /// #     std::net::TcpStream::connect(listener.local_addr()?)?,
    /// # ];
    /// println!("listens on {}", listener.local_addr()?);
    /// let (stream, client_address) = listener.accept().await?;
    /// let (stream, client_address) = std::future::poll_fn(|cx| listener.poll_accept(cx)).await?;
    /// let std: epipe::net::TcpListener = listener.into_std()?;
    /// let listener = TcpListener::from_std(std)?;
    ///
    /// // For code that asks for tokio's type. **The protection ends here.**
    /// let unprotected: tokio::net::TcpListener = listener.into_unprotected();
    /// # drop(unprotected);
    /// # std::io::Result::Ok(())
    /// # })
    /// # }
    /// ```
    TcpListener, ::tokio::net::TcpListener, crate::net::TcpListener
}

impl TcpListener {
    mirror! { "tokio::net::TcpListener":
        /// Returns the address that it listens on.
        fn local_addr(&self) -> io::Result<SocketAddr>;
    }

    /// Binds an address and listens on it. Like [`tokio::net::TcpListener::bind`].
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<TcpListener> {
        ::tokio::net::TcpListener::bind(addr).await.map(TcpListener::from)
    }

    /// Waits for a client; the stream is protected. Like [`tokio::net::TcpListener::accept`].
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.inner.accept().await.map(|(stream, addr)| (stream.into(), addr))
    }

    /// Polls for a client; the stream is protected. Like [`tokio::net::TcpListener::poll_accept`].
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.inner.poll_accept(cx).map_ok(|(stream, addr)| (stream.into(), addr))
    }
}

handle! {
    /// A TCP socket that becomes a protected stream, or a listener of protected streams.
    ///
    /// Like [`tokio::net::TcpSocket`], which it lends for its options and its `bind`.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// # runtime.block_on(async {
    /// use std::net::SocketAddr;
    ///
    /// use epipe::socket2::{Domain, Socket, Type};
    /// use epipe::tokio::net::TcpSocket;
    ///
    /// let address = SocketAddr::from(([127, 0, 0, 1], 0));
    /// let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    /// socket.set_reuseaddr(true)?; // tokio's own method
    /// socket.bind(address)?;
    /// let listener = socket.listen(1024)?;
    ///
    /// let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?; // tokio has fewer options
    /// socket.set_nonblocking(true)?;
    /// let socket = TcpSocket::from_std_stream(socket.into());
    /// let stream = socket.connect(listener.local_addr()?).await?;
    ///
    /// // For code that asks for tokio's type. **The protection ends here.**
    /// let unprotected: tokio::net::TcpSocket = TcpSocket::new_v4()?.into_unprotected();
    /// # drop(unprotected);
    /// # std::io::Result::Ok(())
    /// # })
    /// # }
    /// ```
    TcpSocket, ::tokio::net::TcpSocket
}

impl TcpSocket {
    /// Creates a socket for IPv4. Like [`tokio::net::TcpSocket::new_v4`].
    pub fn new_v4() -> io::Result<TcpSocket> {
        ::tokio::net::TcpSocket::new_v4().map(TcpSocket::from)
    }

    /// Creates a socket for IPv6. Like [`tokio::net::TcpSocket::new_v6`].
    pub fn new_v6() -> io::Result<TcpSocket> {
        ::tokio::net::TcpSocket::new_v6().map(TcpSocket::from)
    }

    /// Connects to an address; the stream is protected. Like [`tokio::net::TcpSocket::connect`].
    pub async fn connect(self, addr: SocketAddr) -> io::Result<TcpStream> {
        self.inner.connect(addr).await.map(TcpStream::from)
    }

    /// Listens; the streams are protected. Like [`tokio::net::TcpSocket::listen`].
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        self.inner.listen(backlog).map(TcpListener::from)
    }

    /// Takes over a stream of this crate. Like [`tokio::net::TcpSocket::from_std_stream`].
    pub fn from_std_stream(std_stream: crate::net::TcpStream) -> TcpSocket {
        ::tokio::net::TcpSocket::from_std_stream(std_stream.into()).into()
    }
}
