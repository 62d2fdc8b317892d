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

use libc::MSG_NOSIGNAL;
use socket2::{SockRef, Socket};

use super::climb::{Findings, LastRung, SocketLadder, SocketRung};
use super::refusal::{Verdict, is_refusal};
use super::rung::{Call, Rung};
use super::{ThreadGuard, probe};
use crate::verify::Protection;

static VERDICT: Verdict = Verdict::new(cfg!(epipe_refused = "send_flag"));

/// The rung where the flag alone protects.
pub(crate) enum SendFlag {}

impl SocketRung for SendFlag {
    const RUNG: Rung = Rung::SendFlag;
    const COVERS_ALL: bool = false;
    type Memory = ();

    fn is_trusted() -> bool {
        !VERDICT.is_refused()
    }

    fn verify() -> io::Result<Option<Call>> {
        if cfg!(epipe_refused = "send_flag") {
            return Ok(None);
        }
        VERDICT.verify(probe::send_flag, question, is_refusal)
    }

    fn arm((): &(), _: BorrowedFd<'_>) {}

    #[inline]
    fn send(
        (): &(),
        socket: BorrowedFd<'_>,
        call: &impl Fn(c_int) -> io::Result<usize>,
    ) -> Option<io::Result<usize>> {
        flagged(socket, call)
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
fn flagged(
    socket: BorrowedFd<'_>,
    call: &impl Fn(c_int) -> io::Result<usize>,
) -> Option<io::Result<usize>> {
    if VERDICT.is_refused() {
        return None;
    }
    match call(MSG_NOSIGNAL) {
        Err(error) => unless_refused(socket, error).map(Err),
        sent => Some(sent),
    }
}

/// The error, unless it means that the flag is refused.
#[cold]
fn unless_refused(socket: BorrowedFd<'_>, error: io::Error) -> Option<io::Error> {
    if !is_refusal(&error) {
        return Some(error);
    }
    VERDICT.ask(question, is_refusal);
    // A datagram socket reports an ICMP "protocol unreachable" so, once: that is no refusal, and a
    // second call would hide it.
    let is_report = error.raw_os_error() == Some(libc::ENOPROTOOPT)
        && VERDICT.is_honoured()
        && !its_kind_refuses(socket).unwrap_or(true);
    is_report.then_some(error)
}

/// Whether a new socket of the same kind, which has nothing to report, refuses the flag too: a
/// stack may know it on Unix sockets and not on its own, or by one call and not by another.
fn its_kind_refuses(socket: BorrowedFd<'_>) -> io::Result<bool> {
    let known = SockRef::from(&socket);
    let new = Socket::new(known.local_addr()?.domain(), known.r#type()?, None)?;
    Ok(probe::SENDS.into_iter().any(|by| {
        let answer = ThreadGuard::own(2, || probe::send(new.as_fd(), by, None, MSG_NOSIGNAL));
        answer.is_err_and(|error| error.raw_os_error() == Some(libc::ENOPROTOOPT))
    }))
}

/// Makes a call that something else protects already, with the flag where it is taken.
#[allow(dead_code)] // for systems where the flag is the second belt
pub(crate) fn offer(
    socket: BorrowedFd<'_>,
    call: &impl Fn(c_int) -> io::Result<usize>,
) -> io::Result<usize> {
    flagged(socket, call).unwrap_or_else(|| call(0))
}

/// The last rung where the flag may be a dead letter: the guard, and the flag inside it.
#[allow(dead_code)] // for systems where the flag is the second belt
pub(crate) enum Inside {}

impl SocketLadder for Inside {
    type Memory = ();

    fn arm((): &(), _: BorrowedFd<'_>) {}

    fn send(
        (): &(),
        socket: BorrowedFd<'_>,
        len: usize,
        call: &impl Fn(c_int) -> io::Result<usize>,
    ) -> io::Result<usize> {
        ThreadGuard::own(len, || offer(socket, call))
    }

    fn run(
        (): &(),
        socket: BorrowedFd<'_>,
        call: &impl Fn() -> io::Result<usize>,
    ) -> io::Result<usize> {
        <ThreadGuard as SocketLadder>::run(&(), socket, call)
    }

    fn tell(protection: &mut Protection) {
        <ThreadGuard as SocketLadder>::tell(protection);
    }

    fn verify(_: &mut Findings) {}
}

/// The same call with the flag, on a socket pair of our own whose peer is gone.
fn question() -> io::Result<io::Result<usize>> {
    let socket = probe::broken_unix()?;
    Ok(ThreadGuard::own(2, || probe::send(socket.as_fd(), Call::Send, None, MSG_NOSIGNAL)))
}
