use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use crate::macros::{debug_by_inner, mirror};
#[cfg(has_udp_connreset)]
use crate::sys;
use crate::sys::{handle, socket};

/// A UDP socket that reports a vanished peer as an error, never as a signal.
///
/// Mirrors [`std::net::UdpSocket`].
///
/// # A client that has vanished
///
/// A datagram without a receiver may draw an answer (ICMP), which is an error of a *later* call. On
/// Unix only a connected socket reports it (on Linux any with `IP_RECVERR`), as
/// `ConnectionRefused`: the next datagram may find a receiver again. On Windows a receive of any
/// socket would fail. This type turns that off (`SIO_UDP_CONNRESET`, `SIO_UDP_NETRESET`), for a
/// connected socket too. Where that is refused, as on Wine, it stays.
///
/// # Limits
///
/// `into_unprotected`, `Into` std's or socket2's type, `Into<OwnedFd>` and `into_raw_fd` end the
/// protection.
pub struct UdpSocket {
    inner: std::net::UdpSocket,
}

impl UdpSocket {
    #[inline]
    fn adopt(inner: std::net::UdpSocket) -> UdpSocket {
        // What is refused stays as it was.
        #[cfg(has_udp_connreset)]
        let _ = sys::udp_connreset::set(&inner, false);
        socket::adopt(&inner);
        UdpSocket { inner }
    }

    /// Mirrors [`std::net::UdpSocket::bind`].
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<UdpSocket> {
        std::net::UdpSocket::bind(addr).map(UdpSocket::from)
    }

    /// Mirrors [`std::net::UdpSocket::try_clone`].
    pub fn try_clone(&self) -> io::Result<UdpSocket> {
        let inner = self.inner.try_clone()?;
        // Not by `adopt`: it is the same socket, and what is reported to it stays as it was set.
        socket::adopt(&inner);
        Ok(UdpSocket { inner })
    }

    /// Mirrors [`std::net::UdpSocket::send`].
    #[inline]
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        #[cfg(sigpipe)]
        return socket::write(&self.inner, buf);
        #[cfg(not(sigpipe))]
        self.inner.send(buf)
    }

    /// Mirrors [`std::net::UdpSocket::send_to`].
    pub fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], addr: A) -> io::Result<usize> {
        #[cfg(sigpipe)]
        if let Some(addr) = addr.to_socket_addrs()?.next() {
            return socket::send_to(&self.inner, buf, &addr.into());
        }
        // Also std's own error where there is no address.
        self.inner.send_to(buf, addr)
    }

    /// Whether a receive fails with `ConnectionReset` after a datagram without a receiver. Adopting
    /// a socket turns it off: otherwise one vanished client would fail the receive of all.
    ///
    /// # Errors
    ///
    /// What `WSAIoctl` reports; Wine does not know it.
    #[cfg(has_udp_connreset)]
    pub fn set_tells_unreachable(&self, on: bool) -> io::Result<()> {
        sys::udp_connreset::set(&self.inner, on)
    }

    mirror! { "std::net::UdpSocket":
        fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)>;
        fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)>;
        fn peer_addr(&self) -> io::Result<SocketAddr>;
        fn local_addr(&self) -> io::Result<SocketAddr>;
        fn set_read_timeout(&self, dur: Option<Duration>) -> io::Result<()>;
        fn set_write_timeout(&self, dur: Option<Duration>) -> io::Result<()>;
        fn read_timeout(&self) -> io::Result<Option<Duration>>;
        fn write_timeout(&self) -> io::Result<Option<Duration>>;
        fn set_broadcast(&self, broadcast: bool) -> io::Result<()>;
        fn broadcast(&self) -> io::Result<bool>;
        fn set_multicast_loop_v4(&self, multicast_loop_v4: bool) -> io::Result<()>;
        fn multicast_loop_v4(&self) -> io::Result<bool>;
        fn set_multicast_ttl_v4(&self, multicast_ttl_v4: u32) -> io::Result<()>;
        fn multicast_ttl_v4(&self) -> io::Result<u32>;
        fn set_multicast_loop_v6(&self, multicast_loop_v6: bool) -> io::Result<()>;
        fn multicast_loop_v6(&self) -> io::Result<bool>;
        fn set_ttl(&self, ttl: u32) -> io::Result<()>;
        fn ttl(&self) -> io::Result<u32>;
        fn join_multicast_v4(&self, multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()>;
        fn join_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()>;
        fn leave_multicast_v4(&self, multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()>;
        fn leave_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()>;
        fn take_error(&self) -> io::Result<Option<io::Error>>;
        fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()>;
        fn recv(&self, buf: &mut [u8]) -> io::Result<usize>;
        fn peek(&self, buf: &mut [u8]) -> io::Result<usize>;
        fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;
    }
}

debug_by_inner!(UdpSocket);
handle::net_conversions!(UdpSocket, std::net::UdpSocket);
