use std::io::{Read, Result, Write};

use crate::{sigpipe, sys};

/// Copies all of `reader` into `writer`, and reports a vanished peer as an error, never as a
/// signal.
///
/// Mirrors [`std::io::copy`], which it runs under [`sigpipe::guard`]: the guard covers the code of
/// `reader` and `writer`, whatever it is, and std's own splice between two of std's handles, which
/// no flag covers.
///
/// # Errors
///
/// As [`std::io::copy`], and what [`sigpipe::guard`] returns where the system refuses it;
/// nothing has been read then.
///
/// # Limits
///
/// * std splices only between its own types. Where one end is a type of this crate it reads and
///   writes, 8 KiB at a time.
/// * A writer that buffers (`Stdout`, a `BufWriter` over std's type) may write what it kept later,
///   outside the guard.
/// * The guard protects this thread: a thread or a process that `reader` or `writer` starts
///   inherits the blocked SIGPIPE (see [`sigpipe`]).
pub fn copy<R, W>(reader: &mut R, writer: &mut W) -> Result<u64>
where
    R: ?Sized + Read,
    W: ?Sized + Write,
{
    sigpipe::suppressed(|| sys::copy(reader, writer))?
}
