use std::io;
use std::process::Stdio;

use crate::Guarded;

/// Standard output that reports a vanished reader as an error, never as a signal.
///
/// Like [`std::io::Stdout`]: the same buffer and lock, in one order with `print!`. Each call runs
/// under a [`guard`](crate::sigpipe::guard()). A whole `writeln!` is one call.
///
/// ```
/// use epipe::io::{self, Stdout, StdoutLock, Write};
///
/// let out: Stdout = io::stdout();
/// let mut lock: StdoutLock<'_> = out.lock(); // for several lines in one piece
/// writeln!(lock, "a line")?;
/// writeln!(lock, "the next line")?;
/// lock.flush()?; // before `main` ends: see the limits
/// # io::Result::Ok(())
/// ```
///
/// # Limits
///
/// When `main` returns, std writes the rest of the buffer outside the guard: see [`Guarded`].
pub type Stdout = Guarded<io::Stdout>;

/// Standard error that reports a vanished reader as an error, never as a signal.
///
/// Like [`std::io::Stderr`], without a buffer. Each call runs under a
/// [`guard`](crate::sigpipe::guard()). A whole `writeln!` is one call.
///
/// ```
/// use epipe::io::{self, Stderr, StderrLock, Write};
///
/// let err: Stderr = io::stderr();
/// let mut lock: StderrLock<'_> = err.lock(); // for several lines in one piece
/// writeln!(lock, "a line")?;
/// writeln!(lock, "the next line")?;
/// # io::Result::Ok(())
/// ```
pub type Stderr = Guarded<io::Stderr>;

/// A locked [`Stdout`]. Like [`std::io::StdoutLock`].
///
/// Each call runs under its own guard. The lock holds no guard between two calls, so a child that
/// is started then inherits no blocked signal.
///
/// ```
/// let lock: epipe::io::StdoutLock<'static> = epipe::io::stdout().lock();
/// ```
pub type StdoutLock<'a> = Guarded<io::StdoutLock<'a>>;

/// A locked [`Stderr`]. Like [`std::io::StderrLock`].
///
/// Each call runs under its own guard. The lock holds no guard between two calls, so a child that
/// is started then inherits no blocked signal.
///
/// ```
/// let lock: epipe::io::StderrLock<'static> = epipe::io::stderr().lock();
/// ```
pub type StderrLock<'a> = Guarded<io::StderrLock<'a>>;

/// Returns standard output, protected. Like [`std::io::stdout`].
///
/// ```
/// use epipe::io::{self, Write};
///
/// match writeln!(io::stdout(), "a line") {
///     Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {} // the reader is gone
///     result => result?,
/// }
/// # io::Result::Ok(())
/// ```
pub fn stdout() -> Stdout {
    Guarded::new(io::stdout())
}

/// Returns standard error, protected. Like [`std::io::stderr`].
pub fn stderr() -> Stderr {
    Guarded::new(io::stderr())
}

impl Stdout {
    /// Waits for the lock, and holds it. Like [`std::io::Stdout::lock`].
    ///
    /// ```
    /// use epipe::io::{self, Write};
    ///
    /// writeln!(io::stdout().lock(), "a line")?;
    /// # io::Result::Ok(())
    /// ```
    pub fn lock(&self) -> StdoutLock<'static> {
        Guarded::new(self.get_ref().lock())
    }
}

impl Stderr {
    /// Waits for the lock, and holds it. Like [`std::io::Stderr::lock`].
    ///
    /// ```
    /// use epipe::io::{self, Write};
    ///
    /// writeln!(io::stderr().lock(), "a line")?;
    /// # io::Result::Ok(())
    /// ```
    pub fn lock(&self) -> StderrLock<'static> {
        Guarded::new(self.get_ref().lock())
    }
}

impl From<Stdout> for Stdio {
    /// For a child, which writes with its own calls. **The protection ends here.**
    fn from(stdout: Stdout) -> Stdio {
        stdout.into_inner().into()
    }
}

impl From<Stderr> for Stdio {
    /// For a child, which writes with its own calls. **The protection ends here.**
    fn from(stderr: Stderr) -> Stdio {
        stderr.into_inner().into()
    }
}
