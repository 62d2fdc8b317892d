//! tokio's handles in [`NoSigpipe`], which is then [`AsyncRead`] and [`AsyncWrite`]: what
//! `tokio::io`, tokio-rustls and hyper-util's `TokioIo` ask for.
//!
//! tokio writes one buffer to a socket by `send` with the flag. A write of several kills:
//! `write_vectored`, `try_write_vectored` and `write_buf` are `writev`, and hyper and rustls use
//! them. Its pipes kill with every write.
//!
//! ```
//! # #[cfg(unix)]
//! # async fn f(listener: tokio::net::TcpListener) -> std::io::Result<()> {
//! use epipe::NoSigpipe;
//! use std::io::IoSlice;
//!
//! let (stream, _) = listener.accept().await?;
//! let stream = NoSigpipe::new(stream)?; // the one line
//! stream.get_ref().writable().await?;
//! stream.try_write_vectored(&[IoSlice::new(b"a "), IoSlice::new(b"record")])?;
//!
//! let (reader, writer) = stream.into_split(); // protected as well
//! // With tokio's feature `io-util`: `writer.write_buf(&mut record).await?`
//! # drop((reader, writer));
//! # Ok(())
//! # }
//! ```
//!
//! # Cost
//!
//! Adoption is one system call. A write is one, as tokio's own; one that fills the socket's buffer
//! makes one more.
//!
//! A `ChildStdin` shows neither its readiness nor its registration: each poll of it runs under a
//! [`guard`](crate::sigpipe::guard()) that is dropped before the poll returns, never held across an
//! `.await`. For speed, on Unix, make a pipe of it and adopt *that*:
//!
//! ```
//! # #[cfg(unix)]
//! # async fn f(stdin: tokio::process::ChildStdin) -> std::io::Result<()> {
//! use epipe::NoSigpipe;
//! use tokio::net::unix::pipe::Sender;
//!
//! let stdin = NoSigpipe::new(Sender::from_owned_fd(stdin.into_owned_fd()?)?)?;
//! # drop(stdin);
//! # Ok(())
//! # }
//! ```
//!
//! # Limits
//!
//! `tokio::io::stdout()`, `stderr()` and `tokio::fs::File` write on tokio's blocking threads, where
//! no adapter can follow: let the runtime's threads stand under a guard (see
//! [`bindings`](crate::bindings)).
//!
//! A stream type of your own is not made asynchronous by the adapter: put the `NoSigpipe` inside
//! it. Options and addresses are the stream's: `stream.get_ref().set_nodelay(true)?`.
//!
//! What tokio writes through its own types is its own: [`get_ref`](NoSigpipe::get_ref) and `try_io`
//! protect nothing, and neither does the write half that tokio's `split` gives. Take the `split` of
//! the adapter, or make an adapter `From` the half (which has no `AsFd` to be adopted by `new`).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ::tokio::net::{TcpStream, tcp};
use ::tokio::process::ChildStdin;

#[cfg(unix)]
use ::tokio::net::{UnixStream, unix as uds};

use crate::NoSigpipe;
use crate::adopt::Adoptable;
use crate::sigpipe::suppressed;
use crate::sys::DescriptorState;
use crate::sys::handle::Handle;

impl Adoptable for TcpStream {}
impl Adoptable for ChildStdin {}
#[cfg(unix)]
impl Adoptable for UnixStream {}
#[cfg(unix)]
impl Adoptable for uds::pipe::Sender {}

/// What tokio offers to write by calls of our own.
trait Polled: Handle + Sized {
    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Clears tokio's readiness if `write` would block.
    #[cfg(has_fd)]
    fn try_io(&self, write: impl FnOnce() -> io::Result<usize>) -> io::Result<usize>;

    /// tokio's own call, where there is no SIGPIPE.
    #[cfg(not(has_fd))]
    fn plain_write(&self, _: &DescriptorState, buf: &[u8]) -> io::Result<usize>;

    /// The same of many slices.
    #[cfg(not(has_fd))]
    fn plain_write_vectored(&self, _: &DescriptorState, bufs: &[IoSlice<'_>]) -> io::Result<usize>;

    fn protected_write(&self, state: &DescriptorState, buf: &[u8]) -> io::Result<usize> {
        #[cfg(has_fd)]
        return self.try_io(|| state.write(self.as_fd(), buf));
        #[cfg(not(has_fd))]
        self.plain_write(state, buf)
    }

    fn protected_write_vectored(
        &self,
        state: &DescriptorState,
        bufs: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        #[cfg(has_fd)]
        return self.try_io(|| state.write_vectored(self.as_fd(), bufs));
        #[cfg(not(has_fd))]
        self.plain_write_vectored(state, bufs)
    }
}

/// Tries, until it is done or tokio knows that it would block.
fn poll<P: Polled>(
    io: &P,
    cx: &mut Context<'_>,
    write: impl Fn(&P) -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(io.poll_write_ready(cx))?;
        match write(io) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            answer => return Poll::Ready(answer),
        }
    }
}

