//! tokio's pipes, protected: a vanished reader is an error, never a signal.
//!
//! Like [`tokio::net::unix::pipe`].
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! use epipe::tokio::io::{AsyncReadExt, AsyncWriteExt, ErrorKind};
//! use epipe::tokio::net::unix::pipe; // was: tokio::net::unix::pipe
//!
//! let (mut sender, mut receiver) = pipe::pipe()?;
//! sender.write_all(b"a line").await?;
//! receiver.read_exact(&mut [0; 6]).await?;
//! drop(receiver);
//! let error = sender.write(b"more").await.unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::BrokenPipe);
//! # std::io::Result::Ok(())
//! # })
//! # }
//! ```
//!
//! The ends of a FIFO:
//!
//! ```no_run
//! # async fn f() -> std::io::Result<()> {
//! use epipe::tokio::net::unix::pipe::{OpenOptions, Receiver, Sender};
//!
//! let receiver: Receiver = OpenOptions::new().open_receiver("/run/log.fifo")?;
//! let sender: Sender = OpenOptions::new().open_sender("/run/log.fifo")?;
//! # Ok(())
//! # }
//! ```

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use ::tokio::net::unix::pipe;

#[doc(no_inline)]
pub use ::tokio::net::unix::pipe::Receiver;

use crate::sys;
use crate::tokio::net::*;

/// Creates an anonymous pipe; the sender is protected. Like [`tokio::net::unix::pipe::pipe`].
#[doc(alias = "pipe2")]
#[track_caller]
pub fn pipe() -> io::Result<(Sender, Receiver)> {
    pipe::pipe().map(|(sender, receiver)| (sender.into(), receiver))
}

handle! {
    /// The end of a pipe that writes: a vanished reader is an error, never a signal.
    ///
    /// Like [`tokio::net::unix::pipe::Sender`], which it lends for all methods that do not write. A
    /// write to the lent sender [is not protected](crate::tokio::net#limits).
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// # runtime.block_on(async {
    /// use std::io::IoSlice;
    /// use std::os::fd::OwnedFd;
    ///
    /// use epipe::tokio::net::unix::pipe::{self, Sender};
    ///
    /// let (sender, receiver) = pipe::pipe()?;
    /// sender.writable().await?; // tokio's own method
    /// sender.try_write(b"a record")?;
    /// sender.try_write_vectored(&[IoSlice::new(b"a "), IoSlice::new(b"record")])?;
    ///
    /// // A descriptor. **The protection ends here**, and begins again with `from_owned_fd`.
    /// let fd: OwnedFd = sender.into_nonblocking_fd()?;
    /// let sender = Sender::from_owned_fd(fd)?; // asks whether it is a pipe that can be written
    /// let fd = sender.into_nonblocking_fd()?;
    /// let sender = Sender::from_owned_fd_unchecked(fd)?; // does not ask
    /// let fd: OwnedFd = sender.into_blocking_fd()?;
    ///
    /// // The same for a file that is a FIFO.
    /// let sender = Sender::from_file(fd.into())?;
    /// let sender = Sender::from_file_unchecked(sender.into_nonblocking_fd()?.into())?;
    ///
    /// // For code that asks for tokio's type. **The protection ends here.**
    /// let unprotected: tokio::net::unix::pipe::Sender = sender.into_unprotected();
    /// # drop((receiver, unprotected));
    /// # std::io::Result::Ok(())
    /// # })
    /// # }
    /// ```
    Sender, pipe::Sender
}
async_write!(Sender);

impl Sender {
    /// Adopts a file that must be a FIFO open for writing. Like
    /// [`tokio::net::unix::pipe::Sender::from_file`].
    pub fn from_file(file: File) -> io::Result<Sender> {
        pipe::Sender::from_file(file).map(Sender::from)
    }

