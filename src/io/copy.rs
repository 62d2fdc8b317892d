use std::io::{Read, Result, Write};

#[cfg(has_splice)]
use std::fs::File;
#[cfg(has_splice)]
use std::process::{ChildStderr, ChildStdin, ChildStdout};

use crate::sigpipe;
#[cfg(has_splice)]
use crate::NoSigpipe;
#[cfg(has_splice)]
use crate::sys::copy::{Kind, Known};

/// Copies all of `reader` into `writer`, and reports a vanished peer as an error, never as a
/// signal.
///
/// Mirrors [`std::io::copy`], and runs whole under [`sigpipe::guard`]: it covers the code of `reader` and
/// `writer`, whatever it is, and the calls inside the kernel, which no flag covers.
///
/// # Errors
///
/// As [`std::io::copy`], and what [`sigpipe::guard`] returns where the system refuses it;
/// nothing has been read then.
///
/// What an error leaves, where both types are known (below): nothing is written twice, and all that
/// was not written is still in the reader, but for what had to be taken out of a socket, or of a pipe
/// where splice is refused (into a file that appends): up to 128 KiB, or 1 MiB between two sockets, is
/// lost *with a writer that has failed*. A writer that is non-blocking
/// ([`ErrorKind::WouldBlock`](std::io::ErrorKind::WouldBlock)) is waited for, without limit, until that
/// is written; then the error is returned, and the next call goes on. A write timeout that has run out
/// counts as failed, though its kind is the same. A limit ([`Take`](std::io::Take)) counts what was
/// taken from the reader, and a file stands at what was not written.
///
/// # Platforms
///
/// On Linux and Android these types are known: the sockets and pipes of this crate and of std,
/// [`File`](std::fs::File), the pipes of a child process, [`Socket`](crate::Socket),
/// [`NoSigpipe`](crate::NoSigpipe) of std's types; references to them; and
/// [`BufReader`](std::io::BufReader), [`BufWriter`](std::io::BufWriter) and [`Take`](std::io::Take) of
/// these. Between them:
///
/// | from | to | |
/// |---|---|---|
/// | pipe | socket, pipe, file | splice |
/// | socket | pipe | splice |
/// | socket | socket | splice, by a pipe in between |
/// | socket | file | read and write, 128 KiB at a time |
/// | file | socket, pipe | read and write: who knows that the file will not change calls [`sendfile`] |
/// | file | file | as std |
///
/// Where the system refuses splice, it reads and writes. All other types, `dyn` among them, and all
/// other systems go [`std::io::copy`]'s way.
///
/// # Limits
///
/// * A writer that buffers (`Stdout`, a `BufWriter` over std's type) may write what it kept later,
///   outside the guard.
/// * The guard protects this thread: a thread or a process that `reader` or `writer` starts
///   inherits the blocked SIGPIPE (see [`sigpipe`]).
/// * From a pipe to a socket that is full: while splice waits, who writes to the pipe or closes it waits
///   as well, a child that is killed too. std's copy has this between its own types.
/// * A sandbox that *kills* on splice(2): read and write by yourself. std's copy makes that call as well.
///
/// [`sendfile`]: crate::net::TcpStream::sendfile
pub fn copy<R, W>(reader: &mut R, writer: &mut W) -> Result<u64>
where
    R: ?Sized + Read,
    W: ?Sized + Write,
{
    #[cfg(has_splice)]
    return sigpipe::suppressed(|| crate::sys::copy::copy(&KNOWN, reader, writer))?;
    #[cfg(not(has_splice))]
    sigpipe::suppressed(|| std::io::copy(reader, writer))?
}

/// The handles whose bytes may go past their own `read` and `write`. The same of references to them.
#[cfg(has_splice)]
static KNOWN: [Known; 18] = [
    Known::new::<crate::net::TcpStream>(Some(Kind::Stream)),
    Known::new::<crate::os::unix::net::UnixStream>(Some(Kind::Stream)),
    Known::new::<std::net::TcpStream>(Some(Kind::Stream)),
    Known::new::<std::os::unix::net::UnixStream>(Some(Kind::Stream)),
    Known::new::<NoSigpipe<std::net::TcpStream>>(Some(Kind::Stream)),
    Known::new::<NoSigpipe<std::os::unix::net::UnixStream>>(Some(Kind::Stream)),
    Known::new::<super::PipeReader>(Some(Kind::Pipe)),
    Known::new::<super::PipeWriter>(Some(Kind::Pipe)),
    Known::new::<std::io::PipeReader>(Some(Kind::Pipe)),
    Known::new::<std::io::PipeWriter>(Some(Kind::Pipe)),
    Known::new::<ChildStdin>(Some(Kind::Pipe)),
    Known::new::<ChildStdout>(Some(Kind::Pipe)),
    Known::new::<ChildStderr>(Some(Kind::Pipe)),
    Known::new::<NoSigpipe<std::io::PipeWriter>>(Some(Kind::Pipe)),
    Known::new::<NoSigpipe<ChildStdin>>(Some(Kind::Pipe)),
    Known::new::<File>(None),
    Known::new::<NoSigpipe<File>>(None),
    Known::new::<crate::Socket>(None),
];
