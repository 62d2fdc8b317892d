use std::ffi::c_int;
use std::io;

use crate::socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use crate::sys::handle::{AsSocket, OwnedSocket};

/// Creates a socket. Like `socket(2)`.
///
/// It is close-on-exec, and has `SO_NOSIGPIPE` on systems with that option.
#[doc(alias = "SO_NOSIGPIPE")]
pub fn socket(domain: Domain, ty: Type, protocol: Option<Protocol>) -> io::Result<OwnedSocket> {
    Socket::new(domain, ty, protocol).map(OwnedSocket::from)
}

/// Creates two connected sockets. Like `socketpair(2)`.
///
/// They are close-on-exec, and have `SO_NOSIGPIPE` on systems with that option.
#[cfg(unix)]
#[doc(alias = "socketpair")]
pub fn socket_pair(
    domain: Domain,
    ty: Type,
    protocol: Option<Protocol>,
) -> io::Result<(OwnedSocket, OwnedSocket)> {
    Socket::pair(domain, ty, protocol).map(|(a, b)| (a.into(), b.into()))
}

/// Accepts a connection. Like `accept(2)`.
///
/// The new socket is close-on-exec, and has `SO_NOSIGPIPE` on systems with that option.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let client = std::net::TcpStream::connect(listener.local_addr()?)?;
/// let (socket, address) = epipe::raw::accept(&listener)?;
/// epipe::raw::send(&socket, b"hello")?;
/// # Ok(())
/// # }
/// ```
#[doc(alias = "accept4")]
pub fn accept(listener: impl AsSocket) -> io::Result<(OwnedSocket, SockAddr)> {
    SockRef::from(&listener).accept().map(|(socket, addr)| (socket.into(), addr))
}

/// Sends on a connected socket. Like `send(2)`.
#[doc(alias = "MSG_NOSIGNAL")]
pub fn send(socket: impl AsSocket, buf: &[u8]) -> io::Result<usize> {
    send_with_flags(socket, buf, 0)
}

/// Sends on a connected socket, with your flags. Like `send(2)`.
#[doc(alias = "MSG_NOSIGNAL")]
pub fn send_with_flags(socket: impl AsSocket, buf: &[u8], flags: c_int) -> io::Result<usize> {
    SockRef::from(&socket).send_with_flags(buf, flags)
}

/// Sends a datagram to an address. Like `sendto(2)`.
#[doc(alias = "sendto")]
pub fn send_to(socket: impl AsSocket, buf: &[u8], addr: &SockAddr) -> io::Result<usize> {
    send_to_with_flags(socket, buf, addr, 0)
}

/// Sends a datagram to an address, with your flags. Like `sendto(2)`.
#[doc(alias = "sendto")]
pub fn send_to_with_flags(
    socket: impl AsSocket,
    buf: &[u8],
    addr: &SockAddr,
    flags: c_int,
) -> io::Result<usize> {
    SockRef::from(&socket).send_to_with_flags(buf, addr, flags)
}

/// Sends bytes, the last of which is urgent data. Like `send(2)` with `MSG_OOB`.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let stream = std::net::TcpStream::connect(listener.local_addr()?)?;
/// epipe::raw::send_out_of_band(&stream, b"!")?;
/// # Ok(())
/// # }
/// ```
#[cfg(has_out_of_band)]
#[doc(alias = "MSG_OOB")]
pub fn send_out_of_band(socket: impl AsSocket, buf: &[u8]) -> io::Result<usize> {
    send_with_flags(socket, buf, crate::sys::option::MSG_OOB)
}

/// Sends several slices on a connected socket. Like `writev(2)`, by `sendmsg(2)`.
///
/// # Errors
///
/// `EMSGSIZE` for more slices than the system takes (`IOV_MAX`), because a datagram is never cut.
#[cfg(has_sendmsg)]
#[doc(alias("writev", "sendmsg"))]
pub fn send_vectored(socket: impl AsSocket, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
    send_vectored_with_flags(socket, bufs, 0)
}

/// Sends several slices on a connected socket, with your flags. Like [`send_vectored`].
#[cfg(has_sendmsg)]
pub fn send_vectored_with_flags(
    socket: impl AsSocket,
    bufs: &[io::IoSlice<'_>],
    flags: c_int,
) -> io::Result<usize> {
    SockRef::from(&socket).send_vectored_with_flags(bufs, flags)
}

/// Sends several slices as one datagram to an address. Like [`send_vectored`].
#[cfg(has_sendmsg)]
pub fn send_to_vectored(
    socket: impl AsSocket,
    bufs: &[io::IoSlice<'_>],
    addr: &SockAddr,
) -> io::Result<usize> {
    send_to_vectored_with_flags(socket, bufs, addr, 0)
}

/// Sends several slices as one datagram to an address, with your flags. Like
/// [`send_to_vectored`].
#[cfg(has_sendmsg)]
pub fn send_to_vectored_with_flags(
    socket: impl AsSocket,
    bufs: &[io::IoSlice<'_>],
    addr: &SockAddr,
    flags: c_int,
) -> io::Result<usize> {
    SockRef::from(&socket).send_to_vectored_with_flags(bufs, addr, flags)
}

/// Sends slices with an address, control data and flags. Like `sendmsg(2)`.
#[cfg(has_sendmsg)]
pub fn sendmsg(
    socket: impl AsSocket,
    msg: &crate::socket2::MsgHdr<'_, '_, '_>,
    flags: c_int,
) -> io::Result<usize> {
    SockRef::from(&socket).sendmsg(msg, flags)
}

/// Sends a part of a file on a socket, in one call. Like `sendfile(2)`.
///
/// It starts at `offset`. It sends `length` bytes, or with `None` all that one call takes. The
/// file's own position does not move.
///
/// ```
/// # #[cfg(unix)]
/// # fn main() -> std::io::Result<()> {
/// # let (stream, peer) = std::os::unix::net::UnixStream::pair()?;
/// let file = std::fs::File::open("LICENSE-MIT")?;
/// let sent = epipe::raw::sendfile(&stream, &file, 0, None)?;
/// # Ok(())
/// # }
/// # #[cfg(not(unix))]
/// # fn main() {}
/// ```
///
/// # Platforms
///
/// No flag covers this call on Linux and Android. It runs under a guard there, which costs three
/// system calls more. On Apple's systems a peer that is gone is `ENOTCONN`.
#[cfg(has_sendfile)]
pub fn sendfile(
    socket: impl AsSocket,
    file: impl std::os::fd::AsFd,
    offset: usize,
    length: Option<std::num::NonZeroUsize>,
) -> io::Result<usize> {
    SockRef::from(&socket).sendfile(&file, offset, length)
}
