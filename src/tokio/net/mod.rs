//! tokio's sockets and pipes, protected: a vanished peer is an error, never a signal.
//!
//! tokio writes one buffer to a socket by `send` with the flag. A write of several kills:
//! `write_vectored`, `try_write_vectored` and `write_buf` are `writev`, and hyper and rustls use
//! them. Its pipes kill with every write.
//!
//! ```
//! use std::io::IoSlice;
//!
//! use epipe::tokio::io::AsyncWriteExt;
//! use epipe::tokio::net::TcpListener; // was: tokio::net::TcpListener
//!
//! # async fn f() -> std::io::Result<()> {
//! let listener = TcpListener::bind("127.0.0.1:8080").await?;
//! let (stream, _) = listener.accept().await?; // protected
//! stream.set_nodelay(true)?;
//! let (reader, mut writer) = stream.into_split(); // and so are its halves
//! writer.write_vectored(&[IoSlice::new(b"a "), IoSlice::new(b"record")]).await?;
//! # drop(reader);
//! # Ok(())
//! # }
//! ```
//!
//! Names, methods, errors and `Debug` output are tokio's. Each type lends tokio's own (`Deref`) and
//! replaces every method of it that writes, makes or gives a stream. `from_std` takes a type of
//! [`epipe::net`](crate::net), and `into_std` gives one. For a type of std's the compiler proposes
//! `.into()`, which adopts it.
//!
//! A stream, listener or half of tokio's that other code has made is adopted by `From`:
//! `epipe::tokio::net::TcpStream::from(stream)`.
//!
//! `UdpSocket` is tokio's own: it writes by std's `send`, which passes the flag, and the peer of a
//! UDP socket raises no signal. `UnixDatagram` is not here: take tokio's. For what else is missing,
//! such as `UnixSocket`, do the same and adopt its stream.
//!
//! # Other crates
//!
//! The features `axum`, `hyper-util` and `tonic` implement for these types what those crates
//! implement for tokio's: `axum::serve::Listener`, hyper-util's `Connection` for connectors, and
//! tonic's `Connected`. axum gives a client's address once `tap_io` stands in between:
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
//! tokio-stream's `TcpListenerStream` takes tokio's listener. In its place, with the crate futures:
//! `futures::stream::poll_fn(move |cx| listener.poll_accept(cx).map(Some))`.
//!
//! # Cost
//!
//! Adoption costs nothing on Linux, and up to two system calls where there is a socket option. A
//! write is one system call, as tokio's own; one that fills the socket's buffer makes one more.
//!
//! # Limits
//!
//! * `into_unprotected` gives tokio's own type: **the protection ends there**. There is no `Into`.
//! * A function that takes `&tokio::net::TcpStream` also accepts a reference to ours, and what it
//!   writes is not protected. The same holds for a `try_io` or `async_io` that writes by itself.
//! * What takes tokio's type by value does not take ours. Most crates also have a function for any
//!   `AsyncRead + AsyncWrite`; or see the features above.
//! * A trait of yours that has a method of tokio's name, such as `readable`, hides it: inside
//!   `impl Trait for TcpStream`, `self.readable()` calls itself, and rustc warns. Write
//!   `(**self).readable()`. The addresses and `nodelay` are our own, and safe.
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

pub use ::tokio::net::{ToSocketAddrs, UdpSocket, lookup_host};

/// Writes, until it is done or tokio knows that it would block.
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

