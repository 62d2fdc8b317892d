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
