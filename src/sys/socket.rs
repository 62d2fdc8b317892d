//! Protected sends on a socket. They use the flag, if it protects alone; else the option, if it is
//! set and protects alone; else the guard. THE table says which of these a system has.

use std::ffi::c_int;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{SockAddr, SockRef};

#[cfg(send_flag_alone)]
use super::constant::MSG_NOSIGNAL;
use super::handle::SocketHandle;
use super::{UNKNOWN_LENGTH, call, guard, total};

/// Adopts a socket: sets the option where the system has one. It never fails: if the option is
/// refused, each write falls back to the next technique.
///
/// Each write that relies on the option asks for it again. Something else may have taken the
/// descriptor's place, or other code may have cleared the option.
#[inline]
pub(crate) fn adopt(socket: &impl SocketHandle) {
    #[cfg(socket_option)]
    super::socket_option::set(socket.fd());
    #[cfg(not(socket_option))]
    let _ = socket;
}

/// `Write::write` of a stream, and `send`.
#[inline]
pub(crate) fn write(socket: &impl SocketHandle, buf: &[u8]) -> io::Result<usize> {
    send(socket, || buf.len(), |flags| call::send(socket.fd(), buf, flags))
}

/// `Write::write_vectored` of a stream.
#[inline]
pub(crate) fn write_vectored(
    stream: &impl SocketHandle,
    bufs: &[IoSlice<'_>],
) -> io::Result<usize> {
    let bufs = call::cut(bufs);
    // Like std, an empty write is a plain writev. Linux answers it without the peer, and another
    // system may raise.
    if call::is_empty(bufs) {
        return run(stream, || call::write_vectored(stream.fd(), bufs));
    }
    let call = |flags| call::sendmsg(stream.fd(), bufs, None, flags);
    let plain = || call::write_vectored(stream.fd(), bufs);
    let answer = send(stream, || total(bufs), call);
    answer.or_else(|error| if_no_socket(error, plain))
}

/// `send` of a Unix datagram socket.
#[inline]
pub(crate) fn write_datagram(socket: &impl SocketHandle, buf: &[u8]) -> io::Result<usize> {
    let plain = || call::write(socket.fd(), buf);
    write(socket, buf).or_else(|error| if_no_socket(error, plain))
}

/// `send_to` of a datagram socket.
pub(crate) fn send_to<S: SocketHandle + AsFd>(
    socket: &S,
    buf: &[u8],
    address: &SockAddr,
) -> io::Result<usize> {
    let borrowed = SockRef::from(socket);
    send(socket, || buf.len(), |flags| borrowed.send_to_with_flags(buf, address, flags))
}

/// std makes some of these calls by write or writev, which also accept a descriptor that is not a
/// socket (a file adopted as a `UnixDatagram`). So does this crate.
#[cold]
#[inline(never)]
fn if_no_socket(error: io::Error, plain: impl Fn() -> io::Result<usize>) -> io::Result<usize> {
    // Something else may have taken the socket's place, so no option protects it.
    if error.raw_os_error() == Some(libc::ENOTSOCK) {
        return guard::run(UNKNOWN_LENGTH, plain)?;
    }
    Err(error)
}

/// One call of the send family that offers `len` bytes. `call(flags)` makes the call with `flags`
/// added to the caller's.
#[inline]
pub(crate) fn send(
    socket: &impl SocketHandle,
    len: impl Fn() -> usize,
    call: impl Fn(c_int) -> io::Result<usize>,
) -> io::Result<usize> {
    #[cfg(send_flag_alone)]
    if super::send_flag::is_in_use() {
        match call(MSG_NOSIGNAL) {
            Ok(sent) => return Ok(sent),
            Err(error) => super::send_flag::unless_refused(socket.fd(), error)?,
        }
    }
    send_otherwise(socket.fd(), len(), call)
}

/// The call where the flag does not protect alone, or is not in use: the option or the guard
/// protects. A flag that does not protect alone is passed too.
#[inline(never)]
fn send_otherwise(
    socket: BorrowedFd<'_>,
    len: usize,
    call: impl Fn(c_int) -> io::Result<usize>,
) -> io::Result<usize> {
    #[cfg(all(send_flag, not(send_flag_alone)))]
    let call = || super::send_flag::offer(socket, &call);
    #[cfg(not(all(send_flag, not(send_flag_alone))))]
    let call = || call(0);
    run_otherwise(socket, len, call)
}

/// A call on a socket that takes no flags and may raise (`sendfile`, an empty writev).
pub(crate) fn run(
    socket: &impl SocketHandle,
    call: impl Fn() -> io::Result<usize>,
) -> io::Result<usize> {
    run_otherwise(socket.fd(), UNKNOWN_LENGTH, call)
}

fn run_otherwise(
    socket: BorrowedFd<'_>,
    len: usize,
    call: impl Fn() -> io::Result<usize>,
) -> io::Result<usize> {
    #[cfg(socket_option)]
    if super::socket_option::set_on_borrowed(socket) && cfg!(stays_set) {
        return call();
    }
    #[cfg(not(socket_option))]
    let _ = socket;
    guard::run(len, call)?
}
