//! Protected system calls on borrowed handles, for authors of bindings.
//!
//! A C library calls a callback with a descriptor and nothing else. This module has the calls that
//! such a callback makes, under their names in `man 2`. They take every type that lends a handle.
//! For calls that cannot raise SIGPIPE (bind, listen, connect, shutdown, receive, options) use
//! [`socket2::SockRef`].
//!
//! ```
//! # #[cfg(unix)]
//! use std::os::fd::BorrowedFd;
//!
//! # #[cfg(unix)]
//! fn on_write(socket: BorrowedFd<'_>, bytes: &[u8]) -> isize {
//!     match epipe::raw::send(socket, bytes) {
//!         Ok(sent) => sent as isize,
//!         Err(error) => -(error.raw_os_error().unwrap_or(libc::EIO) as isize),
//!     }
//! }
//! ```
//!
//! Each function that writes, on a pair of sockets:
//!
//! ```
//! # #[cfg(unix)]
//! # fn main() -> std::io::Result<()> {
//! use std::io::IoSlice;
//! use std::os::fd::OwnedFd;
//!
//! use epipe::raw;
//! use epipe::socket2::{Domain, MsgHdr, Type};
//!
//! let (socket, peer): (OwnedFd, OwnedFd) = raw::socket_pair(Domain::UNIX, Type::STREAM, None)?;
//! let slices = [IoSlice::new(b"a "), IoSlice::new(b"record")];
//! raw::write(&socket, b"a record")?;
//! raw::write_vectored(&socket, &slices)?;
//! raw::send(&socket, b"a record")?;
//! raw::send_with_flags(&socket, b"a record", libc::MSG_DONTWAIT)?;
//! raw::send_vectored(&socket, &slices)?;
//! raw::send_vectored_with_flags(&socket, &slices, libc::MSG_DONTWAIT)?;
//! raw::sendmsg(&socket, &MsgHdr::new().with_buffers(&slices), 0)?;
//!
//! drop(peer);
//! let error = raw::write_vectored(&socket, &slices).unwrap_err();
//! assert_eq!(error.raw_os_error(), Some(libc::EPIPE));
//! # Ok(())
//! # }
//! # #[cfg(not(unix))]
//! # fn main() {}
//! ```
//!
//! Datagrams and their addresses:
//!
//! ```
//! # #[cfg(unix)]
//! # fn main() -> std::io::Result<()> {
//! use std::io::IoSlice;
//! use std::net::UdpSocket;
//!
//! use epipe::raw;
//! use epipe::socket2::{Domain, SockAddr, Type};
//!
//! let server = UdpSocket::bind("127.0.0.1:0")?;
//! let address = SockAddr::from(server.local_addr()?);
//! let socket = raw::socket(Domain::IPV4, Type::DGRAM, None)?;
//! let slices = [IoSlice::new(b"a "), IoSlice::new(b"record")];
//! raw::send_to(&socket, b"a record", &address)?;
//! raw::send_to_with_flags(&socket, b"a record", &address, libc::MSG_DONTWAIT)?;
//! raw::send_to_vectored(&socket, &slices, &address)?;
//! raw::send_to_vectored_with_flags(&socket, &slices, &address, libc::MSG_DONTWAIT)?;
//! # Ok(())
//! # }
//! # #[cfg(not(unix))]
//! # fn main() {}
//! ```
//!
//! # Errors
//!
//! Those of the system call, unchanged. A peer that is gone is
//! [`ErrorKind::BrokenPipe`](std::io::ErrorKind::BrokenPipe) (`EPIPE`).
//!
//! A socket reports an ICMP error once. Two of them ("protocol not available" and "operation not
//! supported") look like a refusal of the flag. If no descriptor is left, or a sandbox forbids to
//! make a socket or a pipe, this crate cannot distinguish the two cases. It then repeats the call
//! without the flag, and the error can be lost.
//!
//! # Signal handlers and forked children
//!
//! [`write`](write()), [`write_vectored`] and the `send` functions are async-signal-safe. A signal
//! handler may call them at any point of the code that it interrupts. So may a forked child (not
//! after `vfork`). They wait for nothing that the interrupted code holds, allocate nothing and use
//! no thread-local.
//!
//! # Platforms
//!
//! These functions remember nothing between two calls.
//!
//! * **Apple**: each call asks whether the socket has `SO_NOSIGPIPE`, and sets it otherwise.
//! * **FreeBSD**: `sendfile` does the same.
//! * **Apple and NetBSD**: `write` sets `F_SETNOSIGPIPE`, which every duplicate of the descriptor
//!   shares.
//!
//! On these systems descriptors 0 to 2 are never changed. A write to one of them runs under the
//! guard, unless a flag of the call itself protects.
//!
//! # Limits
//!
//! On Apple a write is two or three system calls: the first ones check and set the option, or set
//! the flag. The last one writes.
//! In between, another thread may put another pipe in the descriptor's place (`dup2`), or other
//! code may clear the flag. Then that write kills. Where this may happen, write under a
//! [`guard`](crate::sigpipe::guard()).

#[cfg(has_socket2)]
mod socket;

#[cfg(has_fd)]
use {crate::sys::pipe, std::io::IoSlice, std::io::Result, std::os::fd::AsFd};

#[cfg(has_socket2)]
pub use socket::*;

/// Writes to a descriptor of any kind. Like `write(2)`.
///
/// # Platforms
///
/// On Linux the first write of a process tests whether `RWF_NOSIGNAL` works. It makes its own pipe
/// for that: see [`verify()`](fn@crate::verify). A sandbox that *kills* on `pipe2` kills then. Call
/// `verify()` before you set up such a sandbox.
#[cfg(has_fd)]
#[doc(alias("RWF_NOSIGNAL", "pwritev2", "F_SETNOSIGPIPE"))]
pub fn write(fd: impl AsFd, buf: &[u8]) -> Result<usize> {
    pipe::write(fd.as_fd(), buf)
}

/// Writes several slices to a descriptor of any kind. Like `writev(2)`.
///
/// Slices beyond the system's limit are cut, as std cuts them.
#[cfg(has_fd)]
#[doc(alias = "writev")]
pub fn write_vectored(fd: impl AsFd, bufs: &[IoSlice<'_>]) -> Result<usize> {
    pipe::write_vectored(fd.as_fd(), bufs)
}
