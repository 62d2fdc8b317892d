use std::io::{Read, Result, Write};

use crate::sigpipe;

/// Copies all of `reader` into `writer`, and reports a vanished peer as an error, never as a
/// signal.
///
/// Mirrors [`std::io::copy`], which it runs under [`sigpipe::guard`]: the guard covers std's
/// own splice between two handles (which no flag covers) and the code of `reader` and
/// `writer`, whatever it is.
///
/// # Errors
///
/// As [`std::io::copy`], and what [`sigpipe::guard`] returns where the system refuses it;
/// nothing has been read then.
///
/// # Limits
///
/// The guard protects this thread: a thread that `reader` or `writer` starts while it runs
/// inherits the blocked SIGPIPE (see [`sigpipe`]).
pub fn copy<R, W>(reader: &mut R, writer: &mut W) -> Result<u64>
where
    R: ?Sized + Read,
    W: ?Sized + Write,
{
    sigpipe::suppressed(|| std::io::copy(reader, writer))?
}
