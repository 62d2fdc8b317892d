//! How [`NoSigpipe`](crate::NoSigpipe) writes to a handle of somebody else's type: [`Adopt`] says it
//! for each type.

use std::fmt::{self, Debug};
use std::fs::File;
use std::io::{self, PipeWriter, Stderr, StderrLock, Stdout, StdoutLock};
use std::marker::PhantomData;
use std::net::TcpStream;
use std::process::ChildStdin;
use std::sync::Arc;

use thiserror::Error;

pub use crate::no_sigpipe::Route;
use crate::sys::{self, Handle};

/// A handle that [`NoSigpipe`](crate::NoSigpipe) can protect; says how a write reaches its descriptor.
///
/// It is implemented for each type by itself, never for all that have a descriptor: only the
/// type's author knows whether bytes may pass its own code by. `NoSigpipe<T>` is `Write` if `T` is, and
/// `&NoSigpipe<T>` if `&T` is.
///
/// | route | types |
/// |---|---|
/// | [`Direct`] | [`TcpStream`], `UnixStream`, [`PipeWriter`], [`ChildStdin`], [`File`], `socket2::Socket`; with the features `mio` and `tokio` the sockets and pipes of these; this crate's own |
/// | [`Descriptor`] | `OwnedFd`, `BorrowedFd` |
/// | [`Through`] | [`Stdout`], [`Stderr`], [`StdoutLock`], [`StderrLock`]; tokio's `ChildStdin` |
/// | that of `T`, or [`Shared`] | `&T`, `&mut T`, `Box<T>`; `Arc<T>` |
///
/// A type of your own is [`Through`], unless it is no more than a name for a handle:
///
/// ```
/// # #[cfg(unix)] {
/// use std::io::{self, Write};
/// use std::net::TcpStream;
/// use std::os::fd::{AsFd, BorrowedFd};
///
/// use epipe::adopt::{Adopt, Through};
///
/// /// Counts what it writes.
/// struct Metered(TcpStream, usize);
///
/// impl Write for Metered {
///     fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
///         let written = self.0.write(buf)?;
///         self.1 += written;
///         Ok(written)
///     }
///     fn flush(&mut self) -> io::Result<()> {
///         self.0.flush()
///     }
/// }
///
/// impl AsFd for Metered {
///     fn as_fd(&self) -> BorrowedFd<'_> {
///         self.0.as_fd()
///     }
/// }
///
/// impl Adopt for Metered {
///     type Route = Through; // its own `write` has to run
/// }
///
/// /// Has a name, and writes as its stream does.
/// struct Named(TcpStream, &'static str);
/// # impl Write for Named {
/// #     fn write(&mut self, buf: &[u8]) -> io::Result<usize> { self.0.write(buf) }
/// #     fn flush(&mut self) -> io::Result<()> { Ok(()) }
/// # }
/// # impl AsFd for Named { fn as_fd(&self) -> BorrowedFd<'_> { self.0.as_fd() } }
///
/// // `Write` and `AsFd` by its stream, and
/// impl Adopt for Named {
///     type Route = epipe::adopt::Direct; // the bytes may as well go there at once
/// }
/// # }
/// ```
///
/// A type of your own that is *asynchronous* is not made safe by this: put the `NoSigpipe` inside it.
///
/// # Platforms
///
/// Where SIGPIPE exists it asks for [`AsFd`](std::os::fd::AsFd): the descriptor that the type
/// writes to. Where it does not (Windows, WASI), it asks for nothing, and every route is the
/// type's own write.
#[diagnostic::on_unimplemented(
    message = "`NoSigpipe` cannot adopt a `{Self}`",
    note = "handles of tokio and mio need the feature of that name (and the same major version)",
    note = "a buffer goes around the adapter: `BufWriter::new(NoSigpipe::new(stream)?)`",
    note = "what is only read from needs nothing",
    note = "a type of your own: implement `Adopt` for it, with `type Route = Through`"
)]
pub trait Adopt: Handle {
    /// [`Direct`] or [`Through`]; of the pointers and bare descriptors, another.
    type Route: Route;
}

/// The bytes of each write go to the descriptor, at once and unchanged; so this crate writes them
/// there itself, with the flag or option that the system has for it. The type's own `write` is not
/// called, where SIGPIPE exists, unless the descriptor is a regular file or a disk. Its `flush`, `read`
/// and `seek` are, and are not protected: a type where one of these writes is [`Through`].
#[derive(Debug)]
pub enum Direct {}

/// The type's own write, under a [`guard`](crate::sigpipe::guard()): buffers, order and encodings stay
/// as they are. Its read and seek stand under one as well: both may write, what is buffered or what
/// a protocol answers.
#[derive(Debug)]
pub enum Through {}

/// As [`Direct`], for a type that has no `write` of its own.
#[derive(Debug)]
pub enum Descriptor {}

/// By the route `R` of what an [`Arc`] points to, through a shared reference.
#[derive(Debug)]
pub struct Shared<R>(PhantomData<R>);

macro_rules! adopt {
    ($($route:ty: $($ty:ty),+;)+) => {$($(
        impl Adopt for $ty {
            type Route = $route;
        }
    )+)+};
}
#[allow(unused_imports)] // for the features
pub(crate) use adopt;

adopt! {
    Direct: TcpStream, PipeWriter, ChildStdin, File;
    // Protected already: for code that takes both.
    Direct: crate::net::TcpStream, crate::io::PipeWriter;
    Through: Stdout, Stderr, StdoutLock<'_>, StderrLock<'_>;
}
sys::only_unix! {
    adopt! { Direct: std::os::unix::net::UnixStream, crate::os::unix::net::UnixStream; }
}
sys::only_socket2! {
    adopt! { Direct: socket2::Socket, crate::Socket; }
}
sys::only_fd! {
    adopt! { Descriptor: std::os::fd::OwnedFd, std::os::fd::BorrowedFd<'_>; }
}

impl<T: Adopt> Adopt for &T {
    type Route = T::Route;
}

impl<T: Adopt> Adopt for &mut T {
    type Route = T::Route;
}

impl<T: Adopt> Adopt for Box<T> {
    type Route = T::Route;
}

impl<T: Adopt> Adopt for Arc<T> {
    type Route = Shared<T::Route>;
}

/// A handle that could not be adopted, and why.
///
/// By `?` it turns into the [`io::Error`] that the system reported, untouched;
/// [`into_inner`](AdoptError::into_inner) gives the handle back. Of a *borrowed* handle it does not go
/// into a `Box<dyn Error>`: `.map_err(AdoptError::into_error)?`.
#[derive(Error)]
#[error("the handle cannot be adopted: {error}")]
#[non_exhaustive]
pub struct AdoptError<T> {
    handle: T,
    error: io::Error,
}

impl<T> AdoptError<T> {
    pub(crate) fn new(handle: T, error: io::Error) -> AdoptError<T> {
        AdoptError { handle, error }
    }

    /// What the system reported.
    pub fn error(&self) -> &io::Error {
        &self.error
    }

    /// The handle, as it was given.
    pub fn into_inner(self) -> T {
        self.handle
    }

    /// What the system reported; the handle is dropped.
    pub fn into_error(self) -> io::Error {
        self.error
    }
}

impl<T> Debug for AdoptError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdoptError")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl<T> From<AdoptError<T>> for io::Error {
    fn from(error: AdoptError<T>) -> io::Error {
        error.into_error()
    }
}
