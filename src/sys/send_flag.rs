//! `send_flag`: MSG_NOSIGNAL on every call of the send family.
//!
//! Honoured by Linux since 2.2 (send(2); measured on 6.18), FreeBSD (uipc_socket.c `sousrsend`),
//! DragonFly (`kern_sendmsg`), NetBSD (`do_sys_sendmsg`), OpenBSD (uipc_syscalls.c), illumos
//! (sockcommon.c `socket_sendmsg`), Solaris 11.4 (tried in rust-lang/rust#128259), Haiku since 2015
//! (4b2d018be4), Cygwin (`send_internal`) and the Hurd (glibc hurd/fd.h `__hurd_sockfail`); by
//! Apple from macOS 11, iOS 14, tvOS 14 and watchOS 7 (xnu-7195; xnu-6153 silently ignores it). It
//! does nothing for write, writev, sendfile and splice.

#[cfg(not(send_flag_alone))]
use std::ffi::c_int;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use libc::MSG_NOSIGNAL;
use socket2::{Domain, SockRef, Socket, Type};

use super::call::Address;
use super::guard;
use super::probe::{self, BYTE};
use super::technique::Call;
use super::trust::{Trust, is_refusal};

static TRUST: Trust = Trust::new(cfg!(epipe_refused = "send_flag"), question, is_refusal);

/// Whether this process passes the flag.
#[inline]
pub(super) fn is_in_use() -> bool {
    !TRUST.is_refused()
}

/// Asks which call raises in spite of the flag. One that does switches the flag off.
pub(super) fn verify() -> io::Result<Option<Call>> {
    let is_refused = cfg!(epipe_refused = "send_flag");
    if is_refused { Ok(None) } else { TRUST.verify(probe::send_flag) }
}

/// The error is the answer, unless it means that the flag is refused.
#[cold]
pub(super) fn unless_refused(socket: BorrowedFd<'_>, error: io::Error) -> io::Result<()> {
    if !is_refusal(&error) {
        return Err(error);
    }
    TRUST.ask();
    // A datagram socket reports an ICMP "protocol unreachable" so, once: that is no refusal, and a
    // second call would hide it.
    let is_report = error.raw_os_error() == Some(libc::ENOPROTOOPT)
        && TRUST.is_honoured()
        && datagrams_take_it(socket).unwrap_or(false);
    if is_report { Err(error) } else { Ok(()) }
}

/// Whether a new datagram socket of the same family, which has nothing to report, takes the flag in
/// every call: a stack may know it on Unix sockets and not here, or in one call and not in another.
fn datagrams_take_it(socket: BorrowedFd<'_>) -> io::Result<bool> {
    let known = SockRef::from(&socket);
    let family = known.local_addr()?.domain();
    if known.r#type()? != Type::DGRAM {
        return Ok(false);
    }
    let loopback: IpAddr = match family {
        Domain::IPV4 => Ipv4Addr::LOCALHOST.into(),
        Domain::IPV6 => Ipv6Addr::LOCALHOST.into(),
        _ => return Ok(false),
    };
    // It sends to itself.
    let new = Socket::new(family, Type::DGRAM, None)?;
    new.bind(&SocketAddr::new(loopback, 0).into())?;
    let own = Address::of(new.as_fd())?;
    let takes = |by, to| probe::send(new.as_fd(), by, BYTE, to, MSG_NOSIGNAL).is_ok();
    Ok(takes(Call::SendTo, Some(&own))
        && takes(Call::SendMsg, Some(&own))
        && new.connect(&new.local_addr()?).is_ok()
        && probe::SENDS.iter().all(|by| takes(*by, None)))
}

/// Makes a call that something else protects already, with the flag where it is accepted.
#[cfg(not(send_flag_alone))]
pub(super) fn offer(
    socket: BorrowedFd<'_>,
    call: impl Fn(c_int) -> io::Result<usize>,
) -> io::Result<usize> {
    if !is_in_use() {
        return call(0);
    }
    match call(MSG_NOSIGNAL) {
        Ok(sent) => Ok(sent),
        Err(error) => unless_refused(socket, error).and_then(|()| call(0)),
    }
}

/// A send with the flag, on a socket pair of our own whose peer is gone.
fn question() -> io::Result<io::Result<usize>> {
    let socket = probe::broken_unix()?;
    Ok(guard::run(1, || probe::send(socket.as_fd(), Call::Send, BYTE, None, MSG_NOSIGNAL)))
}
