use std::fmt;
use std::io::{self, ErrorKind, Write};

/// Drops what a vanished reader cannot get, in place of an error: for logs.
///
/// Where the inner writer reports that its reader is gone, the bytes count as written and the
/// buffer as flushed. Every other error passes. A logger that is given our EPIPE reports it by
/// `eprintln!`. If standard error is gone as well, that kills, or panics where SIGPIPE is ignored.
///
/// It keeps no SIGPIPE away: that is done by the writer inside, as by [`Guarded`](crate::Guarded).
///
/// ```
/// use std::io::Write;
///
/// use epipe::io::{BestEffort, pipe};
///
/// let (reader, writer) = pipe()?;
/// drop(reader);
/// writeln!(BestEffort(writer), "dropped")?;
/// # std::io::Result::Ok(())
/// ```
///
/// [`bindings`](crate::docs::bindings#logging) has the lines for `tracing` and `env_logger`.
///
/// # Errors
///
/// Those of the inner writer but `BrokenPipe`, and the `ConnectionReset` and `ConnectionAborted`
/// that a socket reports in its place, once.
///
/// # Limits
///
/// A buffer inside keeps what it could not flush, and may try again when it is dropped. Of
/// [`Stdout`](io::Stdout) see [`Guarded`](crate::Guarded#limits).
#[derive(Clone, Copy, Debug, Default)]
pub struct BestEffort<W>(pub W);

impl<W: Write> Write for BestEffort<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        unless_gone(self.0.write(buf), buf.len())
    }

    fn write_all(&mut self, buf: &[u8]) -> io::Result<()> {
        unless_gone(self.0.write_all(buf), ())
    }

    /// Whole, so that a lock or a guard inside is taken once.
    fn write_fmt(&mut self, args: fmt::Arguments<'_>) -> io::Result<()> {
        unless_gone(self.0.write_fmt(args), ())
    }

    fn flush(&mut self) -> io::Result<()> {
        unless_gone(self.0.flush(), ())
    }
}

fn unless_gone<T>(answer: io::Result<T>, done: T) -> io::Result<T> {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    match answer {
        Err(error) if matches!(error.kind(), BrokenPipe | ConnectionReset | ConnectionAborted) => {
            Ok(done)
        }
        answer => answer,
    }
}