/// A type around one of tokio's, and what it lends, by what function.
macro_rules! newtype {
    ($(#[$doc:meta])* $ours:ident $(<$a:lifetime>)?, $inner:ty, $lent:ty, $lend:expr) => {
        transparent! { $(#[$doc])* $ours $(<$a>)?, $inner }

        impl $(<$a>)? $ours $(<$a>)? {
            /// Gives tokio's own type. **The protection ends here.**
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
            /// Adopts it: from here on its writes are protected.
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

/// A handle that lends tokio's, to and from the type of this crate that mirrors `$std`.
macro_rules! handle {
    ($(#[$doc:meta])* $ours:ident, $inner:ty $(, $std:ty)?) => {
        newtype! { $(#[$doc])* $ours, $inner, $inner, |inner| inner }
        lent_handle!($ours);
        $(
            impl $ours {
                /// Like tokio's method of this name: takes over a type of this crate that is set
                /// to non-blocking.
                #[track_caller]
                pub fn from_std(std: $std) -> io::Result<$ours> {
                    <$inner>::from_std(std.into()).map($ours::from)
                }

                /// Like tokio's method of this name: gives a type of this crate, still
                /// non-blocking.
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

/// `AsyncWrite` by the type's own `try_write` and `try_write_vectored`.
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

/// `AsyncRead` as tokio's.
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

/// Reads, writes and splits: a stream, and the module of its halves here and in tokio.
macro_rules! stream {
    ($stream:ident, $halves:ident) => {
        async_read!($stream);
        async_write!($stream);

        impl $stream {
            /// Like tokio's method of this name.
            pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
                #[cfg(sigpipe)]
                return self.try_io(Interest::WRITABLE, || socket::write(&self.inner, buf));
                #[cfg(not(sigpipe))]
                self.inner.try_write(buf)
            }

            /// Like tokio's method of this name.
            pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                #[cfg(sigpipe)]
                return self
                    .try_io(Interest::WRITABLE, || socket::write_vectored(&self.inner, bufs));
                #[cfg(not(sigpipe))]
                self.inner.try_write_vectored(bufs)
            }

            /// Like tokio's method of this name; the half that writes is protected.
            pub fn split(&mut self) -> ($halves::ReadHalf<'_>, $halves::WriteHalf<'_>) {
                let (reader, writer) = self.inner.split();
                (reader.into(), writer.into())
            }

            /// Like tokio's method of this name; the half that writes is protected.
            pub fn into_split(self) -> ($halves::OwnedReadHalf, $halves::OwnedWriteHalf) {
                let (reader, writer) = self.inner.into_split();
                (reader.into(), writer.into())
            }
        }

        /// tokio's `as_ref` would show tokio's stream.
        impl AsRef<$stream> for $stream {
            fn as_ref(&self) -> &$stream {
                self
            }
        }
    };
}

/// The halves of a stream, for a module. Each lends the stream, as shared.
macro_rules! halves {
    ($stream:ident, $family:ident) => {
        use super::*;

        halves! { @each $stream, $family
            "Reads from a borrowed stream.", ReadHalf<'a>;
            "Reads from a stream.", OwnedReadHalf;
            "Writes to a borrowed stream: a vanished peer is an error, no signal.", WriteHalf<'a>;
            "Writes to a stream: a vanished peer is an error, no signal.", OwnedWriteHalf;
        }
        async_read!(ReadHalf<'_>);
        async_read!(OwnedReadHalf);
        async_write!(WriteHalf<'_>);
        async_write!(OwnedWriteHalf);

        impl OwnedReadHalf {
            /// Like tokio's method of this name; the stream is protected.
            ///
            /// # Errors
            ///
            /// Gives both halves back if they are not of the same stream.
            pub fn reunite(self, other: OwnedWriteHalf) -> Result<$stream, ReuniteError> {
                let reunited = self.inner.reunite(other.inner).map($stream::from);
                reunited.map_err(|error| ReuniteError(error.0.into(), error.1.into()))
            }
        }

        impl OwnedWriteHalf {
            /// Like tokio's method of this name; the stream is protected.
            ///
            /// # Errors
            ///
            /// Gives both halves back if they are not of the same stream.
            pub fn reunite(self, other: OwnedReadHalf) -> Result<$stream, ReuniteError> {
                other.reunite(self)
            }

            /// Like tokio's method of this name: drops the half and leaves the stream open.
            pub fn forget(self) {
                self.inner.forget();
            }
        }

        /// Two halves that are not of the same stream.
        #[derive(Debug, thiserror::Error)]
        #[error("tried to reunite halves that are not from the same socket")]
        pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);
    };
    (@each $stream:ident, $family:ident $($what:literal, $half:ident $(<$a:lifetime>)?;)+) => {$(
        newtype! {
            #[doc = $what]
            ///
            #[doc = concat!("Like [`tokio::net::", stringify!($family), "::", stringify!($half))]
            #[doc = concat!("`]; lends a shared [`", stringify!($stream), "`].")]
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

/// The halves of a [`TcpStream`].
pub mod tcp {
    halves!(TcpStream, tcp);
}

/// The halves of a [`UnixStream`], and pipes.
#[cfg(unix)]
pub mod unix {
    pub mod pipe;

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
    /// Like [`tokio::net::TcpStream`], which it lends for all that does not write. What writes to
    /// the lent stream [is not protected](crate::tokio::net#limits).
    TcpStream, ::tokio::net::TcpStream, crate::net::TcpStream
}
stream!(TcpStream, tcp);

impl TcpStream {
    mirror! { "tokio::net::TcpStream":
        fn local_addr(&self) -> io::Result<SocketAddr>;
        fn peer_addr(&self) -> io::Result<SocketAddr>;
        fn nodelay(&self) -> io::Result<bool>;
        fn set_nodelay(&self, nodelay: bool) -> io::Result<()>;
    }

    /// Like [`tokio::net::TcpStream::connect`]; the stream is protected.
    pub async fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<TcpStream> {
        ::tokio::net::TcpStream::connect(addr).await.map(TcpStream::from)
    }
}

handle! {
    /// A TCP listener whose streams are protected.
    ///
    /// Like [`tokio::net::TcpListener`], which it lends for all but this.
    TcpListener, ::tokio::net::TcpListener, crate::net::TcpListener
}

impl TcpListener {
    mirror! { "tokio::net::TcpListener": fn local_addr(&self) -> io::Result<SocketAddr>; }

    /// Like [`tokio::net::TcpListener::bind`].
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<TcpListener> {
        ::tokio::net::TcpListener::bind(addr).await.map(TcpListener::from)
    }

    /// Like [`tokio::net::TcpListener::accept`]; the stream is protected.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.inner.accept().await.map(|(stream, addr)| (stream.into(), addr))
    }

    /// Like [`tokio::net::TcpListener::poll_accept`]; the stream is protected.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.inner.poll_accept(cx).map_ok(|(stream, addr)| (stream.into(), addr))
    }
}

handle! {
    /// A TCP socket that becomes a protected stream or a listener of such.
    ///
    /// Like [`tokio::net::TcpSocket`], which it lends for its options and its `bind`.
    TcpSocket, ::tokio::net::TcpSocket
}

impl TcpSocket {
    /// Like [`tokio::net::TcpSocket::new_v4`].
    pub fn new_v4() -> io::Result<TcpSocket> {
        ::tokio::net::TcpSocket::new_v4().map(TcpSocket::from)
    }

    /// Like [`tokio::net::TcpSocket::new_v6`].
    pub fn new_v6() -> io::Result<TcpSocket> {
        ::tokio::net::TcpSocket::new_v6().map(TcpSocket::from)
    }

    /// Like [`tokio::net::TcpSocket::connect`]; the stream is protected.
    pub async fn connect(self, addr: SocketAddr) -> io::Result<TcpStream> {
        self.inner.connect(addr).await.map(TcpStream::from)
    }

    /// Like [`tokio::net::TcpSocket::listen`]; the streams are protected.
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        self.inner.listen(backlog).map(TcpListener::from)
    }

    /// Like [`tokio::net::TcpSocket::from_std_stream`]: takes over a stream of this crate.
    pub fn from_std_stream(std_stream: crate::net::TcpStream) -> TcpSocket {
        ::tokio::net::TcpSocket::from_std_stream(std_stream.into()).into()
    }
}
