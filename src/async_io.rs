//! [`Async`] around the types of this crate: a vanished peer is an error, never a signal.
//!
//! async-io has `connect` and `accept` for std's types alone. This module has the same functions
//! for the types of this crate. For all other handles use [`Async::new`]: a listener, a socket, a
//! pipe.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! use async_io::{Async, block_on};
//! use epipe::net::{TcpListener, TcpStream};
//!
//! let listener = Async::new(TcpListener::bind("127.0.0.1:0")?)?;
//! block_on(async {
//!     let address = listener.get_ref().local_addr()?;
//!     let ours: Async<TcpStream> = epipe::async_io::connect(address).await?;
//!     let (theirs, _) = epipe::async_io::accept(&listener).await?;
//! #     drop((ours, theirs));
//!     Ok(())
//! })
//! # }
//! ```
//!
//! Unix sockets:
//!
//! ```
//! # #[cfg(unix)]
//! # fn main() -> std::io::Result<()> {
//! # let path = std::env::temp_dir().join(format!("epipe-async-io-{}", std::process::id()));
//! # let _ = std::fs::remove_file(&path);
//! use async_io::{Async, block_on};
//! use epipe::os::unix::net::{UnixListener, UnixStream};
//!
//! let listener = Async::new(UnixListener::bind(&path)?)?;
//! block_on(async {
//!     let ours: Async<UnixStream> = epipe::async_io::connect_unix(&path).await?;
//!     let (theirs, _) = epipe::async_io::accept_unix(&listener).await?;
//! #     drop((ours, theirs));
//! #     std::fs::remove_file(&path)?;
//!     Ok(())
//! })
//! # }
//! # #[cfg(not(unix))]
//! # fn main() {}
//! ```
//!
//! Put a writer of another crate into [`Guarded`], which is then `futures_io::AsyncWrite`. Examples
//! are a stream of async-net and a child's stdin of async-process.
//!
//! # Limits
//!
//! `use epipe::async_io` would shadow the crate `async_io`. Write the whole path at each call.

#![allow(unsafe_code, reason = "the trait `IoSafe` is a promise")]

use std::io::{IoSlice, Result};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::async_io::{Async, IoSafe};
use futures_io::{AsyncRead, AsyncWrite};

#[cfg(unix)]
use crate::os::unix::net as uds;
use crate::sigpipe::suppressed;
use crate::socket2::Socket;
use crate::{Guarded, NoSigpipe, net};

/// Connects to an address; the stream is protected. Like `Async::<std::net::TcpStream>::connect`.
pub async fn connect(address: impl Into<SocketAddr>) -> Result<Async<net::TcpStream>> {
    let stream = Async::<std::net::TcpStream>::connect(address).await?;
    Async::new_nonblocking(stream.into_inner()?.into())
}

/// Accepts a connection; the stream is protected. Like `Async::<std::net::TcpListener>::accept`.
pub async fn accept(
    listener: &Async<net::TcpListener>,
) -> Result<(Async<net::TcpStream>, SocketAddr)> {
    let (stream, address) = listener.read_with(net::TcpListener::accept).await?;
    Ok((Async::new(stream)?, address))
}

/// Connects to a socket file; the stream is protected. Like
/// `Async::<std::os::unix::net::UnixStream>::connect`.
#[cfg(unix)]
pub async fn connect_unix(path: impl AsRef<std::path::Path>) -> Result<Async<uds::UnixStream>> {
    let stream = Async::<std::os::unix::net::UnixStream>::connect(path).await?;
    Async::new_nonblocking(stream.into_inner()?.into())
}

/// Accepts a connection; the stream is protected. Like
/// `Async::<std::os::unix::net::UnixListener>::accept`.
#[cfg(unix)]
pub async fn accept_unix(
    listener: &Async<uds::UnixListener>,
) -> Result<(Async<uds::UnixStream>, std::os::unix::net::SocketAddr)> {
    let (stream, address) = listener.read_with(uds::UnixListener::accept).await?;
    Ok((Async::new(stream)?, address))
}

impl<T: AsyncRead + Unpin> AsyncRead for Guarded<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize>> {
        suppressed(|| Pin::new(self.get_mut().get_mut()).poll_read(cx, buf))?
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Guarded<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        suppressed(|| Pin::new(self.get_mut().get_mut()).poll_write(cx, buf))?
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        suppressed(|| Pin::new(self.get_mut().get_mut()).poll_write_vectored(cx, bufs))?
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        suppressed(|| Pin::new(self.get_mut().get_mut()).poll_flush(cx))?
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        suppressed(|| Pin::new(self.get_mut().get_mut()).poll_close(cx))?
    }
}

// SAFETY: the read and write of each of these call the system by a shared reference, and drop
// nothing.
unsafe impl IoSafe for net::TcpStream {}
// SAFETY: as above.
unsafe impl IoSafe for Socket {}
// SAFETY: as above.
unsafe impl IoSafe for crate::io::PipeReader {}
// SAFETY: as above.
unsafe impl IoSafe for crate::io::PipeWriter {}

// SAFETY: as above.
#[cfg(unix)]
unsafe impl IoSafe for uds::UnixStream {}

// SAFETY: read, write and seek are either the handle's own, for which its `IoSafe` promises, or
// they write to its borrowed descriptor. The handle is never moved.
unsafe impl<T: IoSafe> IoSafe for NoSigpipe<T> {}
