use std::io::{self, IoSlice};

use crate::macros::{debug_by_inner, read_by_inner, write_by_own};
use crate::sys::handle;
#[cfg(has_fd)]
use crate::sys::{self, handle::SocketHandle};

/// Creates an anonymous pipe. Mirrors [`std::io::pipe`].
///
/// On Linux the first call of a process also asks whether pipe writes have a flag here, so that a
/// sandbox that is set up later and *kills* on `pipe2` does not meet that question.
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = std::io::pipe()?;
    #[cfg(sigpipe)]
    sys::pipe::ask_about_write_flag();
    Ok((reader.into(), writer.into()))
}

/// The reading end of a pipe. Mirrors [`std::io::PipeReader`].
///
/// `From<ChildStdout>` and `From<ChildStderr>` take over what a child process writes to.
pub struct PipeReader {
    inner: std::io::PipeReader,
}

impl PipeReader {
    /// Mirrors [`std::io::PipeReader::try_clone`].
    pub fn try_clone(&self) -> io::Result<PipeReader> {
        self.inner.try_clone().map(PipeReader::from)
    }

    /// Moves this end into or out of non-blocking mode (`O_NONBLOCK`), which every duplicate of it
    /// shares.
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
/// Mirrors [`std::io::PipeWriter`]. `From<ChildStdin>` takes over what a child process reads
/// from, and `From<OwnedFd>` a FIFO or any other descriptor.
///
/// # Platforms
///
/// A write is one system call on Linux 6.18 and later, and two on Apple; elsewhere a pipe has no
/// flag, and it is three. On NetBSD it goes under the guard too: another process that shares the
/// pipe can take its flag away at any time. On Apple and NetBSD a write sets a flag in the open
/// file description, which every duplicate shares, those in other processes included; an end that
/// is passed to a child unwritten reaches it untouched.
///
/// # Limits
///
/// `into_unprotected`, `Into` std's type, `Into<OwnedFd>`, `Into<Stdio>` and `into_raw_fd` end the
/// protection. `From<ChildStdin>` is Unix's alone: Windows opens that end for overlapped I/O, which
/// std's pipe type cannot do from two threads at once.
pub struct PipeWriter {
    inner: std::io::PipeWriter,
}

impl PipeWriter {
    /// Mirrors [`std::io::PipeWriter::try_clone`].
    pub fn try_clone(&self) -> io::Result<PipeWriter> {
        self.inner.try_clone().map(PipeWriter::from)
    }

    /// Moves this end into or out of non-blocking mode (`O_NONBLOCK`), which every duplicate of it
    /// shares.
    #[cfg(sigpipe)]
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        socket2::SockRef::from(&self.inner).set_nonblocking(nonblocking)
    }

    /// It is not changed here: an end that goes on to a child must reach it untouched.
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
