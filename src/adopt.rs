//! The handles that [`NoSigpipe`](crate::NoSigpipe) adopts.

use std::fmt::{self, Debug};
use std::fs::File;
use std::io::{self, PipeWriter};
use std::net::TcpStream;
use std::sync::Arc;

use thiserror::Error;

use crate::sys::handle::Handle;

/// A handle that [`NoSigpipe`](crate::NoSigpipe) can adopt.
///
/// An implementation promises one thing: the bytes of each write may go to the descriptor, without
/// the type's own `write`. Only the type's author knows this, so no `impl` covers all types that
/// have a descriptor. These types implement it:
///
/// * std's streams, `PipeWriter`, `File`, `ChildStdin`, `OwnedFd` and `BorrowedFd`;
/// * the streams of this crate, its `PipeWriter` and `Socket`, and the `Socket` of socket2;
/// * `&T`, `&mut T`, `Box<T>` and `Arc<T>` of these.
///
/// A type that does more than write, such as count, buffer or encode, belongs in
/// [`Guarded`](crate::Guarded), which calls the type's own `write`.
///
/// ```
/// # #[cfg(unix)] {
/// use std::net::TcpStream;
/// use std::os::fd::{AsFd, BorrowedFd};
///
/// /// Has a name, and writes as its stream does.
/// struct Named(TcpStream, &'static str);
///
/// impl AsFd for Named {
///     fn as_fd(&self) -> BorrowedFd<'_> {
///         self.0.as_fd()
///     }
/// }
///
/// impl epipe::Adopt for Named {}
/// # }
/// ```
///
/// # Platforms
///
/// On systems with descriptors, the type must also be [`AsFd`](std::os::fd::AsFd), and lend the
/// descriptor that it writes to. Windows has no descriptors: nothing more is required there, and
/// each write is the type's own.
pub trait Adopt: Handle {}

/// The handles that [`NoSigpipe::new`](crate::NoSigpipe::new) takes: every [`Adopt`], and with the
/// feature `mio` also mio's handles, whose writes must run inside mio's own `try_io`.
#[diagnostic::on_unimplemented(
    message = "`NoSigpipe` cannot adopt a `{Self}`",
    note = "put a writer with its own `write` into `Guarded::new(…)`: boxed, foreign or async",
    note = "for tokio's handles use `epipe::tokio` (feature `tokio`): `TcpStream::from(theirs)`",
    note = "mio's handles need the feature `mio`, and the same major version of mio",
    note = "put a buffer around the adapter: `BufWriter::new(NoSigpipe::new(stream)?)`",
    note = "convert a foreign pipe or socket first: `OwnedFd::from(handle)`",
    note = "a reader needs no adapter: a read raises no signal"
)]
pub trait Adoptable: Handle {}

// Without this, the compiler reports for a `Box<T>` what `T` lacks, and omits these notes.
#[diagnostic::do_not_recommend]
impl<T: Adopt> Adoptable for T {}

impl Adopt for TcpStream {}
impl Adopt for PipeWriter {}
impl Adopt for File {}
#[cfg(any(unix, not(has_fd)))] // on other systems it lends no descriptor
impl Adopt for std::process::ChildStdin {}
#[cfg(unix)]
impl Adopt for std::os::unix::net::UnixStream {}
#[cfg(has_fd)]
impl Adopt for std::os::fd::OwnedFd {}
#[cfg(has_fd)]
impl Adopt for std::os::fd::BorrowedFd<'_> {}
#[cfg(has_socket2)]
impl Adopt for socket2::Socket {}

// These are protected already. They are here for code that takes both kinds.
impl Adopt for crate::net::TcpStream {}
impl Adopt for crate::io::PipeWriter {}
#[cfg(unix)]
impl Adopt for crate::os::unix::net::UnixStream {}
#[cfg(has_socket2)]
impl Adopt for crate::socket2::Socket {}

impl<T: Adopt> Adopt for &T {}
impl<T: Adopt> Adopt for &mut T {}
impl<T: Adopt> Adopt for Box<T> {}
impl<T: Adopt> Adopt for Arc<T> {}

/// A handle that could not be adopted, and the system's error.
///
/// `?` converts it into that [`io::Error`], unchanged.
/// [`into_inner`](AdoptError::into_inner) gives the handle back.
///
/// ```
/// # #[cfg(unix)] {
/// use std::os::fd::BorrowedFd;
///
/// use epipe::{AdoptError, NoSigpipe};
///
/// fn adopt(fd: BorrowedFd<'_>) -> Result<NoSigpipe<BorrowedFd<'_>>, Box<dyn std::error::Error>> {
///     // `Box<dyn Error>` takes no error that borrows a handle.
///     Ok(NoSigpipe::new(fd).map_err(AdoptError::into_error)?)
/// }
///
/// fn adopt_or_give_back<T: epipe::Adopt>(handle: T) -> Result<NoSigpipe<T>, T> {
///     NoSigpipe::new(handle).map_err(|error| {
///         eprintln!("not protected: {}", error.error());
///         error.into_inner()
///     })
/// }
/// # }
/// ```
#[derive(Error)]
#[error("the handle cannot be adopted: {error}")]
#[non_exhaustive]
pub struct AdoptError<T> {
    handle: T,
    error: io::Error,
}

impl<T> AdoptError<T> {
    #[cfg(has_fd)]
    pub(crate) fn new(handle: T, error: io::Error) -> AdoptError<T> {
        AdoptError { handle, error }
    }

    /// Borrows the system's error.
    pub fn error(&self) -> &io::Error {
        &self.error
    }

    /// Returns the handle, unchanged and not protected.
    pub fn into_inner(self) -> T {
        self.handle
    }

    /// Returns the system's error, and drops the handle.
    pub fn into_error(self) -> io::Error {
        self.error
    }
}

impl<T> Debug for AdoptError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdoptError").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<T> From<AdoptError<T>> for io::Error {
    fn from(error: AdoptError<T>) -> io::Error {
        error.into_error()
    }
}
