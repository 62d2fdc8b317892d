use std::io;

use crate::sys;

pub use crate::sys::Disposition;

/// Reports what a SIGPIPE does to this process now. It changes nothing.
///
/// The handler that a [`Guard`](super::Guard) of this crate puts in for a while (on Apple, NetBSD
/// and RTEMS, or where the build refuses `thread_mask`) counts as the default that it stands for.
///
/// # Errors
///
/// Those of `sigaction`, which has none for a valid signal unless a sandbox forbids it.
///
/// # Limits
///
/// Another thread may change it at any time. If another library of the process has a copy of this
/// crate of its own, the handler of that copy counts as [`Disposition::Handled`].
pub fn disposition() -> io::Result<Disposition> {
    sys::disposition()
}

/// Ignores SIGPIPE in the whole process, unless the host has its own handler; reports what it
/// found.
///
/// In place of `signal(SIGPIPE, SIG_IGN)` at the top of `main`. Where [`Disposition::Handled`]
/// is returned nothing was changed, and a SIGPIPE still runs that handler.
///
/// Child processes inherit the ignored signal through exec; std's `Command` resets it for the
/// children that it starts (not in a program that is built with `-Zon-broken-pipe`).
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
/// Those of `sigaction`, which has none for a valid signal unless a sandbox forbids it.
///
/// # Limits
///
/// This is the whole process's business: a library that is loaded into somebody else's
/// process uses [`guard`](super::guard()) instead. A host that installs a handler between the
/// question and the answer is overwritten; no system offers the two as one.
///
/// On Apple call it before the first guard of the process. In place of a handler, XNU can take
/// `SIG_IGN` for an address and jump there, if it delivers a SIGPIPE at that instant.
pub fn ignore() -> io::Result<Disposition> {
    sys::ignore()
}

/// Lets SIGPIPE end the process again where it was ignored, for a program of yours that `| head`
/// should end without a word; reports what it found.
///
/// Like `signal(SIGPIPE, SIG_DFL)` at the top of `main`, before the first line is printed. Rust's
/// start-up code has ignored the signal, and `println!` panics where its reader is gone. What this
/// crate writes is still protected: its sockets, its pipes and the input of children give `EPIPE`.
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
/// Where [`Disposition::Handled`] is returned nothing was changed, and a SIGPIPE still runs that
/// handler. Where no SIGPIPE exists it does nothing, and returns [`Disposition::Ignored`].
///
/// # Errors
///
/// Those of `sigaction`, which has none for a valid signal unless a sandbox forbids it.
///
/// # Limits
///
/// This is the whole process's business: not for a library. From then on every write kills that
/// nothing protects, such as std's `TcpStream::write_vectored`. What std still holds of standard
/// output is written when `main` returns, and kills there too.
///
/// A guard that is alive goes on to protect. On Apple call it before the first guard. After one its
/// handler may stay, and a write to standard output still fails with `EPIPE`. A program that was
/// started with SIGPIPE blocked keeps it blocked.
pub fn restore_default() -> io::Result<Disposition> {
    sys::restore_default()
}
