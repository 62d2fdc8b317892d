use std::ffi::c_int;
use std::io;

use crate::socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use crate::sys::handle::{AsSocket, OwnedSocket};

/// `socket(2)`: close-on-exec, and with `SO_NOSIGPIPE` where the system has it.
pub fn socket(domain: Domain, ty: Type, protocol: Option<Protocol>) -> io::Result<OwnedSocket> {
    Socket::new(domain, ty, protocol).map(OwnedSocket::from)
}

/// `socketpair(2)`: close-on-exec, and with `SO_NOSIGPIPE` where the system has it.
#[cfg(unix)]
pub fn socket_pair(
    domain: Domain,
    ty: Type,
    protocol: Option<Protocol>,
) -> io::Result<(OwnedSocket, OwnedSocket)> {
    Socket::pair(domain, ty, protocol).map(|(a, b)| (a.into(), b.into()))
}

/// `accept(2)`: close-on-exec, and with `SO_NOSIGPIPE` where the system has it.
pub fn accept(listener: impl AsSocket) -> io::Result<(OwnedSocket, SockAddr)> {
    SockRef::from(&listener).accept().map(|(socket, addr)| (socket.into(), addr))
}

/// `send(2)`.
pub fn send(socket: impl AsSocket, buf: &[u8]) -> io::Result<usize> {
    send_with_flags(socket, buf, 0)
}

/// `send(2)` with flags of the caller's.
pub fn send_with_flags(socket: impl AsSocket, buf: &[u8], flags: c_int) -> io::Result<usize> {
    SockRef::from(&socket).send_with_flags(buf, flags)
}

/// `sendto(2)`.
pub fn send_to(socket: impl AsSocket, buf: &[u8], addr: &SockAddr) -> io::Result<usize> {
    send_to_with_flags(socket, buf, addr, 0)
}

/// `sendto(2)` with flags of the caller's.
pub fn send_to_with_flags(
    socket: impl AsSocket,
    buf: &[u8],
    addr: &SockAddr,
    flags: c_int,
) -> io::Result<usize> {
    SockRef::from(&socket).send_to_with_flags(buf, addr, flags)
}

/// `send(2)` with `MSG_OOB`.
#[cfg(has_out_of_band)]
pub fn send_out_of_band(socket: impl AsSocket, buf: &[u8]) -> io::Result<usize> {
    send_with_flags(socket, buf, crate::sys::option::MSG_OOB)
}

/// `sendmsg(2)` of several slices: what `writev(2)` does, protected.
///
/// # Errors
///
/// `EMSGSIZE` for more slices than the system takes (`IOV_MAX`): a datagram is not cut.
#[cfg(has_sendmsg)]
pub fn send_vectored(socket: impl AsSocket, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
    send_vectored_with_flags(socket, bufs, 0)
}

/// [`send_vectored`] with flags of the caller's.
#[cfg(has_sendmsg)]
pub fn send_vectored_with_flags(
    socket: impl AsSocket,
    bufs: &[io::IoSlice<'_>],
    flags: c_int,
) -> io::Result<usize> {
    SockRef::from(&socket).send_vectored_with_flags(bufs, flags)
}

/// [`send_vectored`] to an address.
#[cfg(has_sendmsg)]
pub fn send_to_vectored(
    socket: impl AsSocket,
    bufs: &[io::IoSlice<'_>],
    addr: &SockAddr,
) -> io::Result<usize> {
    send_to_vectored_with_flags(socket, bufs, addr, 0)
}

/// [`send_to_vectored`] with flags of the caller's.
#[cfg(has_sendmsg)]
pub fn send_to_vectored_with_flags(
    socket: impl AsSocket,
    bufs: &[io::IoSlice<'_>],
    addr: &SockAddr,
    flags: c_int,
) -> io::Result<usize> {
    SockRef::from(&socket).send_to_vectored_with_flags(bufs, addr, flags)
}

/// `sendmsg(2)`.
#[cfg(has_sendmsg)]
pub fn sendmsg(
    socket: impl AsSocket,
    msg: &crate::socket2::MsgHdr<'_, '_, '_>,
    flags: c_int,
) -> io::Result<usize> {
    SockRef::from(&socket).sendmsg(msg, flags)
}

/// `sendfile(2)` from a file to a socket, from `offset` on, `length` bytes or (`None`) all
/// that one call takes. The file's own position stays.
///
/// # Platforms
///
/// No flag covers it on Linux and Android: it runs under a guard, three system calls more. On
/// Apple's systems a peer that is gone is `ENOTCONN`.
#[cfg(has_sendfile)]
pub fn sendfile(
    socket: impl AsSocket,
    file: impl std::os::fd::AsFd,
    offset: usize,
    length: Option<std::num::NonZeroUsize>,
) -> io::Result<usize> {
    SockRef::from(&socket).sendfile(&file, offset, length)
}
