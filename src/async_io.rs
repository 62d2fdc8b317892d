//! [`Async`] around the types of this crate, which then report a vanished peer as an error.
//!
//! async-io has `connect` and `accept` for std's types alone. These functions are the same for this
//! crate's. Whatever else is made asynchronous by [`Async::new`]: a listener, a socket, a pipe.
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
//! A writer of another crate, such as a stream of async-net or a child's stdin of async-process,
//! goes into [`Guarded`], which is then `futures_io::AsyncWrite`.
//!
//! # Limits
//!
//! `use epipe::async_io` would shadow the crate `async_io`: write the path where it is used.

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

// SAFETY: read, write and seek are either the handle's own, for which it promises, or write to its
// borrowed descriptor; the handle is never moved.
unsafe impl<T: IoSafe> IoSafe for NoSigpipe<T> {}
