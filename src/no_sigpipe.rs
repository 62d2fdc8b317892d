use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};

use crate::adopt::{Adopt, AdoptError, Adoptable};
use crate::shared::SharedRead;
#[cfg(not(has_fd))]
use crate::shared::SharedWrite;
use crate::sys::DescriptorState;
use crate::sys::handle::adapter_traits;

/// Adapts a handle that you cannot replace: a vanished peer is an error, never a signal.
///
/// Use it for handles that other code gives you: a child's stdin, a `File` that is a FIFO, a
/// descriptor, a socket of mio. If you create the handle yourself, use a type of
/// [`net`](crate::net), [`io`](crate::io) or [`socket2`](crate::socket2).
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
/// child.wait()?; // now the pipe has no reader
/// let error = stdin.write(b"a line\n").unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
/// # Ok(())
/// # }
/// # #[cfg(not(unix))]
/// # fn main() {}
/// ```
///
/// `NoSigpipe<T>` and `&NoSigpipe<T>` are `Write` for every `T` that is [`Adopt`]. The bytes go to
/// the descriptor, not to the `write` of `T`. The adapter reads, seeks and lends its handle as `T`
/// does. A writer with its own `write`, such as a boxed writer, belongs in
/// [`Guarded`](crate::Guarded).
///
/// Call the other methods of `T` on [`get_ref`](NoSigpipe::get_ref):
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let address = listener.local_addr()?;
/// use std::net::TcpStream;
///
/// use epipe::NoSigpipe;
///
/// let mut stream = NoSigpipe::new(TcpStream::connect(address)?)?;
/// stream.get_ref().set_nodelay(true)?;
/// *stream.get_mut() = TcpStream::connect(address)?; // the next write asks what it is
/// let unprotected: TcpStream = stream.into_inner();
/// # drop(unprotected);
/// # Ok(())
/// # }
/// ```
///
/// # Cost
///
/// Adoption is one system call, which asks for the kind of the descriptor. A socket needs up to two
/// more on Apple, FreeBSD, NetBSD and DragonFly.
///
/// | a write to | system calls |
/// |---|---|
/// | a socket | one, as before; two on Apple; three under a guard (QNX, AIX) |
/// | a pipe | as [`PipeWriter`](crate::io::PipeWriter) |
/// | a regular file | one; two on Apple and NetBSD |
///
/// # Limits
///
/// * A write through [`get_ref`](NoSigpipe::get_ref) or a borrowed handle is not protected: both
///   show `T` itself. [`into_inner`](NoSigpipe::into_inner), `into_raw_fd` and `Into<OwnedFd>` end
///   the protection.
/// * The adapter asks for the kind of the descriptor once. Later a pipe or a socket may take the
///   place of a *regular file*: programs that reopen their log call `dup2`. With `write_flag`
///   (Linux 6.18) a write to it is protected. With `fd_flag` (Apple, NetBSD) a write to a pipe is
///   protected, unless the descriptor is 0, 1 or 2. In all other cases the write kills: call
///   [`get_mut`](NoSigpipe::get_mut) after the swap. The adapter notices every other swap, unless
///   it happens during a write: see [`raw`](crate::raw).
/// * On systems with descriptors and without SIGPIPE (WASI, ESP-IDF), a write to a socket is a
///   write of [`File`](std::fs::File), not the stream's own. On ESP-IDF this was type-checked, not
///   run.
#[doc(alias("SO_NOSIGPIPE", "F_SETNOSIGPIPE", "RWF_NOSIGNAL", "EPIPE"))]
pub struct NoSigpipe<T> {
    pub(crate) inner: T,
    pub(crate) state: DescriptorState,
}

impl<T: Adoptable> NoSigpipe<T> {
    /// Adopts a handle: from then on the writes of the adapter are protected.
    ///
    /// It asks for the kind of the descriptor. A socket gets its option now, if [the system has
    /// one](crate::docs::platforms). A pipe does not change before the first write.
    ///
    /// # Errors
    ///
    /// `EBADF` if the descriptor is not open. The error gives the handle back. No other handle is
    /// refused. On systems without SIGPIPE it cannot fail.
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
    /// Borrows the handle. A write through it is not protected.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// Borrows the handle mutably. A write through it is not protected.
    ///
    /// The adapter forgets the kind of the descriptor, and the next write asks again.
    pub fn get_mut(&mut self) -> &mut T {
        self.state = DescriptorState::default();
        &mut self.inner
    }

    /// Returns the handle. **The protection ends here.**
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
