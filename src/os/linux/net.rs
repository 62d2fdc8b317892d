//! Like [`std::os::linux::net`].

use std::io;
use std::time::Duration;

use crate::net::TcpStream;
use crate::sys::option;

pub use std::os::linux::net::SocketAddrExt;

mod sealed {
    pub trait Sealed {}
    impl Sealed for crate::net::TcpStream {}
}

/// Mirrors `std::os::linux::net::TcpStreamExt` (Rust 1.89), which is sealed: this is a trait
/// of our own, for [`epipe::net::TcpStream`](TcpStream).
pub trait TcpStreamExt: sealed::Sealed {
    /// Whether data is acknowledged at once (`TCP_QUICKACK`). The system turns it off again
    /// by itself.
    fn quickack(&self) -> io::Result<bool>;

    /// Asks for acknowledgement at once (`TCP_QUICKACK`).
    fn set_quickack(&self, quickack: bool) -> io::Result<()>;

    /// How long a listener waits for data before it wakes up (`TCP_DEFER_ACCEPT`), in whole
    /// seconds. Unstable in std as `tcp_deferaccept`; this shape stays.
    fn deferaccept(&self) -> io::Result<Duration>;

    /// Sets how long a listener waits for data before it wakes up (`TCP_DEFER_ACCEPT`), in
    /// whole seconds; the system rounds up to the times at which it would retransmit.
    /// Unstable in std as `tcp_deferaccept`; this shape stays.
    fn set_deferaccept(&self, accept: Duration) -> io::Result<()>;
}

impl TcpStreamExt for TcpStream {
    fn quickack(&self) -> io::Result<bool> {
        socket2::SockRef::from(self).tcp_quickack()
    }

    fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        socket2::SockRef::from(self).set_tcp_quickack(quickack)
    }

    fn deferaccept(&self) -> io::Result<Duration> {
        option::deferaccept(self)
    }

    fn set_deferaccept(&self, accept: Duration) -> io::Result<()> {
        option::set_deferaccept(self, accept)
    }
}
