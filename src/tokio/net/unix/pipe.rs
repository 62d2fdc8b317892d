//! Pipes of tokio's, protected: a vanished reader is an error, never a signal.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use ::tokio::net::unix::pipe;

pub use ::tokio::net::unix::pipe::Receiver;

use crate::sys;
use crate::tokio::net::*;

/// Like [`tokio::net::unix::pipe::pipe`]; the sender is protected.
#[track_caller]
pub fn pipe() -> io::Result<(Sender, Receiver)> {
    pipe::pipe().map(|(sender, receiver)| (sender.into(), receiver))
}

handle! {
    /// The end of a pipe that writes: a vanished reader is an error, never a signal.
    ///
    /// Like [`tokio::net::unix::pipe::Sender`], which it lends for all that does not write. What
    /// writes to the lent sender [is not protected](crate::tokio::net#limits).
    Sender, pipe::Sender
}
async_write!(Sender);

impl Sender {
    /// Like [`tokio::net::unix::pipe::Sender::from_file`].
    pub fn from_file(file: File) -> io::Result<Sender> {
        pipe::Sender::from_file(file).map(Sender::from)
    }

    /// Like [`tokio::net::unix::pipe::Sender::from_file_unchecked`].
    pub fn from_file_unchecked(file: File) -> io::Result<Sender> {
        pipe::Sender::from_file_unchecked(file).map(Sender::from)
    }

    /// Like [`tokio::net::unix::pipe::Sender::from_owned_fd`].
    pub fn from_owned_fd(owned_fd: OwnedFd) -> io::Result<Sender> {
        pipe::Sender::from_owned_fd(owned_fd).map(Sender::from)
    }

    /// Like [`tokio::net::unix::pipe::Sender::from_owned_fd_unchecked`].
    pub fn from_owned_fd_unchecked(owned_fd: OwnedFd) -> io::Result<Sender> {
        pipe::Sender::from_owned_fd_unchecked(owned_fd).map(Sender::from)
    }

    /// Like [`tokio::net::unix::pipe::Sender::try_write`].
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.try_io(|| sys::pipe::write(self.as_fd(), buf))
    }

    /// Like [`tokio::net::unix::pipe::Sender::try_write_vectored`].
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_io(|| sys::pipe::write_vectored(self.as_fd(), bufs))
    }

    /// Like tokio's method of this name. **The protection ends here.**
    pub fn into_blocking_fd(self) -> io::Result<OwnedFd> {
        self.inner.into_blocking_fd()
    }

    /// Like tokio's method of this name. **The protection ends here.**
    pub fn into_nonblocking_fd(self) -> io::Result<OwnedFd> {
        self.inner.into_nonblocking_fd()
    }
}

/// How a FIFO is opened. Like [`tokio::net::unix::pipe::OpenOptions`]; a sender is protected.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    inner: pipe::OpenOptions,
}

impl OpenOptions {
    /// Like [`tokio::net::unix::pipe::OpenOptions::new`].
    pub fn new() -> OpenOptions {
        OpenOptions::default()
    }

    /// Like tokio's method of this name: opens for both, and so waits for no other end.
    #[cfg(has_read_write_fifo)]
    pub fn read_write(&mut self, value: bool) -> &mut OpenOptions {
        self.inner.read_write(value);
        self
    }

    /// Like [`tokio::net::unix::pipe::OpenOptions::unchecked`].
    pub fn unchecked(&mut self, value: bool) -> &mut OpenOptions {
        self.inner.unchecked(value);
        self
    }

    /// Like [`tokio::net::unix::pipe::OpenOptions::open_receiver`].
    pub fn open_receiver<P: AsRef<Path>>(&self, path: P) -> io::Result<Receiver> {
        self.inner.open_receiver(path)
    }

    /// Like [`tokio::net::unix::pipe::OpenOptions::open_sender`]; the sender is protected.
    pub fn open_sender<P: AsRef<Path>>(&self, path: P) -> io::Result<Sender> {
        self.inner.open_sender(path).map(Sender::from)
    }
}
