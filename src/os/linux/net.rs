//! Like [`std::os::linux::net`]: TCP options of Linux.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! # let listener = epipe::net::TcpListener::bind("127.0.0.1:0")?;
//! # let address = listener.local_addr()?;
//! use epipe::net::TcpStream;
//! use epipe::os::linux::net::TcpStreamExt; // was: std::os::linux::net
//!
//! let stream = TcpStream::connect(address)?;
//! stream.set_quickack(true)?;
//! # Ok(())
//! # }
//! ```

use std::io;
use std::time::Duration;

use crate::net::TcpStream;
use crate::sys::option;

#[doc(no_inline)]
pub use std::os::linux::net::SocketAddrExt;

mod sealed {
    pub trait Sealed {}
    impl Sealed for crate::net::TcpStream {}
}

/// TCP options of Linux for [`epipe::net::TcpStream`](TcpStream).
///
/// Like `std::os::linux::net::TcpStreamExt` (Rust 1.89). That trait is sealed, so this is a
/// separate one.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # let listener = epipe::net::TcpListener::bind("127.0.0.1:0")?;
/// # let address = listener.local_addr()?;
/// use std::time::Duration;
///
/// use epipe::net::TcpStream;
/// use epipe::os::linux::net::TcpStreamExt;
///
/// let stream = TcpStream::connect(address)?;
/// stream.set_quickack(true)?;
/// stream.set_deferaccept(Duration::from_secs(1))?;
/// println!("{:?} {:?}", stream.quickack()?, stream.deferaccept()?);
/// # Ok(())
/// # }
/// ```
pub trait TcpStreamExt: sealed::Sealed {
    /// Returns whether data is acknowledged at once (`TCP_QUICKACK`).
    #[doc(alias = "TCP_QUICKACK")]
    fn quickack(&self) -> io::Result<bool>;

    /// Sets whether data is acknowledged at once (`TCP_QUICKACK`). The system may turn it off
    /// again.
    #[doc(alias = "TCP_QUICKACK")]
    fn set_quickack(&self, quickack: bool) -> io::Result<()>;

    /// Returns how long a listener waits for data before it wakes up, in whole seconds
    /// (`TCP_DEFER_ACCEPT`).
    ///
    /// std has this as the unstable feature `tcp_deferaccept`. This signature is stable here.
    #[doc(alias = "TCP_DEFER_ACCEPT")]
    fn deferaccept(&self) -> io::Result<Duration>;

    /// Sets how long a listener waits for data before it wakes up, in whole seconds
    /// (`TCP_DEFER_ACCEPT`). The system rounds up to the times at which it would retransmit.
    ///
    /// std has this as the unstable feature `tcp_deferaccept`. This signature is stable here.
    #[doc(alias = "TCP_DEFER_ACCEPT")]
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
