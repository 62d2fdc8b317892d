use std::io;

use crate::sys;

pub use crate::sys::Disposition;

/// Reports what a SIGPIPE does to this process now. It changes nothing.
///
/// ```
/// use epipe::sigpipe::{self, Disposition};
///
/// if sigpipe::disposition()? == Disposition::Default {
///     eprintln!("a write that nothing protects can end this process");
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Some [guards](super::guard()) of this crate install a handler for a while: on Apple, NetBSD and
/// RTEMS, and where the build refuses `thread_mask`. That handler counts as
/// [`Disposition::Default`], which it replaces.
///
/// # Errors
///
/// Those of `sigaction`, which fails here only if a sandbox forbids it.
///
/// # Limits
///
/// Another thread may change the disposition at any time. If another library of the process has its
/// own copy of this crate, the handler of that copy counts as [`Disposition::Handled`].
#[doc(alias("SIGPIPE", "sigaction"))]
pub fn disposition() -> io::Result<Disposition> {
    sys::disposition()
}

/// Ignores SIGPIPE in the whole process, unless the host has its own handler. It returns what it
/// found.
///
/// Like `signal(SIGPIPE, SIG_IGN)` at the top of `main`. If it returns [`Disposition::Handled`], it
/// changed nothing, and a SIGPIPE still runs the host's handler.
///
/// Child processes inherit the ignored signal, also through `exec`. std's `Command` resets it for
/// the children that it starts, unless the program is built with `-Zon-broken-pipe`.
///
/// ```
/// use epipe::sigpipe::{self, Disposition};
///
/// if sigpipe::ignore()? == Disposition::Handled {
///     eprintln!("the host handles SIGPIPE itself");
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// Those of `sigaction`, which fails here only if a sandbox forbids it.
///
/// # Limits
///
/// It changes the whole process. A library in another program's process uses
/// [`guard`](super::guard()) instead. A host may install a handler between the question and the
/// change: that handler is overwritten, since no system offers both in one call.
///
/// On Apple, call it before the first guard of the process. If XNU replaces a handler by `SIG_IGN`
/// in the instant of a SIGPIPE, it can take `SIG_IGN` for an address and jump there.
#[doc(alias("SIG_IGN", "SIGPIPE", "signal", "sigaction"))]
pub fn ignore() -> io::Result<Disposition> {
    sys::ignore()
}

/// Lets SIGPIPE end the process again where it was ignored, so that `| head` ends it quietly. It
/// returns what it found.
///
/// Like `signal(SIGPIPE, SIG_DFL)` at the top of `main`, before the first line is printed. Rust's
/// start-up code ignores the signal, so `println!` panics when its reader is gone. What this crate
/// writes is still protected: its sockets, its pipes and the input of children report `EPIPE`.
/// `examples/head.rs` is such a program.
///
/// ```
/// use epipe::sigpipe::{self, Disposition};
///
/// if sigpipe::restore_default()? == Disposition::Handled {
///     eprintln!("a handler is installed, and stays");
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// If it returns [`Disposition::Handled`], it changed nothing, and a SIGPIPE still runs that
/// handler. Where no SIGPIPE exists it does nothing, and returns [`Disposition::Ignored`].
///
/// # Errors
///
/// Those of `sigaction`, which fails here only if a sandbox forbids it.
///
/// # Limits
///
/// It changes the whole process: do not call it in a library. From then on an unprotected write
/// kills, such as std's `TcpStream::write_vectored`. When `main` returns, std writes what it still
/// holds of standard output. That write kills too.
///
/// A guard that is alive still protects. On Apple, call this function before the first guard. After
/// one, its handler may stay, and a write to standard output still fails with `EPIPE`. A program
/// that was started with SIGPIPE blocked keeps it blocked.
#[doc(alias("SIG_DFL", "SIGPIPE", "signal", "sigaction"))]
pub fn restore_default() -> io::Result<Disposition> {
    sys::restore_default()
}
