use std::io::{Read, Result, Write};

use crate::sigpipe;

/// Copies all of `reader` into `writer`. A vanished peer is an error, never a signal.
///
/// Like [`std::io::copy`]. The whole copy runs under [`sigpipe::guard`]. It covers the code of
/// `reader` and `writer`, and also the system calls that have no flag.
///
/// ```
/// use epipe::io::{self, ErrorKind};
///
/// let (reader, mut writer) = io::pipe()?;
/// drop(reader);
/// let error = io::copy(&mut &b"a file"[..], &mut writer).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::BrokenPipe);
/// # io::Result::Ok(())
/// ```
///
/// # Errors
///
/// Those of [`std::io::copy`], and the error of [`sigpipe::guard`] if the system refuses it. In the
/// second case nothing was read.
///
/// After an error, if both types are known (see Platforms), no byte was written twice. All bytes
/// that were not written are still in the reader. A file's position is at the first of them.
///
/// The exception: some copies must take bytes out of the reader before they write them. These are
/// copies from a socket to a socket or a file. They are also copies from a pipe if the system
/// refuses splice, as it does for a file in append mode. If the writer then fails, these bytes are
/// lost: at most 128 KiB, or 1 MiB between two sockets.
///
/// A non-blocking writer ([`ErrorKind::WouldBlock`](std::io::ErrorKind::WouldBlock)) does not lose
/// them. The copy waits, without limit, until they are written. Then it returns the error, and the
/// next call continues. A write timeout has the same error kind, but counts as a failure of the
/// writer.
///
/// # Platforms
///
/// Known types, on Linux and Android, also by reference:
///
/// * the sockets and pipes of this crate and of std, and [`Socket`](crate::socket2::Socket)
/// * [`File`](std::fs::File), and the pipes of a child process
/// * [`NoSigpipe`](crate::NoSigpipe) of std's streams and pipe ends, `ChildStdin` and `File`
///
/// Between them:
///
/// | from | to | how |
/// |---|---|---|
/// | pipe | socket, pipe, file | splice |
/// | socket | pipe | splice |
/// | socket | socket | splice, through a pipe in between |
/// | socket | file | read and write, 128 KiB at a time |
/// | file | socket, pipe | read and write; if the file will not change, `sendfile` is faster |
/// | file | file | as std |
///
/// If the system refuses splice, the copy reads and writes.
///
/// [`std::io::copy`] copies all other types, and all types on other systems. `dyn` types and the
/// wrappers [`BufReader`](std::io::BufReader), [`BufWriter`](std::io::BufWriter) and
/// [`Take`](std::io::Take) are such types. An error then leaves the bytes as std's copy leaves
/// them.
///
/// # Limits
///
/// * A writer with a buffer (std's `Stdout`, a `BufWriter` over std's type) may write its rest
///   later, outside the guard.
/// * The guard protects this thread. A thread or a process that `reader` or `writer` starts
///   inherits the blocked SIGPIPE (see [`sigpipe`]).
/// * From a pipe to a full socket: while splice waits, every other user of the pipe waits in its
///   write or close. A killed child cannot end until then. std's copy has the same limit.
/// * A sandbox may *kill* on splice(2). There, read and write in your own loop: std's copy also
///   calls splice.
#[doc(alias = "splice")]
pub fn copy<R, W>(reader: &mut R, writer: &mut W) -> Result<u64>
where
    R: ?Sized + Read,
    W: ?Sized + Write,
{
    #[cfg(has_splice)]
    return sigpipe::suppressed(|| crate::sys::copy::copy(&super::known::KNOWN, reader, writer))?;
    #[cfg(not(has_splice))]
    sigpipe::suppressed(|| std::io::copy(reader, writer))?
}