    /// Adopts a file without asking whether it is a FIFO. Like
    /// [`tokio::net::unix::pipe::Sender::from_file_unchecked`].
    pub fn from_file_unchecked(file: File) -> io::Result<Sender> {
        pipe::Sender::from_file_unchecked(file).map(Sender::from)
    }

    /// Adopts a descriptor that must be a pipe open for writing. Like
    /// [`tokio::net::unix::pipe::Sender::from_owned_fd`].
    pub fn from_owned_fd(owned_fd: OwnedFd) -> io::Result<Sender> {
        pipe::Sender::from_owned_fd(owned_fd).map(Sender::from)
    }

    /// Adopts a descriptor without asking whether it is a pipe. Like
    /// [`tokio::net::unix::pipe::Sender::from_owned_fd_unchecked`].
    pub fn from_owned_fd_unchecked(owned_fd: OwnedFd) -> io::Result<Sender> {
        pipe::Sender::from_owned_fd_unchecked(owned_fd).map(Sender::from)
    }

    /// Writes without waiting. Like
    /// [`tokio::net::unix::pipe::Sender::try_write`].
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.try_io(|| sys::pipe::write(self.as_fd(), buf))
    }

    /// Writes several slices without waiting. Like
    /// [`tokio::net::unix::pipe::Sender::try_write_vectored`].
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_io(|| sys::pipe::write_vectored(self.as_fd(), bufs))
    }

    /// Returns the descriptor, in blocking mode. **The protection ends here.** Like tokio's method
    /// of this name.
    pub fn into_blocking_fd(self) -> io::Result<OwnedFd> {
        self.inner.into_blocking_fd()
    }

    /// Returns the descriptor, in non-blocking mode. **The protection ends here.** Like tokio's
    /// method of this name.
    pub fn into_nonblocking_fd(self) -> io::Result<OwnedFd> {
        self.inner.into_nonblocking_fd()
    }
}

/// Opens a FIFO; the sender is protected. Like [`tokio::net::unix::pipe::OpenOptions`].
///
/// ```no_run
/// # async fn f() -> std::io::Result<()> {
/// use epipe::tokio::net::unix::pipe::OpenOptions;
///
/// // `unchecked`: does not ask whether the file is a FIFO.
/// let receiver = OpenOptions::new().unchecked(true).open_receiver("/run/log.fifo")?;
/// let sender = OpenOptions::new().open_sender("/run/log.fifo")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    inner: pipe::OpenOptions,
}

impl OpenOptions {
    /// Starts with all options off. Like [`tokio::net::unix::pipe::OpenOptions::new`].
    pub fn new() -> OpenOptions {
        OpenOptions::default()
    }

    /// Opens the FIFO for reading and writing, so it needs no other end. Like tokio's method of
    /// this name.
    ///
    /// ```no_run
    /// # async fn f() -> std::io::Result<()> {
    /// use epipe::tokio::net::unix::pipe::OpenOptions;
    ///
    /// let sender = OpenOptions::new().read_write(true).open_sender("/run/log.fifo")?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(has_read_write_fifo)]
    pub fn read_write(&mut self, value: bool) -> &mut OpenOptions {
        self.inner.read_write(value);
        self
    }

    /// Sets whether to skip the test that the file is a FIFO. Like
    /// [`tokio::net::unix::pipe::OpenOptions::unchecked`].
    pub fn unchecked(&mut self, value: bool) -> &mut OpenOptions {
        self.inner.unchecked(value);
        self
    }

    /// Opens the end that reads. Like [`tokio::net::unix::pipe::OpenOptions::open_receiver`].
    pub fn open_receiver<P: AsRef<Path>>(&self, path: P) -> io::Result<Receiver> {
        self.inner.open_receiver(path)
    }

    /// Opens the end that writes; it is protected. Like
    /// [`tokio::net::unix::pipe::OpenOptions::open_sender`].
    pub fn open_sender<P: AsRef<Path>>(&self, path: P) -> io::Result<Sender> {
        self.inner.open_sender(path).map(Sender::from)
    }
}