macro_rules! polled {
    ($($ty:ty $(, $interest:expr)?;)+) => {$(
        impl Polled for $ty {
            fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.poll_write_ready(cx)
            }

            #[cfg(has_fd)]
            fn try_io(&self, write: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
                self.try_io($($interest,)? write)
            }

            #[cfg(not(has_fd))]
            fn plain_write(&self, _: &DescriptorState, buf: &[u8]) -> io::Result<usize> {
                self.try_write(buf)
            }

            #[cfg(not(has_fd))]
            fn plain_write_vectored(
                &self,
                _: &DescriptorState,
                bufs: &[IoSlice<'_>],
            ) -> io::Result<usize> {
                self.try_write_vectored(bufs)
            }
        }
    )+};
}

/// `type, and how to come from it to the handle`
macro_rules! async_write {
    ($($ty:ty, $io:expr;)+) => {$(
        impl NoSigpipe<$ty> {
            /// Mirrors tokio's method of this name.
            pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
                let NoSigpipe { inner: handle, state } = self;
                $io(handle).protected_write(state, buf)
            }

            /// Mirrors tokio's method of this name.
            pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                let NoSigpipe { inner: handle, state } = self;
                $io(handle).protected_write_vectored(state, bufs)
            }
        }

        impl AsyncWrite for NoSigpipe<$ty> {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                let NoSigpipe { inner: handle, state } = &*self;
                poll($io(handle), cx, |io| io.protected_write(state, buf))
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                let NoSigpipe { inner: handle, state } = &*self;
                poll($io(handle), cx, |io| io.protected_write_vectored(state, bufs))
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
    )+};
}

/// Reading, and halves: `stream, and the module of its halves`
macro_rules! splits {
    ($($stream:ty, $($halves:ident)::+;)+) => {$(
        impl AsyncRead for NoSigpipe<$stream> {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                Pin::new(&mut self.get_mut().inner).poll_read(cx, buf)
            }
        }

        impl NoSigpipe<$stream> {
            /// Mirrors tokio's method of this name; the half that writes is protected.
            pub fn split(
                &mut self,
            ) -> ($($halves)::+::ReadHalf<'_>, NoSigpipe<$($halves)::+::WriteHalf<'_>>) {
                let (reader, writer) = self.inner.split();
                (reader, NoSigpipe::from(writer))
            }

            /// Mirrors tokio's method of this name; the half that writes is protected.
            pub fn into_split(
                self,
            ) -> ($($halves)::+::OwnedReadHalf, NoSigpipe<$($halves)::+::OwnedWriteHalf>) {
                let (reader, writer) = self.into_inner().into_split();
                (reader, NoSigpipe::from(writer))
            }
        }

        impl NoSigpipe<$($halves)::+::OwnedWriteHalf> {
            /// Mirrors tokio's method of this name; the stream is protected.
            ///
            /// # Errors
            ///
            /// tokio's, with both halves, if they are not of the same stream.
            pub fn reunite(
                self,
                reader: $($halves)::+::OwnedReadHalf,
            ) -> Result<NoSigpipe<$stream>, $($halves)::+::ReuniteError> {
                let stream = reader.reunite(self.into_inner())?;
                Ok(NoSigpipe { inner: stream, state: DescriptorState::default() })
            }
        }

        impl<'a> From<$($halves)::+::WriteHalf<'a>> for NoSigpipe<$($halves)::+::WriteHalf<'a>> {
            /// Adopts a half that other code has split off.
            fn from(half: $($halves)::+::WriteHalf<'a>) -> Self {
                NoSigpipe { inner: half, state: DescriptorState::default() }
            }
        }

        impl From<$($halves)::+::OwnedWriteHalf> for NoSigpipe<$($halves)::+::OwnedWriteHalf> {
            /// Adopts a half that other code has split off.
            fn from(half: $($halves)::+::OwnedWriteHalf) -> Self {
                NoSigpipe { inner: half, state: DescriptorState::default() }
            }
        }
    )+};
}

polled! { TcpStream, ::tokio::io::Interest::WRITABLE; }
async_write! {
    TcpStream, |stream| stream;
    tcp::WriteHalf<'_>, AsRef::<TcpStream>::as_ref;
    tcp::OwnedWriteHalf, AsRef::<TcpStream>::as_ref;
}
splits! { TcpStream, tcp; }

#[cfg(unix)]
polled! {
    UnixStream, ::tokio::io::Interest::WRITABLE;
    uds::pipe::Sender;
}
#[cfg(unix)]
async_write! {
    UnixStream, |stream| stream;
    uds::WriteHalf<'_>, AsRef::<UnixStream>::as_ref;
    uds::OwnedWriteHalf, AsRef::<UnixStream>::as_ref;
    uds::pipe::Sender, |sender| sender;
}
#[cfg(unix)]
splits! { UnixStream, uds; }

impl AsyncWrite for NoSigpipe<ChildStdin> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        guarded(|| Pin::new(&mut self.get_mut().inner).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        guarded(|| Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.get_ref().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        guarded(|| Pin::new(&mut self.get_mut().inner).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        guarded(|| Pin::new(&mut self.get_mut().inner).poll_shutdown(cx))
    }
}

/// One poll under a guard, which ends with it.
fn guarded<T>(poll: impl FnOnce() -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
    suppressed(poll).unwrap_or_else(|error| Poll::Ready(Err(error)))
}
