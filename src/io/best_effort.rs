use std::fmt;
use std::io::{self, ErrorKind, Write};

/// Drops bytes that a vanished reader cannot receive, and reports success. For logs.
///
/// If the inner writer reports that its reader is gone, the bytes count as written and the buffer
/// as flushed. All other errors pass, such as a full disk. Without this type, a logger receives
/// `EPIPE` and may report it with `eprintln!`. If standard error is also gone, that call kills, or
/// panics if SIGPIPE is ignored.
///
/// This type keeps no SIGPIPE away. The writer inside must do that, such as
/// [`Guarded`](crate::Guarded).
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
/// [`docs::programs`](crate::docs::programs#logging) has the lines for `tracing` and `env_logger`.
///
/// # Errors
///
/// Those of the inner writer, except `BrokenPipe`, `ConnectionReset` and `ConnectionAborted`. A
/// socket reports one of the last two once, in place of `BrokenPipe`.
///
/// # Limits
///
/// A buffer inside keeps the bytes that it could not flush, and may try again when it is dropped.
/// [`Stdout`](io::Stdout) has such a buffer: see [`Guarded`](crate::Guarded#limits).
#[derive(Clone, Copy, Debug, Default)]
pub struct BestEffort<W>(pub W);

impl<W: Write> Write for BestEffort<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        unless_gone(self.0.write(buf), buf.len())
    }

    fn write_all(&mut self, buf: &[u8]) -> io::Result<()> {
        unless_gone(self.0.write_all(buf), ())
    }

    /// Passes the whole text on, so that the writer inside takes its lock or guard once.
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
