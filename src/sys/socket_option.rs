//! `socket_option`: SO_NOSIGPIPE, set once for the life of a socket.
//!
//! Apple since 10.2 (xnu uipc_socket.c, sys_socket.c `soo_write`), FreeBSD (`soo_write`,
//! `sousrsend`), DragonFly (`kern_sendmsg`, `soo_write`) and NetBSD (`sys_setsockopt` copies it into
//! the file's flags). It covers every write, foreign code's writev included, and accepted sockets
//! inherit it from their listener (xnu uipc_socket2.c; BSD's `sonewconn`).

#![allow(
    unsafe_code,
    reason = "the value of a socket option has the type we say"
)]

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicU8, Ordering};

use libc::{SO_NOSIGPIPE, SOL_SOCKET};

use super::climb::{PipeTechnique, SocketTechnique};
use super::technique::Technique;
use super::{option, send_flag};

pub(crate) enum SocketOption {}

/// What one handle remembers: not asked yet, armed, or refused.
///
/// On NetBSD "armed" is not remembered: `F_SETFL` of anybody who does not ask for the old flags
/// first takes it away again (sys/fcntl.h, FNOSIGPIPE is one of FCNTLFLAGS).
#[derive(Default)]
pub(crate) struct Armed(AtomicU8);

const ARMED: u8 = 1;
const REFUSED: u8 = 2;

impl Armed {
    /// Arms by `arm` what was not asked yet; tells whether it is armed.
    pub(crate) fn or_arm(&self, arm: impl FnOnce() -> bool) -> bool {
        match self.0.load(Ordering::Relaxed) {
            ARMED => true,
            REFUSED => false,
            _ => {
                let armed = arm();
                if !armed {
                    self.0.store(REFUSED, Ordering::Relaxed);
                } else if !cfg!(target_os = "netbsd") {
                    self.0.store(ARMED, Ordering::Relaxed);
                }
                armed
            }
        }
    }
}

impl SocketTechnique for SocketOption {
    const TECHNIQUE: Technique = Technique::SocketOption;
    const COVERS_ALL: bool = true;
    type Memory = Armed;

    fn is_trusted() -> bool {
        cfg!(not(epipe_refused = "socket_option"))
    }

    fn arm(memory: &Armed, socket: BorrowedFd<'_>) {
        memory.or_arm(|| arm(socket));
    }

    fn send(
        memory: &Armed,
        socket: BorrowedFd<'_>,
        call: impl Fn(c_int) -> io::Result<usize> + Copy,
    ) -> Option<io::Result<usize>> {
        memory
            .or_arm(|| arm_borrowed(socket))
            .then(|| send_flag::offer(socket, call))
    }

    fn run(
        memory: &Armed,
        socket: BorrowedFd<'_>,
        call: impl Fn() -> io::Result<usize> + Copy,
    ) -> Option<io::Result<usize>> {
        memory.or_arm(|| arm_borrowed(socket)).then(call)
    }
}

impl PipeTechnique for SocketOption {
    const TECHNIQUE: Technique = Technique::SocketOption;
    type Memory = Armed;

    /// It stands before the flag of pipes, for sockets among the descriptors of unknown kind.
    fn is_trusted() -> bool {
        false
    }

    fn write(
        memory: &Armed,
        fd: BorrowedFd<'_>,
        call: impl Fn() -> io::Result<usize> + Copy,
    ) -> Option<io::Result<usize>> {
        memory.or_arm(|| arm_borrowed(fd)).then(call)
    }
}

/// A descriptor that nobody gave us to keep: the option belongs to the socket and is shared
/// with other processes, so the inherited ones (0 to 2) stay untouched.
fn arm_borrowed(fd: BorrowedFd<'_>) -> bool {
    fd.as_raw_fd() > 2 && arm(fd)
}

/// Asks before it sets: an accepted socket has inherited the option, and XNU refuses to set
/// it (EINVAL) once both directions are shut down, which the close of a Unix peer does at
/// once (uipc_socket.c); reading has no such check. Not on NetBSD, where the answer is about
/// the socket, what protects is a flag of the file, and setting the one sets the other
/// (uipc_syscalls.c `sys_setsockopt`).
fn arm(socket: BorrowedFd<'_>) -> bool {
    if cfg!(epipe_refused = "socket_option") {
        return false;
    }
    // SAFETY: the option's value is an int, here and below.
    let found = unsafe { option::get::<c_int>(socket, SOL_SOCKET, SO_NOSIGPIPE) };
    (!cfg!(target_os = "netbsd") && found.is_ok_and(|value| value != 0))
        // SAFETY: as above.
        || unsafe { option::set::<c_int>(socket, SOL_SOCKET, SO_NOSIGPIPE, &1) }.is_ok()
}
