use std::io::{Read, Result, Write};

use crate::sigpipe;

/// Copies all of `reader` into `writer`, and reports a vanished peer as an error, never as a
/// signal.
///
/// Like [`std::io::copy`]. All of it runs under [`sigpipe::guard`]: the code of `reader` and
/// `writer`, whatever it is, and the calls inside the kernel, which no flag covers.
///
/// # Errors
///
/// As [`std::io::copy`], and what [`sigpipe::guard`] returns if the system refuses it. In that case
/// nothing has been read.
///
/// What an error leaves, if both types are known (see Platforms): nothing is written twice, and
/// everything that was not written is still in the reader. A file stands at what was not written.
///
/// Some bytes have to be taken out of the reader before they are written: from a socket to a socket
/// or a file, and from a pipe if the system refuses splice, as into a file that appends. If the
/// writer fails, these are lost: at most 128 KiB, or 1 MiB between two sockets.
///
/// A writer that is non-blocking ([`ErrorKind::WouldBlock`](std::io::ErrorKind::WouldBlock)) does
/// not lose them. The copy waits, without limit, until they are written. Then it returns the error,
/// and the next call goes on. A write timeout that has run out is of the same kind, but counts as
/// a failure of the writer.
///
/// # Platforms
///
/// On Linux and Android these types are known, and references to them:
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
/// If the system refuses splice, the copy reads and writes. All other types are copied by
/// [`std::io::copy`], and so is everything on other systems. These include `dyn` types and the
/// wrappers [`BufReader`](std::io::BufReader), [`BufWriter`](std::io::BufWriter) and
/// [`Take`](std::io::Take). What an error leaves is then what std's copy leaves.
///
/// # Limits
///
/// * A writer that buffers (std's `Stdout`, a `BufWriter` over std's type) may write what it has
///   kept later, outside the guard.
/// * The guard protects this thread. A thread or a process that `reader` or `writer` starts
///   inherits the blocked SIGPIPE (see [`sigpipe`]).
/// * From a pipe to a full socket: while splice waits, every other user of the pipe waits too, in a
///   write and in a close. A child that is killed cannot end before. std's copy has the same limit.
/// * A sandbox may *kill* on splice(2). Read and write yourself there; std's copy also makes that
///   call.
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
