//! What the kit asks of a system that raises SIGPIPE.

mod arrival;
mod ending;
#[cfg(feature = "watch")]
mod errno;
#[cfg(feature = "watch")]
mod record;
mod signal;

use std::ffi::c_int;
use std::io;

use cfg_if::cfg_if;
use socket2::Socket;

pub(crate) use arrival::{
    Ready, Wish, is_closed, poll, unacknowledged, unsent, wait_end, wait_reset,
};
pub(crate) use ending::Ending;
#[cfg(feature = "watch")]
pub(crate) use record::{Recorder, Recording};

pub(crate) const SIGPIPE: c_int = libc::SIGPIPE;
pub(crate) const INTERRUPTED: c_int = libc::EINTR;
pub(crate) const WOULD_BLOCK: c_int = libc::EAGAIN;
pub(crate) const NO_BUFFERS: c_int = libc::ENOBUFS;
pub(crate) const IN_PROGRESS: c_int = libc::EINPROGRESS;
pub(crate) const BROKEN_PIPE: c_int = libc::EPIPE;

/// Makes this process what a library meets in a C host: SIGPIPE at its default, and not blocked
/// on this thread.
pub(crate) fn become_a_foreign_host() -> io::Result<()> {
    // Ignoring discards what is pending: unblocked, it would kill.
    signal::set_action(&signal::plain(libc::SIG_IGN, 0))?;
    signal::unblock()?;
    signal::set_action(&signal::plain(libc::SIG_DFL, 0))
}

cfg_if! {
    if #[cfg(any(target_os = "redox", target_os = "rtems"))] {
        /// libc has no such flag for Redox, and on RTEMS only pipes raise.
        const NO_SIGNAL: c_int = 0;
    } else {
        use libc::MSG_NOSIGNAL as NO_SIGNAL;
    }
}

/// A write that does not kill: the thread of a peer must not end the test. With `more` the last of
/// it waits for what follows, a FIN say, and leaves in one segment with that.
pub(crate) fn send(socket: &Socket, buf: &[u8], more: bool) -> io::Result<usize> {
    socket.send_with_flags(buf, if more { NO_SIGNAL | MORE } else { NO_SIGNAL })
}

cfg_if! {
    if #[cfg(any(target_os = "android", target_os = "linux"))] {
        use libc::MSG_MORE as MORE;

        /// Before a connect: its last acknowledgement leaves together with the first bytes that are
        /// sent. So a server accepts no sooner than that.
        pub(crate) fn connect_with_the_first_bytes(socket: &Socket) -> io::Result<()> {
            socket.set_tcp_quickack(false)
        }
    } else {
        const MORE: c_int = 0;

        /// Before a connect: nothing can be done here.
        pub(crate) fn connect_with_the_first_bytes(_: &Socket) -> io::Result<()> {
            Ok(())
        }
    }
}

cfg_if! {
    if #[cfg(target_vendor = "apple")] {
        /// Before macOS 11 and iOS 14 the flag is silently ignored. socket2 sets the option on
        /// the sockets that it makes itself.
        pub(crate) fn protect(socket: &Socket) {
            // Refused only when both directions have ended (XNU uipc_socket.c, sosetoptlock).
            let _ = socket.set_nosigpipe(true);
        }
    } else {
        /// The flag of each send is enough here.
        pub(crate) fn protect(_: &Socket) {}
    }
}
