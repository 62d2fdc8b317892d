//! Unix sockets that report a vanished peer as an error, never as a signal.
//!
//! Like [`std::os::unix::net`]: the socket types are ours, and the other names are std's.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! use std::io::{ErrorKind, Write};
//!
//! use epipe::os::unix::net::UnixStream; // was: std::os::unix::net
//!
//! let (mut stream, peer) = UnixStream::pair()?;
//! drop(peer);
//! let error = stream.write(b"a line\n").unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::BrokenPipe);
//! # Ok(())
//! # }
//! ```
//!
//! The user of the process at the other end, on systems that report it:
//!
//! ```
//! # #[cfg(any(target_os = "linux", target_vendor = "apple"))]
//! # fn main() -> std::io::Result<()> {
//! use epipe::os::unix::net::{UCred, UnixStream};
//!
//! let (stream, _peer) = UnixStream::pair()?;
//! let peer: UCred = stream.peer_cred()?;
//! println!("user {}, group {}, process {:?}", peer.uid, peer.gid, peer.pid);
//! # Ok(())
//! # }
//! # #[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
//! # fn main() {}
//! ```

mod unix_datagram;
mod unix_listener;
mod unix_stream;

#[doc(no_inline)]
pub use std::os::unix::net::SocketAddr;

pub use unix_datagram::UnixDatagram;
pub use unix_listener::{Incoming, UnixListener};
pub use unix_stream::UnixStream;

#[cfg(has_peer_cred)]
pub use crate::sys::option::UCred;
