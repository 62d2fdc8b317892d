//! The calls on borrowed handles, protected: for authors of bindings, whose handles belong to
//! somebody else.
//!
//! The callback that a C library calls to write has a descriptor and nothing else. Here are the
//! calls that it makes, by their names in `man 2`, on anything that lends a handle. What cannot
//! raise (bind, listen, connect, shutdown, receive, options) is [`socket2::SockRef`]'s.
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
//! # Errors
//!
//! What the system call reports, untouched:
//! [`ErrorKind::BrokenPipe`](std::io::ErrorKind::BrokenPipe) (`EPIPE`) if the peer is gone.
//!
//! One that a socket reports once (of ICMP, "protocol not available" or "operation not supported")
//! can be lost where no descriptor is left, or a sandbox forbids to make a socket or a pipe. There
//! it cannot be told from a refusal of the flag, and the call is repeated without it.
//!
//! # Signal handlers and forked children
//!
//! [`write`](write()), [`write_vectored`] and the `send` functions are async-signal-safe: a signal
//! handler may call them, whatever it interrupts, and so may a forked child (not after `vfork`).
//! They wait for nothing that the interrupted code holds, allocate nothing and use no thread-local.
//!
//! # Platforms
//!
//! Nothing is remembered between two calls, as of this crate's types. On Apple each call asks
//! whether the socket carries `SO_NOSIGPIPE`, and sets it if not; so does `sendfile` on FreeBSD.
//! `write` on Apple and NetBSD sets `F_SETNOSIGPIPE`, which every duplicate of the descriptor
//! shares. A descriptor from 0 to 2 is never changed, and is written to under the guard.
//!
//! # Limits
//!
//! On Apple two system calls make a write: one sets the option or the flag, the next one writes. If
//! another thread puts another pipe into the descriptor's place in between (`dup2`), or anybody
//! clears the flag, that write kills. Where that may happen, write under a
//! [`guard`](crate::sigpipe::guard()).

#[cfg(has_socket2)]
mod socket;

#[cfg(has_fd)]
use {crate::sys::pipe, std::io::IoSlice, std::io::Result, std::os::fd::AsFd};

#[cfg(has_socket2)]
pub use socket::*;

/// `write(2)` to a descriptor of any kind.
///
/// # Platforms
///
/// On Linux the first write of a process asks whether `RWF_NOSIGNAL` works, on a pipe that it makes
/// itself: see [`verify()`](fn@crate::verify). A sandbox that *kills* on `pipe2` kills there; call
/// `verify()` before it is set up.
#[cfg(has_fd)]
pub fn write(fd: impl AsFd, buf: &[u8]) -> Result<usize> {
    pipe::write(fd.as_fd(), buf)
}

/// `writev(2)` to a descriptor of any kind; slices beyond the system's limit are cut, as std does.
#[cfg(has_fd)]
pub fn write_vectored(fd: impl AsFd, bufs: &[IoSlice<'_>]) -> Result<usize> {
    pipe::write_vectored(fd.as_fd(), bufs)
}
