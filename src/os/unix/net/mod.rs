//! Like [`std::os::unix::net`]: the socket types are ours, the rest is re-exported.

mod unix_datagram;
mod unix_listener;
mod unix_stream;

pub use std::os::unix::net::SocketAddr;

pub use unix_datagram::UnixDatagram;
pub use unix_listener::{Incoming, UnixListener};
pub use unix_stream::UnixStream;

#[cfg(has_peer_cred)]
pub use crate::sys::option::UCred;
