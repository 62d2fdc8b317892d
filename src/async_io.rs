//! `async_io::Async` around the types of this crate.

#![allow(unsafe_code, reason = "the trait is a promise")]

use ::async_io::IoSafe;

use crate::{NoSigpipe, Socket, io, net};

// SAFETY: the read and write of each of these call the system by a shared reference, and drop
// nothing.
unsafe impl IoSafe for net::TcpStream {}
// SAFETY: as above.
unsafe impl IoSafe for Socket {}
// SAFETY: as above.
unsafe impl IoSafe for io::PipeReader {}
// SAFETY: as above.
unsafe impl IoSafe for io::PipeWriter {}

// SAFETY: as above.
#[cfg(unix)]
unsafe impl IoSafe for crate::os::unix::net::UnixStream {}

// SAFETY: read, write and seek are either the handle's own, for which it promises, or write to its
// borrowed descriptor; the handle is never moved.
unsafe impl<T: IoSafe> IoSafe for NoSigpipe<T> {}
