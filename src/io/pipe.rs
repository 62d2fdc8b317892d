use std::io::{self, IoSlice};

use crate::macros::{debug_by_std, read_by_std, write_by_shield};
use crate::sys::{self, PipeShield, ShieldPipe, handle};

/// Creates an anonymous pipe. Mirrors [`std::io::pipe`].
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    std::io::pipe().map(|(reader, writer)| (reader.into(), writer.into()))
}

/// The reading end of a pipe. Mirrors [`std::io::PipeReader`].
///
/// `From<ChildStdout>` and `From<ChildStderr>` take over what a child process writes to.
pub struct PipeReader {
    std: std::io::PipeReader,
}

impl PipeReader {
    /// Mirrors [`std::io::PipeReader::try_clone`].
    #[inline]
    pub fn try_clone(&self) -> io::Result<PipeReader> {
        self.std.try_clone().map(PipeReader::from)
    }

    sys::only_raising! {
        /// Moves this end into or out of non-blocking mode (`O_NONBLOCK`), which every duplicate of it shares.
        pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
            socket2::SockRef::from(&self.std).set_nonblocking(nonblocking)
        }
    }

    #[inline]
    fn adopt(std: std::io::PipeReader) -> PipeReader {
        PipeReader { std }
    }
}

read_by_std!(PipeReader);
debug_by_std!(PipeReader);
handle::pipe_conversions!(PipeReader, std::io::PipeReader, ChildStdout ChildStderr);

/// The writing end of a pipe that reports a vanished reader as an error, never as a signal.
///
/// Mirrors [`std::io::PipeWriter`]. `From<ChildStdin>` takes over what a child process reads
/// from, and `From<OwnedFd>` a FIFO or any other descriptor.
///
/// # Platforms
///
/// A write is one system call on Linux 6.18 and later and on Apple, two on NetBSD; elsewhere a pipe
/// has no flag, and it is three. On Apple and NetBSD the first write sets a flag in the open file
/// description, which every duplicate shares, those in other processes included; an end that is
/// passed to a child unwritten reaches it untouched.
///
/// # Limits
///
/// `Into` std's type, `Into<OwnedFd>`, `Into<Stdio>` and `into_raw_fd` end the protection.
/// `From<ChildStdin>` is Unix's alone: Windows opens that end for overlapped I/O, which std's pipe
/// type cannot do from two threads at once.
pub struct PipeWriter {
    std: std::io::PipeWriter,
    shield: PipeShield,
}

impl PipeWriter {
    /// Mirrors [`std::io::PipeWriter::try_clone`].
    #[inline]
    pub fn try_clone(&self) -> io::Result<PipeWriter> {
        self.std.try_clone().map(PipeWriter::from)
    }

    sys::only_raising! {
        /// Moves this end into or out of non-blocking mode (`O_NONBLOCK`), which every duplicate of it shares.
        pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
            socket2::SockRef::from(&self.std).set_nonblocking(nonblocking)
        }
    }

    #[inline]
    fn adopt(std: std::io::PipeWriter) -> PipeWriter {
        PipeWriter {
            std,
            shield: PipeShield::default(),
        }
    }

    #[inline]
    fn write_one(&self, buf: &[u8]) -> io::Result<usize> {
        self.shield.write(&self.std, buf)
    }

    #[inline]
    fn write_slices(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.shield.write_vectored(&self.std, bufs)
    }
}

write_by_shield!(PipeWriter);
debug_by_std!(PipeWriter);
handle::pipe_conversions!(PipeWriter, std::io::PipeWriter, ChildStdin);
