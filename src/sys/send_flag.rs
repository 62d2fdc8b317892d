//! `send_flag`: MSG_NOSIGNAL on every call of the send family.
//!
//! Honoured by Linux since 2.2 (send(2); measured on 6.18), FreeBSD (uipc_socket.c `sousrsend`),
//! DragonFly (`kern_sendmsg`), NetBSD (`do_sys_sendmsg`), OpenBSD (uipc_syscalls.c), illumos
//! (sockcommon.c `socket_sendmsg`), Solaris 11.4 (tried in rust-lang/rust#128259), Haiku since 2015
//! (4b2d018be4), Cygwin (`send_internal`) and the Hurd (glibc hurd/fd.h `__hurd_sockfail`); by Apple
//! from macOS 11, iOS 14, tvOS 14 and watchOS 7 (xnu-7195; xnu-6153 silently ignores it). It does
//! nothing for write, writev, sendfile and splice.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use libc::MSG_NOSIGNAL;

use super::ThreadGuard;
use super::climb::{LastRung, SocketLadder, SocketRung};
use super::refusal::{Verdict, is_refusal};
use super::send;

static VERDICT: Verdict = Verdict::new(cfg!(epipe_refused = "send_flag"));

/// The rung where the flag alone protects.
pub(crate) enum SendFlag {}

impl SocketRung for SendFlag {
    type Memory = ();

    fn arm((): &(), _: BorrowedFd<'_>) {}

    #[inline]
    fn send(
        (): &(),
        _: BorrowedFd<'_>,
        call: &impl Fn(c_int) -> io::Result<usize>,
    ) -> Option<io::Result<usize>> {
        flagged(call)
    }

    fn run(
        (): &(),
        _: BorrowedFd<'_>,
        _: &impl Fn() -> io::Result<usize>,
    ) -> Option<io::Result<usize>> {
        None
    }
}

/// The call with the flag; `None` where the flag is refused.
#[inline]
fn flagged(call: &impl Fn(c_int) -> io::Result<usize>) -> Option<io::Result<usize>> {
    if VERDICT.is_refused() {
        return None;
    }
    match call(MSG_NOSIGNAL) {
        Err(error) => unless_refused(error).map(Err),
        sent => Some(sent),
    }
}

/// The error, unless it means that the flag is refused.
#[cold]
fn unless_refused(error: io::Error) -> Option<io::Error> {
    if !is_refusal(&error) {
        return Some(error);
    }
    VERDICT.ask(question, is_refusal);
    // A datagram socket reports an ICMP "protocol unreachable" so, once: where the flag is
    // honoured this is no refusal, and a second call would hide it.
    let reported = error.raw_os_error() == Some(libc::ENOPROTOOPT);
    (reported && VERDICT.is_honoured()).then_some(error)
}

/// Makes a call that something else protects already, with the flag where it is taken.
#[allow(dead_code)] // for systems where the flag is the second belt
pub(crate) fn offer(call: &impl Fn(c_int) -> io::Result<usize>) -> io::Result<usize> {
    flagged(call).unwrap_or_else(|| call(0))
}

/// The last rung where the flag may be a dead letter: the guard, and the flag inside it.
#[allow(dead_code)] // for systems where the flag is the second belt
pub(crate) enum Inside {}

impl SocketLadder for Inside {
    type Memory = ();

    fn arm((): &(), _: BorrowedFd<'_>) {}

    fn send(
        (): &(),
        _: BorrowedFd<'_>,
        len: usize,
        call: &impl Fn(c_int) -> io::Result<usize>,
    ) -> io::Result<usize> {
        ThreadGuard::own(len, || offer(call))
    }

    fn run(
        (): &(),
        socket: BorrowedFd<'_>,
        call: &impl Fn() -> io::Result<usize>,
    ) -> io::Result<usize> {
        <ThreadGuard as SocketLadder>::run(&(), socket, call)
    }
}

/// The same call with the flag, on a socket pair of our own whose peer is gone.
fn question() -> io::Result<io::Result<usize>> {
    let (socket, peer) = UnixStream::pair()?;
    drop(peer);
    Ok(ThreadGuard::own(1, || send::send(socket.as_fd(), &[0], MSG_NOSIGNAL)))
}
