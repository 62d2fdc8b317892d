//! What the testing kit asks of a system that raises SIGPIPE.

mod arrival;
mod record;

use std::ffi::c_int;
use std::io;

pub(crate) use arrival::{Ready, Wish, is_closed, poll, unacknowledged, wait_end, wait_reset};
pub(crate) use record::{Recorder, Recording};

pub(crate) const SIGPIPE: c_int = libc::SIGPIPE;
pub(crate) const INTERRUPTED: c_int = libc::EINTR;
pub(crate) const WOULD_BLOCK: c_int = libc::EAGAIN;
pub(crate) const NO_BUFFERS: c_int = libc::ENOBUFS;
pub(crate) const IN_PROGRESS: c_int = libc::EINPROGRESS;
pub(crate) const BROKEN_PIPE: c_int = libc::EPIPE;

/// Makes this process what the library meets in a C host: SIGPIPE at its default, and not blocked
/// on this thread.
pub(crate) fn become_a_foreign_host() -> io::Result<()> {
    // Ignoring discards what is pending: unblocked, it would kill.
    super::process_handler::set(libc::SIG_IGN, 0)?;
    super::signal::unblock();
    super::process_handler::set(libc::SIG_DFL, 0)
}
