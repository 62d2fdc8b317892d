//! Pipes and standard output that report a vanished reader as an error, never as a signal.
//!
//! Like [`std::io`]: the pipes, [`copy()`], [`stdout`] and [`stderr`] are ours, and the other names
//! are std's.
//!
//! ```
//! use epipe::io::{self, ErrorKind, Write}; // was: std::io
//!
//! let (reader, mut writer) = io::pipe()?;
//! drop(reader);
//! let error = writer.write(b"a line\n").unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::BrokenPipe);
//!
//! writeln!(io::stderr(), "{error}")?;
//! # io::Result::Ok(())
//! ```

mod best_effort;
mod copy;
#[cfg(has_splice)]
mod known;
mod pipe;
mod stdio;

#[doc(no_inline)]
pub use std::io::{
    BufRead, BufReader, BufWriter, Bytes, Chain, Cursor, Empty, Error, ErrorKind, IntoInnerError,
    IoSlice, IoSliceMut, IsTerminal, LineWriter, Lines, Read, Repeat, Result, Seek, SeekFrom, Sink,
    Split, Stdin, StdinLock, Take, Write, empty, prelude, read_to_string, repeat, sink, stdin,
};

pub use best_effort::BestEffort;
pub use copy::copy;
pub use pipe::{PipeReader, PipeWriter, pipe};
pub use stdio::{Stderr, StderrLock, Stdout, StdoutLock, stderr, stdout};
