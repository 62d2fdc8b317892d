//! Which handles [`NoSigpipe`](crate::NoSigpipe) adopts.

use std::fmt::{self, Debug};
use std::fs::File;
use std::io::{self, PipeWriter};
use std::net::TcpStream;
use std::sync::Arc;

use thiserror::Error;

use crate::sys::handle::Handle;

/// A handle that [`NoSigpipe`](crate::NoSigpipe) can adopt: the bytes of each write may go to its
/// descriptor without the type's own `write`.
///
/// It is implemented for each type by itself, never for all that have a descriptor: only the type's
/// author knows whether bytes may do that. It is there for std's streams, pipes,
/// files and pipes of children, for socket2's and this crate's types, for `OwnedFd` and
/// `BorrowedFd`, and for `&T`, `&mut T`, `Box<T>` and `Arc<T>` of these.
///
/// What does more than write, such as count, buffer or encode, goes into
/// [`Guarded`](crate::Guarded): its own `write` runs there.
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
/// Where there are descriptors it asks for [`AsFd`](std::os::fd::AsFd): the one that the type
/// writes to. Windows has none: there it asks for nothing, and every write is the type's own.
pub trait Adopt: Handle {}

/// What [`NoSigpipe::new`](crate::NoSigpipe::new) takes: whatever is [`Adopt`], and with the
/// feature `mio` the handles of mio, which are written to inside that crate's own calls.
#[diagnostic::on_unimplemented(
    message = "`NoSigpipe` cannot adopt a `{Self}`",
    note = "whatever writes by itself goes into `Guarded::new(…)`: boxed, foreign, async writers",
    note = "for tokio's handles there is `epipe::tokio` (feature `tokio`): `TcpStream::from(theirs)`",
    note = "handles of mio need the feature of that name (and the same major version)",
    note = "a buffer goes around the adapter: `BufWriter::new(NoSigpipe::new(stream)?)`",
    note = "a foreign pipe or socket goes in as `OwnedFd::from(handle)`; a reader needs nothing"
)]
pub trait Adoptable: Handle {}

// Of a `Box<T>` the compiler would otherwise report what `T` lacks, without these notes.
#[diagnostic::do_not_recommend]
impl<T: Adopt> Adoptable for T {}

impl Adopt for TcpStream {}
impl Adopt for PipeWriter {}
impl Adopt for File {}
#[cfg(any(unix, not(has_fd)))] // elsewhere it shows no descriptor
impl Adopt for std::process::ChildStdin {}
#[cfg(unix)]
impl Adopt for std::os::unix::net::UnixStream {}
#[cfg(has_fd)]
impl Adopt for std::os::fd::OwnedFd {}
#[cfg(has_fd)]
impl Adopt for std::os::fd::BorrowedFd<'_> {}
#[cfg(has_socket2)]
impl Adopt for socket2::Socket {}

// Protected already: for code that takes both.
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

/// A handle that could not be adopted, and why.
///
/// By `?` it turns into the [`io::Error`] that the system reported, untouched;
/// [`into_inner`](AdoptError::into_inner) gives the handle back. Of a *borrowed* handle it does not
/// go into a `Box<dyn Error>`: `.map_err(AdoptError::into_error)?`.
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

    /// What the system reported.
    pub fn error(&self) -> &io::Error {
        &self.error
    }

    /// The handle, as it was given: not protected.
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
        f.debug_struct("AdoptError").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<T> From<AdoptError<T>> for io::Error {
    fn from(error: AdoptError<T>) -> io::Error {
        error.into_error()
    }
}
