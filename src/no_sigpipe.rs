use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};

use crate::adopt::{Adopt, AdoptError, Adoptable};
use crate::shared::SharedRead;
#[cfg(not(has_fd))]
use crate::shared::SharedWrite;
use crate::sys::DescriptorState;
use crate::sys::handle::adapter_traits;

/// Any handle that you cannot replace, made to report a vanished peer as an error, never as a
/// signal.
///
/// For what other code gives you: a child's stdin, a `File` that is a FIFO, a descriptor, a socket
/// of mio. If you create the handle yourself, take a type of [`net`](crate::net),
/// [`io`](crate::io) or [`socket2`](crate::socket2). What else `T` can do is called on
/// [`get_ref`](NoSigpipe::get_ref): `stream.get_ref().set_nodelay(true)?`.
///
/// ```
/// # #[cfg(unix)]
/// # fn main() -> std::io::Result<()> {
/// use std::io::Write;
/// use std::process::{Command, Stdio};
///
/// use epipe::NoSigpipe;
///
/// let mut child = Command::new("true").stdin(Stdio::piped()).spawn()?;
/// let mut stdin = NoSigpipe::new(child.stdin.take().unwrap())?;
/// child.wait()?; // there is no reader any more
/// let error = stdin.write(b"a line\n").unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
/// # Ok(())
/// # }
/// # #[cfg(not(unix))]
/// # fn main() {}
/// ```
///
/// `NoSigpipe<T>` and `&NoSigpipe<T>` are `Write` for every `T` that is [`Adopt`]: the bytes go to
/// the descriptor, not to the `write` of `T`. It reads, seeks and is borrowed as `T` is. What
/// writes by itself, such as a boxed writer, goes into [`Guarded`](crate::Guarded).
///
/// # Cost
///
/// One system call at adoption, which asks what the descriptor is; for a socket up to two more on
/// Apple, FreeBSD, NetBSD and DragonFly. After that a write to a socket is one system call as
/// before (two on Apple), that to a pipe costs what [`PipeWriter`](crate::io::PipeWriter)'s does,
/// and that to a regular file is one too (two on Apple and NetBSD).
///
/// # Limits
///
/// * [`get_ref`](NoSigpipe::get_ref) and the borrowed handles show `T` itself: what is written
///   through them is not protected. [`into_inner`](NoSigpipe::into_inner), `into_raw_fd` and
///   `Into<OwnedFd>` end the protection.
/// * The descriptor is asked once. A pipe or a socket may take the place of a *regular file*
///   (`dup2`, as programs do that reopen their log). With `write_flag` (Linux 6.18) a write to it
///   is protected; with `fd_flag` (Apple, NetBSD) one to a pipe, if the descriptor is none of 0 to
///   2. Elsewhere it kills: call [`get_mut`](NoSigpipe::get_mut) after the swap. Every other swap
///   is noticed, if it does not happen during a write: see [`raw`](crate::raw).
/// * Where there are descriptors and no SIGPIPE (WASI, ESP-IDF), a write to a socket is that of a
///   [`File`](std::fs::File), not the stream's own. On ESP-IDF that was type-checked, and not run.
pub struct NoSigpipe<T> {
    pub(crate) inner: T,
    pub(crate) state: DescriptorState,
}

impl<T: Adoptable> NoSigpipe<T> {
    /// Adopts a handle: finds out whether it is a socket, a pipe or something else, and protects a
    /// socket (see [`raw`](crate::raw) for what is set on it where). A pipe is left as it is until
    /// the first write.
    ///
    /// # Errors
    ///
    /// `EBADF` if the descriptor is not open; the error gives the handle back. Nothing else is
    /// refused, and where no SIGPIPE exists nothing at all.
    pub fn new(handle: T) -> Result<NoSigpipe<T>, AdoptError<T>> {
        let state = DescriptorState::default();
        #[cfg(has_fd)]
        if let Err(error) = state.adopt(handle.as_fd()) {
            return Err(AdoptError::new(handle, error));
        }
        Ok(NoSigpipe { inner: handle, state })
    }
}

impl<T> NoSigpipe<T> {
    /// Shows the handle. What is written through it is not protected.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// Shows the handle to be changed, and forgets what it was: the next write finds out again.
    ///
    /// What is written through it is not protected.
    pub fn get_mut(&mut self) -> &mut T {
        self.state = DescriptorState::default();
        &mut self.inner
    }

    /// Gives the handle back. **The protection ends here.**
    pub fn into_inner(self) -> T {
        self.inner
    }
}

#[cfg(has_fd)]
impl<T: Adopt> Write for &NoSigpipe<T> {
    #[inline]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.state.write(self.inner.as_fd(), buf)
    }

    #[inline]
    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.state.write_vectored(self.inner.as_fd(), bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(has_fd)]
impl<T: Adopt> Write for NoSigpipe<T> {
    #[inline]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    #[inline]
    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(not(has_fd))]
impl<T: Adopt + Write> Write for NoSigpipe<T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.inner.write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.inner.write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(not(has_fd))]
impl<T: Adopt + SharedWrite> Write for &NoSigpipe<T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.inner.writer().write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.inner.writer().write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.writer().flush()
    }
}

impl<T: Adoptable + Read> Read for NoSigpipe<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buf)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.inner.read_vectored(bufs)
    }

    fn read_to_end(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        self.inner.read_to_end(buf)
    }

    fn read_to_string(&mut self, buf: &mut String) -> io::Result<usize> {
        self.inner.read_to_string(buf)
    }
}

impl<T: Adoptable + Seek> Seek for NoSigpipe<T> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

impl<T: Adoptable + SharedRead> Read for &NoSigpipe<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.reader().read(buf)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.inner.reader().read_vectored(bufs)
    }

    fn read_to_end(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        self.inner.reader().read_to_end(buf)
    }

    fn read_to_string(&mut self, buf: &mut String) -> io::Result<usize> {
        self.inner.reader().read_to_string(buf)
    }
}

impl<T: fmt::Debug> fmt::Debug for NoSigpipe<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NoSigpipe").field(&self.inner).finish()
    }
}

adapter_traits!(NoSigpipe);
