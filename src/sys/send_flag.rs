//! `send_flag`: MSG_NOSIGNAL on every call of the send family.
//!
//! These systems honour it:
//! * Linux since 2.2 (send(2); measured on 6.18).
//! * FreeBSD (uipc_socket.c `sousrsend`), DragonFly (`kern_sendmsg`), NetBSD (`do_sys_sendmsg`) and
//!   OpenBSD (uipc_syscalls.c).
//! * illumos (sockcommon.c `socket_sendmsg`) and Solaris 11.4 (tried in rust-lang/rust#128259).
//! * Haiku since 2015 (4b2d018be4), Cygwin (`send_internal`) and the Hurd (glibc hurd/fd.h
//!   `__hurd_sockfail`).
//! * Apple from macOS 11, iOS 14, tvOS 14 and watchOS 7 (xnu-7195). Before these it is silently
//!   ignored (xnu-6153).
//!
//! The flag does nothing for write, writev, sendfile and splice.

#[cfg(not(send_flag_alone))]
use std::ffi::c_int;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use socket2::{Domain, SockRef, Socket, Type};

use super::call::{self, Address};
use super::constant::MSG_NOSIGNAL;
use super::guard;
use super::probe::{self, BYTE};
use super::technique::Call;
use super::trust::{Found, Trust, is_refusal};

static TRUST: Trust = Trust::new(cfg!(epipe_refused = "send_flag"));

/// Whether this process passes the flag.
#[inline]
pub(super) fn is_in_use() -> bool {
    !TRUST.is_refused()
}

/// Asks which call raises in spite of the flag. One that does switches the flag off.
pub(super) fn verify() -> io::Result<Option<Call>> {
    if cfg!(epipe_refused = "send_flag") {
        return Ok(None);
    }
    // `Honoured` is not noted here: a sandbox may come later, and then the first refused send must
    // make the test.
    TRUST.verify(probe::send_flag, || match question() {
        Found::Honoured => Found::Nothing,
        found => found,
    })
}

/// After a call with the flag: returns the call's error, unless it means that the flag is refused.
#[cold]
pub(super) fn unless_refused(socket: BorrowedFd<'_>, error: io::Error) -> io::Result<()> {
    if !is_refusal(&error) {
        return Err(error);
    }
    TRUST.ask(question);
    // A socket reports the error of its connection once (an ICMP "protocol unreachable"). A second
    // call would hide it.
    if is_in_use() && is_known_to(socket) { Err(error) } else { Ok(()) }
}

/// Whether a new socket of the same kind, which has no error to report, accepts the flag in every
/// call. A stack may accept it in one family or call only. `false` if that cannot be asked: then
/// the call is repeated without the flag, and an error that is reported once is lost.
pub(super) fn is_known_to(socket: BorrowedFd<'_>) -> bool {
    is_taken_by_the_kind_of(socket).unwrap_or(false)
}

fn is_taken_by_the_kind_of(socket: BorrowedFd<'_>) -> io::Result<bool> {
    let known = SockRef::from(&socket);
    let (domain, ty) = (known.local_addr()?.domain(), known.r#type()?);
    #[cfg(any(target_os = "android", target_os = "freebsd", target_os = "linux"))]
    let protocol = known.protocol()?;
    #[cfg(not(any(target_os = "android", target_os = "freebsd", target_os = "linux")))]
    let protocol = None;
    let new = Socket::from(call::private(Socket::new(domain, ty, protocol)?.into())?);
    // Also calls with an address: a datagram socket sends to itself, and TCP ignores the address.
    let loopback: Option<IpAddr> = match (domain, ty) {
        (Domain::IPV4, Type::STREAM | Type::DGRAM) => Some(Ipv4Addr::LOCALHOST.into()),
        (Domain::IPV6, Type::STREAM | Type::DGRAM) => Some(Ipv6Addr::LOCALHOST.into()),
        _ => None,
    };
    let mut own = None;
    if let Some(loopback) = loopback {
        new.bind(&SocketAddr::new(loopback, 0).into())?;
        own = Some(Address::of(new.as_fd())?);
    }
    let takes = |by, to: Option<&Address>| {
        // Under a guard: a stack that ignores the flag may raise.
        let call = || probe::send(new.as_fd(), by, BYTE, to, MSG_NOSIGNAL);
        let answer = guard::run(1, call).and_then(|answer| answer);
        // Sent, or not connected: the flag was not refused.
        answer.map_or_else(
            |error| {
                let unconnected = [libc::EPIPE, libc::ENOTCONN, libc::EDESTADDRREQ];
                error.raw_os_error().is_some_and(|errno| unconnected.contains(&errno))
            },
            |_| true,
        )
    };
    Ok(probe::SENDS.iter().all(|by| takes(*by, None))
        && own.is_none_or(|own| {
            [Call::SendTo, Call::SendMsg].iter().all(|by| takes(*by, Some(&own)))
        }))
}

/// Makes a call that another technique protects, with the flag where it is accepted.
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

/// Sends with the flag, on a socket pair of our own whose peer is gone.
fn question() -> Found {
    let send = |socket: OwnedFd| {
        guard::run(1, || probe::send(socket.as_fd(), Call::Send, BYTE, None, MSG_NOSIGNAL))?
    };
    Found::of(probe::broken_unix().and_then(send), is_refusal)
}
