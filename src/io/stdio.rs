use std::io;
use std::process::Stdio;

use crate::Guarded;

/// Standard output that reports a vanished reader as an error, never as a signal.
///
/// Like [`std::io::Stdout`]: the same buffer and lock, in one order with `print!`. Each call runs
/// under a [`guard`](crate::sigpipe::guard()), one for a whole `writeln!`.
///
/// # Limits
///
/// What is still in the buffer when `main` returns, std writes outside the guard: see [`Guarded`].
pub type Stdout = Guarded<io::Stdout>;

/// Standard error that reports a vanished reader as an error, never as a signal.
///
/// Like [`std::io::Stderr`], without a buffer. Each call runs under a
/// [`guard`](crate::sigpipe::guard()), one for a whole `writeln!`.
pub type Stderr = Guarded<io::Stderr>;

/// A locked [`Stdout`]. Each call runs under a guard of its own: the lock holds none, and children
/// that are started meanwhile inherit no mask.
pub type StdoutLock<'a> = Guarded<io::StdoutLock<'a>>;

/// A locked [`Stderr`]. Each call runs under a guard of its own: the lock holds none, and children
/// that are started meanwhile inherit no mask.
pub type StderrLock<'a> = Guarded<io::StderrLock<'a>>;

/// Gives standard output, protected. Like [`std::io::stdout`].
///
/// ```
/// use epipe::io::{self, Write};
///
/// match writeln!(io::stdout(), "a line") {
///     Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {} // it reads no more
///     answer => answer?,
/// }
/// # io::Result::Ok(())
/// ```
pub fn stdout() -> Stdout {
    Guarded::new(io::stdout())
}

/// Gives standard error, protected. Like [`std::io::stderr`].
pub fn stderr() -> Stderr {
    Guarded::new(io::stderr())
}

impl Stdout {
    /// Waits for the lock, and holds it. Like [`std::io::Stdout::lock`].
    pub fn lock(&self) -> StdoutLock<'static> {
        Guarded::new(self.get_ref().lock())
    }
}

impl Stderr {
    /// Waits for the lock, and holds it. Like [`std::io::Stderr::lock`].
    pub fn lock(&self) -> StderrLock<'static> {
        Guarded::new(self.get_ref().lock())
    }
}

impl From<Stdout> for Stdio {
    /// For a child, which writes by itself: **the protection ends here**.
    fn from(stdout: Stdout) -> Stdio {
        stdout.into_inner().into()
    }
}

impl From<Stderr> for Stdio {
    /// For a child, which writes by itself: **the protection ends here**.
    fn from(stderr: Stderr) -> Stdio {
        stderr.into_inner().into()
    }
}
