use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use crate::macros::{debug_by_inner, mirror};
#[cfg(has_udp_connreset)]
use crate::sys;
use crate::sys::{handle, socket};

/// A UDP socket that reports a vanished peer as an error, never as a signal.
///
/// Like [`std::net::UdpSocket`].
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use std::time::Duration;
///
/// use epipe::net::UdpSocket;
///
/// let server = UdpSocket::bind("127.0.0.1:0")?;
/// let client = UdpSocket::bind("127.0.0.1:0")?;
/// client.connect(server.local_addr()?)?; // `send` and `recv` need a peer
/// client.send(b"a question")?;
///
/// let mut buffer = [0; 1500];
/// server.set_read_timeout(Some(Duration::from_secs(5)))?;
/// server.peek_from(&mut buffer)?; // the datagram stays in the queue
/// let (length, sender) = server.recv_from(&mut buffer)?;
/// server.send_to(&buffer[..length], sender)?;
///
/// client.peek(&mut buffer)?;
/// let length = client.recv(&mut buffer)?;
/// assert_eq!(&buffer[..length], b"a question");
/// assert_eq!(client.peer_addr()?, server.local_addr()?);
///
/// // For code that asks for std's type. **The protection ends here.**
/// let unprotected: std::net::UdpSocket = client.into_unprotected();
/// # drop(unprotected);
/// # Ok(())
/// # }
/// ```
///
/// Options:
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use std::time::Duration;
///
/// use epipe::net::UdpSocket;
///
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// socket.set_write_timeout(Some(Duration::from_secs(1)))?;
/// socket.set_broadcast(true)?;
/// socket.set_ttl(64)?;
/// assert!(socket.write_timeout()?.is_some() && socket.read_timeout()?.is_none());
/// assert!(socket.broadcast()? && socket.ttl()? == 64);
/// println!("stored error: {:?}", socket.take_error()?);
/// let other = socket.try_clone()?; // for another thread
/// other.set_nonblocking(true)?; // for both handles
/// # Ok(())
/// # }
/// ```
///
/// Multicast:
///
/// ```no_run
/// # fn main() -> std::io::Result<()> {
/// use epipe::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
///
/// let group = Ipv4Addr::new(224, 0, 0, 251);
/// let socket = UdpSocket::bind("0.0.0.0:5353")?;
/// socket.join_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED)?;
/// socket.set_multicast_loop_v4(false)?; // this machine does not receive its own
/// socket.set_multicast_ttl_v4(1)?; // no router passes it on
/// assert!(!socket.multicast_loop_v4()? && socket.multicast_ttl_v4()? == 1);
/// socket.leave_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED)?;
///
/// let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
/// let socket = UdpSocket::bind("[::]:5353")?;
/// socket.join_multicast_v6(&group, 0)?; // 0: the system chooses the interface
/// socket.set_multicast_loop_v6(false)?;
/// assert!(!socket.multicast_loop_v6()?);
/// socket.leave_multicast_v6(&group, 0)?;
/// # Ok(())
/// # }
/// ```
///
/// # A client that has vanished
///
/// A datagram without a receiver may cause an ICMP answer. The system reports it as the error of a
/// *later* call.
///
/// * **Unix**: only a connected socket reports it, as `ConnectionRefused`. On Linux every socket
///   with `IP_RECVERR` does. The next datagram may find a receiver again.
/// * **Windows**: a receive of any socket would fail. This type turns that off
///   (`SIO_UDP_CONNRESET`, `SIO_UDP_NETRESET`), also for a connected socket. Wine refuses these
///   codes, and there the receive still fails.
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
        // If the system refuses it, the socket works as std's does.
        #[cfg(has_udp_connreset)]
        let _ = sys::udp_connreset::set(&inner, false);
        socket::adopt(&inner);
        UdpSocket { inner }
    }

    /// Creates a socket that is bound to an address. Like [`std::net::UdpSocket::bind`].
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<UdpSocket> {
        std::net::UdpSocket::bind(addr).map(UdpSocket::from)
    }

    /// Makes a second handle to the same socket. Like [`std::net::UdpSocket::try_clone`].
    pub fn try_clone(&self) -> io::Result<UdpSocket> {
        let inner = self.inner.try_clone()?;
        // Not `adopt`: this is the same socket, and keeps the choice of `set_reports_unreachable`.
        socket::adopt(&inner);
        Ok(UdpSocket { inner })
    }

    /// Sends a datagram to the connected address. Like [`std::net::UdpSocket::send`].
    #[inline]
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        #[cfg(sigpipe)]
        return socket::write(&self.inner, buf);
        #[cfg(not(sigpipe))]
        self.inner.send(buf)
    }

    /// Sends a datagram to an address. Like [`std::net::UdpSocket::send_to`].
    pub fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], addr: A) -> io::Result<usize> {
        #[cfg(sigpipe)]
        if let Some(addr) = addr.to_socket_addrs()?.next() {
            return socket::send_to(&self.inner, buf, &addr.into());
        }
        // Without an address, this returns std's own error.
        self.inner.send_to(buf, addr)
    }

    /// Sets whether a receive fails with `ConnectionReset` after a datagram without a receiver.
    ///
    /// Adoption turns it off. Otherwise one vanished client would fail the receive that all clients
    /// share.
    ///
    /// ```
    /// # let socket = epipe::net::UdpSocket::bind("127.0.0.1:0")?;
    /// socket.set_reports_unreachable(true)?; // as std's socket does
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of `WSAIoctl`. Wine does not know these codes.
    #[cfg(has_udp_connreset)]
    #[doc(alias("SIO_UDP_CONNRESET", "SIO_UDP_NETRESET"))]
    pub fn set_reports_unreachable(&self, on: bool) -> io::Result<()> {
        sys::udp_connreset::set(&self.inner, on)
    }

    mirror! { "std::net::UdpSocket":
        /// Receives a datagram and the address of its sender.
        fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)>;
        /// Receives a datagram and the address of its sender, and leaves it in the queue.
        fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)>;
        /// Returns the connected address.
        fn peer_addr(&self) -> io::Result<SocketAddr>;
        /// Returns the address of this end.
        fn local_addr(&self) -> io::Result<SocketAddr>;
        /// Sets how long a receive waits. `None` means without limit.
        fn set_read_timeout(&self, dur: Option<Duration>) -> io::Result<()>;
        /// Sets how long a send waits. `None` means without limit.
        fn set_write_timeout(&self, dur: Option<Duration>) -> io::Result<()>;
        /// Returns how long a receive waits.
        fn read_timeout(&self) -> io::Result<Option<Duration>>;
        /// Returns how long a send waits.
        fn write_timeout(&self) -> io::Result<Option<Duration>>;
        /// Allows or forbids a send to a broadcast address (`SO_BROADCAST`).
        fn set_broadcast(&self, broadcast: bool) -> io::Result<()>;
        /// Returns whether a send to a broadcast address is allowed (`SO_BROADCAST`).
        fn broadcast(&self) -> io::Result<bool>;
        /// Sets whether this machine receives its own IPv4 multicast.
        fn set_multicast_loop_v4(&self, multicast_loop_v4: bool) -> io::Result<()>;
        /// Returns whether this machine receives its own IPv4 multicast.
        fn multicast_loop_v4(&self) -> io::Result<bool>;
        /// Sets the time to live of IPv4 multicast datagrams (`IP_MULTICAST_TTL`).
        fn set_multicast_ttl_v4(&self, multicast_ttl_v4: u32) -> io::Result<()>;
        /// Returns the time to live of IPv4 multicast datagrams (`IP_MULTICAST_TTL`).
        fn multicast_ttl_v4(&self) -> io::Result<u32>;
        /// Sets whether this machine receives its own IPv6 multicast.
        fn set_multicast_loop_v6(&self, multicast_loop_v6: bool) -> io::Result<()>;
        /// Returns whether this machine receives its own IPv6 multicast.
        fn multicast_loop_v6(&self) -> io::Result<bool>;
        /// Sets the time to live of sent packets (`IP_TTL`).
        fn set_ttl(&self, ttl: u32) -> io::Result<()>;
        /// Returns the time to live of sent packets (`IP_TTL`).
        fn ttl(&self) -> io::Result<u32>;
        /// Joins an IPv4 multicast group (`IP_ADD_MEMBERSHIP`).
        fn join_multicast_v4(&self, multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()>;
        /// Joins an IPv6 multicast group (`IPV6_ADD_MEMBERSHIP`).
        fn join_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()>;
        /// Leaves an IPv4 multicast group (`IP_DROP_MEMBERSHIP`).
        fn leave_multicast_v4(&self, multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()>;
        /// Leaves an IPv6 multicast group (`IPV6_DROP_MEMBERSHIP`).
        fn leave_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()>;
        /// Takes the error that the socket has stored (`SO_ERROR`).
        fn take_error(&self) -> io::Result<Option<io::Error>>;
        /// Sets the address that `send` sends to, and that `recv` receives from.
        fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()>;
        /// Receives a datagram from the connected address.
        fn recv(&self, buf: &mut [u8]) -> io::Result<usize>;
        /// Receives a datagram from the connected address, and leaves it in the queue.
        fn peek(&self, buf: &mut [u8]) -> io::Result<usize>;
        /// Turns non-blocking mode on or off. Every handle to this socket shares it.
        fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;
    }
}

debug_by_inner!(UdpSocket);
handle::net_conversions!(UdpSocket, std::net::UdpSocket);
