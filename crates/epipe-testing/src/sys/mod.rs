//! The parts that differ between systems, or need `unsafe`.

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
    Interest, Ready, is_closed, poll, unacknowledged, unsent, wait_end, wait_reset,
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

/// Gives SIGPIPE its default action and unblocks it on this thread, as a library finds it in a C
/// program.
pub(crate) fn reset_sigpipe() -> io::Result<()> {
    // SIG_IGN discards a pending signal, which would kill once unblocked.
    signal::set_action(&signal::plain(libc::SIG_IGN, 0))?;
    signal::unblock()?;
    signal::set_action(&signal::plain(libc::SIG_DFL, 0))
}

cfg_if! {
    if #[cfg(any(target_os = "redox", target_os = "rtems"))] {
        /// libc has no such flag for Redox. On RTEMS only pipes raise.
        const NO_SIGNAL: c_int = 0;
    } else {
        use libc::MSG_NOSIGNAL as NO_SIGNAL;
    }
}

/// Writes without SIGPIPE: a peer's thread must not kill the test.
///
/// With `more`, the last bytes wait for the next ones or for a FIN, and leave in one segment with
/// them.
pub(crate) fn send(socket: &Socket, buf: &[u8], more: bool) -> io::Result<usize> {
    socket.send_with_flags(buf, if more { NO_SIGNAL | MORE } else { NO_SIGNAL })
}

cfg_if! {
    if #[cfg(any(target_os = "android", target_os = "linux"))] {
        use libc::MSG_MORE as MORE;

        /// Call it before `connect`. The last acknowledgement of the handshake then leaves together
        /// with the first bytes, and the server does not accept before that.
        pub(crate) fn connect_with_the_first_bytes(socket: &Socket) -> io::Result<()> {
            socket.set_tcp_quickack(false)
        }
    } else {
        const MORE: c_int = 0;

        /// Other systems cannot do this.
        pub(crate) fn connect_with_the_first_bytes(_: &Socket) -> io::Result<()> {
            Ok(())
        }
    }
}

cfg_if! {
    if #[cfg(target_vendor = "apple")] {
        /// Before macOS 11 and iOS 14, `MSG_NOSIGNAL` is silently ignored. socket2 sets the option
        /// on the sockets that it creates.
        pub(crate) fn protect(socket: &Socket) {
            // Rejected only when both directions have ended (XNU uipc_socket.c, sosetoptlock).
            let _ = socket.set_nosigpipe(true);
        }
    } else {
        /// The flag of each send is enough here.
        pub(crate) fn protect(_: &Socket) {}
    }
}
