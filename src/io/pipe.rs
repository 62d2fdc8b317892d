use std::io::{self, IoSlice};

use crate::macros::{debug_by_inner, read_by_inner, write_by_own};
use crate::sys::handle;
#[cfg(has_fd)]
use crate::sys::{self, handle::SocketHandle};

/// Creates an anonymous pipe. Like [`std::io::pipe`].
///
/// On Linux the first call of a process also tests whether pipe writes have a flag. That test makes
/// a pipe of its own. So it is done before you set up a sandbox that *kills* on `pipe2`.
///
/// ```
/// use epipe::io::{self, ErrorKind, Read, Write};
///
/// let (mut reader, mut writer) = io::pipe()?;
/// writer.write_all(b"a line\n")?;
/// let mut line = [0; 7];
/// reader.read_exact(&mut line)?;
///
/// drop(reader);
/// assert_eq!(writer.write(b"more").unwrap_err().kind(), ErrorKind::BrokenPipe);
/// # io::Result::Ok(())
/// ```
#[doc(alias = "pipe2")]
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = std::io::pipe()?;
    #[cfg(sigpipe)]
    sys::pipe::ask_about_write_flag();
    Ok((reader.into(), writer.into()))
}

/// The reading end of a pipe. Like [`std::io::PipeReader`].
///
/// `From<ChildStdout>` and `From<ChildStderr>` take over the pipes that a child process writes to.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # #[cfg(unix)] {
/// use epipe::io::{self, ErrorKind, Read};
///
/// let (reader, _writer) = io::pipe()?;
/// let mut other = reader.try_clone()?; // for another thread
/// other.set_nonblocking(true)?; // for both handles
/// assert_eq!(other.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
/// let original: std::io::PipeReader = other.into_unprotected();
/// # drop((reader, original));
/// # }
/// # Ok(())
/// # }
/// ```
pub struct PipeReader {
    inner: std::io::PipeReader,
}

impl PipeReader {
    /// Makes a second handle to the same end. Like [`std::io::PipeReader::try_clone`].
    pub fn try_clone(&self) -> io::Result<PipeReader> {
        self.inner.try_clone().map(PipeReader::from)
    }

    /// Turns non-blocking mode on or off (`O_NONBLOCK`). Every duplicate of this end shares it.
    #[cfg(sigpipe)]
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        socket2::SockRef::from(&self.inner).set_nonblocking(nonblocking)
    }

    #[inline]
    fn adopt(inner: std::io::PipeReader) -> PipeReader {
        PipeReader { inner }
    }
}

read_by_inner!(PipeReader);
debug_by_inner!(PipeReader);
handle::pipe_conversions!(PipeReader, std::io::PipeReader, ChildStdout ChildStderr);

/// The writing end of a pipe that reports a vanished reader as an error, never as a signal.
///
/// Like [`std::io::PipeWriter`]. `From<ChildStdin>` takes over the pipe that a child process reads
/// from. `From<OwnedFd>` takes a FIFO or any other descriptor.
///
/// ```
/// # #[cfg(unix)]
/// # fn main() -> std::io::Result<()> {
/// use std::io::{ErrorKind, Write};
/// use std::process::{Command, Stdio};
///
/// use epipe::io::PipeWriter;
///
/// let mut child = Command::new("true").stdin(Stdio::piped()).spawn()?;
/// let mut stdin = PipeWriter::from(child.stdin.take().unwrap());
/// let other = stdin.try_clone()?; // for another thread
/// child.wait()?; // now the pipe has no reader
/// assert_eq!(stdin.write(b"a line\n").unwrap_err().kind(), ErrorKind::BrokenPipe);
///
/// other.set_nonblocking(true)?; // for both handles
/// // For code that asks for std's type. **The protection ends here.**
/// let unprotected: std::io::PipeWriter = other.into_unprotected();
/// # drop(unprotected);
/// # Ok(())
/// # }
/// # #[cfg(not(unix))]
/// # fn main() {}
/// ```
///
/// # Platforms
///
/// | system | system calls for a write |
/// |---|---|
/// | Linux 6.18 and later | one |
/// | Apple | two |
/// | NetBSD | up to thirteen: the flag, and the guard |
/// | others with SIGPIPE | three: a pipe has no flag there |
/// | systems without SIGPIPE | one |
///
/// On NetBSD the flag does not protect alone: another process that shares the pipe can clear it at
/// any time.
///
/// On Apple and NetBSD a write sets a flag in the open file description. Every duplicate shares the
/// flag, also in other processes. An end that you pass to a child before the first write reaches
/// the child unchanged.
///
/// # Limits
///
/// `into_unprotected`, `Into` std's type, `Into<OwnedFd>`, `Into<Stdio>` and `into_raw_fd` end the
/// protection. `From<ChildStdin>` exists on Unix alone. Windows opens that end for overlapped I/O,
/// and std's pipe type cannot do that from two threads at once.
#[doc(alias("RWF_NOSIGNAL", "F_SETNOSIGPIPE"))]
pub struct PipeWriter {
    inner: std::io::PipeWriter,
}

impl PipeWriter {
    /// Makes a second handle to the same end. Like [`std::io::PipeWriter::try_clone`].
    pub fn try_clone(&self) -> io::Result<PipeWriter> {
        self.inner.try_clone().map(PipeWriter::from)
    }

    /// Turns non-blocking mode on or off (`O_NONBLOCK`). Every duplicate of this end shares it.
    #[cfg(sigpipe)]
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        socket2::SockRef::from(&self.inner).set_nonblocking(nonblocking)
    }

    /// Sets nothing on the pipe: an end that is passed on to a child must reach it unchanged.
    #[inline]
    fn adopt(inner: std::io::PipeWriter) -> PipeWriter {
        PipeWriter { inner }
    }

    #[inline]
    fn write_one(&self, buf: &[u8]) -> io::Result<usize> {
        #[cfg(has_fd)]
        return sys::pipe::write(self.inner.fd(), buf);
        #[cfg(not(has_fd))]
        io::Write::write(&mut &self.inner, buf)
    }

    #[inline]
    fn write_slices(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        #[cfg(has_fd)]
        return sys::pipe::write_vectored(self.inner.fd(), bufs);
        #[cfg(not(has_fd))]
        io::Write::write_vectored(&mut &self.inner, bufs)
    }
}

write_by_own!(PipeWriter);
debug_by_inner!(PipeWriter);
handle::pipe_conversions!(PipeWriter, std::io::PipeWriter, ChildStdin);
