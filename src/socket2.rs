//! Sockets of any family that report a vanished peer as an error, never as a signal.
//!
//! Like the crate [`socket2`]: [`Socket`] and [`SockRef`] are ours, and the other names are
//! socket2's.
//!
//! Both types lend socket2's own `Socket` by `Deref`, for its options and its receiving methods.
//! They replace every method that sends or returns another socket.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! use epipe::net::{SocketAddr, TcpListener, TcpStream};
//! use epipe::socket2::{Domain, SockRef, Socket, Type}; // was: socket2
//!
//! let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
//! socket.set_reuse_address(true)?;
//! socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
//! socket.listen(128)?;
//! let listener = TcpListener::from(socket); // keeps the protection
//!
//! let stream = TcpStream::connect(listener.local_addr()?)?;
//! SockRef::from(&stream).set_keepalive(true)?;
//! SockRef::from(&stream).send(b"a record")?; // protected
//! # Ok(())
//! # }
//! ```

use std::ffi::c_int;
use std::fmt;
use std::io::{self, IoSlice};
use std::ops::Deref;

#[cfg(has_ccid)]
#[doc(no_inline)]
pub use ::socket2::CcidEndpoints;
#[cfg(has_interface_address)]
#[doc(no_inline)]
pub use ::socket2::InterfaceIndexOrAddress;
#[cfg(has_sock_filter)]
#[doc(no_inline)]
pub use ::socket2::SockFilter;
#[doc(no_inline)]
pub use ::socket2::{
    Domain, Protocol, SockAddr, SockAddrStorage, TcpKeepalive, Type, sa_family_t, socklen_t,
};
#[cfg(has_sendmsg)]
#[doc(no_inline)]
pub use ::socket2::{MaybeUninitSlice, MsgHdr, MsgHdrMut, RecvFlags};

use crate::macros::{debug_by_inner, mirror, read_by_inner, write_by_own};
use crate::sys::handle::{self, AsSocket, transparent};
use crate::sys::socket;

transparent! {
    /// A socket of any family that reports a vanished peer as an error, never as a signal.
    ///
    /// Like [`socket2::Socket`], which it lends by `Deref`. You can call every method of it, and
    /// those that send are protected.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use std::net::{Shutdown, SocketAddr};
    ///
    /// use epipe::socket2::{Domain, Protocol, Socket, Type};
    ///
    /// let listener = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    /// listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    /// listener.listen(128)?;
    ///
    /// let client = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    /// client.set_recv_buffer_size(1 << 16)?; // socket2's own method
    /// client.connect(&listener.local_addr()?)?;
    /// let (server, client_address) = listener.accept()?; // protected too
    /// println!("{:?} is connected to {:?}", client.peer_addr()?, client_address);
    /// client.send(b"a record")?;
    /// client.send_out_of_band(b"!")?; // one urgent byte
    ///
    /// let other = client.try_clone()?; // for another thread
    /// other.set_nonblocking(true)?; // for both handles
    /// client.shutdown(Shutdown::Write)?;
    /// assert!(other.send(b"more").is_err()); // EPIPE on Unix
    ///
    /// // For code that asks for socket2's type. **The protection ends here.**
    /// let unprotected: socket2::Socket = other.into_unprotected();
    /// # drop(unprotected);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Several slices, and flags:
    ///
    /// ```
    /// # #[cfg(unix)]
    /// # fn main() -> std::io::Result<()> {
    /// use std::io::IoSlice;
    ///
    /// use epipe::socket2::{Domain, MsgHdr, Socket, Type};
    ///
    /// let (socket, peer) = Socket::pair(Domain::UNIX, Type::STREAM, None)?;
    /// let slices = [IoSlice::new(b"a "), IoSlice::new(b"record")];
    /// socket.send_with_flags(b"a record", libc::MSG_DONTWAIT)?;
    /// socket.send_vectored(&slices)?;
    /// socket.send_vectored_with_flags(&slices, libc::MSG_DONTWAIT)?;
    /// socket.sendmsg(&MsgHdr::new().with_buffers(&slices), 0)?;
    /// # Ok(())
    /// # }
    /// # #[cfg(not(unix))]
    /// # fn main() {}
    /// ```
    ///
    /// Datagrams and their addresses:
    ///
    /// ```
    /// # #[cfg(unix)]
    /// # fn main() -> std::io::Result<()> {
    /// use std::io::IoSlice;
    ///
    /// use epipe::socket2::{Domain, SockAddr, Socket, Type};
    ///
    /// let server = epipe::net::UdpSocket::bind("127.0.0.1:0")?;
    /// let address = SockAddr::from(server.local_addr()?);
    /// let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    /// let slices = [IoSlice::new(b"a "), IoSlice::new(b"record")];
    /// socket.send_to(b"a record", &address)?;
    /// socket.send_to_with_flags(b"a record", &address, libc::MSG_DONTWAIT)?;
    /// socket.send_to_vectored(&slices, &address)?;
    /// socket.send_to_vectored_with_flags(&slices, &address, libc::MSG_DONTWAIT)?;
    /// # Ok(())
    /// # }
    /// # #[cfg(not(unix))]
    /// # fn main() {}
    /// ```
    ///
    /// Sockets that a child process inherits, for they are not close-on-exec:
    ///
    /// ```no_run
    /// # #[cfg(unix)]
    /// # fn main() -> std::io::Result<()> {
    /// use epipe::socket2::{Domain, Socket, Type};
    ///
    /// let listener = Socket::new_raw(Domain::IPV4, Type::STREAM, None)?;
    /// let (ours, childs) = Socket::pair_raw(Domain::UNIX, Type::STREAM, None)?;
    /// listener.listen(128)?;
    /// let (stream, _) = listener.accept_raw()?;
    /// # Ok(())
    /// # }
    /// # #[cfg(not(unix))]
    /// # fn main() {}
    /// ```
    ///
    /// # Limits
    ///
    /// [`into_unprotected`](Socket::into_unprotected), `Into` socket2's or std's types,
    /// `Into<OwnedFd>` and `into_raw_fd` end the protection. So does `&*socket`: a function that
    /// takes `&socket2::Socket` also accepts `&ours`, and the bytes that it sends are not
    /// protected.
    Socket, ::socket2::Socket
}

impl Deref for Socket {
    type Target = ::socket2::Socket;

    #[inline]
    fn deref(&self) -> &::socket2::Socket {
        &self.inner
    }
}

impl Socket {
    #[inline]
    fn adopt(inner: ::socket2::Socket) -> Socket {
        socket::adopt(&inner);
        Socket { inner }
    }

    /// Creates a socket, close-on-exec. Like [`socket2::Socket::new`].
    pub fn new(domain: Domain, ty: Type, protocol: Option<Protocol>) -> io::Result<Socket> {
        ::socket2::Socket::new(domain, ty, protocol).map(Socket::from)
    }

    /// Creates a socket that is protected, but not close-on-exec. Like
    /// [`socket2::Socket::new_raw`].
    pub fn new_raw(domain: Domain, ty: Type, protocol: Option<Protocol>) -> io::Result<Socket> {
        ::socket2::Socket::new_raw(domain, ty, protocol).map(Socket::from)
    }

    /// Creates two connected sockets, close-on-exec. Like [`socket2::Socket::pair`].
    #[cfg(unix)]
    pub fn pair(
        domain: Domain,
        ty: Type,
        protocol: Option<Protocol>,
    ) -> io::Result<(Socket, Socket)> {
        ::socket2::Socket::pair(domain, ty, protocol).map(|(a, b)| (a.into(), b.into()))
    }

    /// Creates two connected sockets that are protected, but not close-on-exec. Like
    /// [`socket2::Socket::pair_raw`].
    #[cfg(unix)]
    pub fn pair_raw(
        domain: Domain,
        ty: Type,
        protocol: Option<Protocol>,
    ) -> io::Result<(Socket, Socket)> {
        ::socket2::Socket::pair_raw(domain, ty, protocol).map(|(a, b)| (a.into(), b.into()))
    }

    /// Waits for a client, and returns its socket and address. Like
    /// [`socket2::Socket::accept`].
    #[inline]
    pub fn accept(&self) -> io::Result<(Socket, SockAddr)> {
        self.inner.accept().map(|(socket, addr)| (socket.into(), addr))
    }

    /// Waits for a client, whose socket is protected, but not close-on-exec. Like
    /// [`socket2::Socket::accept_raw`].
    pub fn accept_raw(&self) -> io::Result<(Socket, SockAddr)> {
        self.inner.accept_raw().map(|(socket, addr)| (socket.into(), addr))
    }

    /// Makes a second handle to the same socket. Like [`socket2::Socket::try_clone`].
    #[cfg(has_try_clone)]
    pub fn try_clone(&self) -> io::Result<Socket> {
        self.inner.try_clone().map(Socket::from)
    }

    /// Waits for a client, and sets flags on its socket. Like `socket2::Socket::accept4`.
    ///
    /// ```no_run
    /// # #[cfg(target_os = "linux")]
    /// # fn f(listener: &epipe::socket2::Socket) -> std::io::Result<()> {
    /// let (socket, address) = listener.accept4(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK)?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(has_accept4)]
    pub fn accept4(&self, flags: c_int) -> io::Result<(Socket, SockAddr)> {
        self.inner.accept4(flags).map(|(socket, addr)| (socket.into(), addr))
    }

    // Without these methods, a user's trait with a method of such a name would call itself. The
    // compiler prefers the trait's method to one that only `Deref` reaches.
    mirror! { "socket2::Socket":
        /// Binds the socket to an address.
        fn bind(&self, address: &SockAddr) -> io::Result<()>;
        /// Connects to an address.
        fn connect(&self, address: &SockAddr) -> io::Result<()>;
        /// Makes the socket accept clients, with a queue of `backlog`.
        fn listen(&self, backlog: c_int) -> io::Result<()>;
        /// Returns the address of this end.
        fn local_addr(&self) -> io::Result<SockAddr>;
        /// Returns the address of the peer.
        fn peer_addr(&self) -> io::Result<SockAddr>;
        /// Closes the reading side, the writing side, or both.
        fn shutdown(&self, how: std::net::Shutdown) -> io::Result<()>;
        /// Turns non-blocking mode on or off. Every handle to this socket shares it.
        fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;
    }

    #[inline]
    fn write_one(&self, buf: &[u8]) -> io::Result<usize> {
        self.send(buf)
    }

    #[cfg(has_sendmsg)]
    #[inline]
    fn write_slices(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send_vectored(bufs)
    }

    /// Sends the first slice that is not empty, as the default `Write::write_vectored` does.
    #[cfg(not(has_sendmsg))]
    #[inline]
    fn write_slices(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send(bufs.iter().find(|buf| !buf.is_empty()).map_or(&[], |buf| buf))
    }

    /// Sends on a connected socket. Like [`socket2::Socket::send`].
    #[doc(alias = "MSG_NOSIGNAL")]
    #[inline]
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.send_with_flags(buf, 0)
    }

    /// Sends on a connected socket, with your flags. Like
    /// [`socket2::Socket::send_with_flags`].
    #[inline]
    pub fn send_with_flags(&self, buf: &[u8], flags: c_int) -> io::Result<usize> {
        let call = |added| self.inner.send_with_flags(buf, flags | added);
        socket::send(&self.inner, || buf.len(), call)
    }

    /// Sends a datagram to an address. Like [`socket2::Socket::send_to`].
    #[doc(alias = "sendto")]
    #[inline]
    pub fn send_to(&self, buf: &[u8], addr: &SockAddr) -> io::Result<usize> {
        self.send_to_with_flags(buf, addr, 0)
    }

    /// Sends a datagram to an address, with your flags. Like
    /// [`socket2::Socket::send_to_with_flags`].
    #[inline]
    pub fn send_to_with_flags(
        &self,
        buf: &[u8],
        addr: &SockAddr,
        flags: c_int,
    ) -> io::Result<usize> {
        let call = |added| self.inner.send_to_with_flags(buf, addr, flags | added);
        socket::send(&self.inner, || buf.len(), call)
    }

    /// Sends bytes, the last of which is urgent data (`MSG_OOB`). Like
    /// [`socket2::Socket::send_out_of_band`].
    #[cfg(has_out_of_band)]
    pub fn send_out_of_band(&self, buf: &[u8]) -> io::Result<usize> {
        self.send_with_flags(buf, crate::sys::option::MSG_OOB)
    }

    /// Sends a part of a file, in one call. Like [`socket2::Socket::sendfile`].
    ///
    /// It takes handles alone: safe code must not lend a number that it does not own.
    ///
    /// ```
    /// # #[cfg(unix)]
    /// # fn main() -> std::io::Result<()> {
    /// # use epipe::socket2::{Domain, Socket, Type};
    /// # let (socket, peer) = Socket::pair(Domain::UNIX, Type::STREAM, None)?;
    /// let file = std::fs::File::open("LICENSE-MIT")?;
    /// let sent = socket.sendfile(&file, 0, None)?; // from byte 0, all that one call takes
    /// # Ok(())
    /// # }
    /// # #[cfg(not(unix))]
    /// # fn main() {}
    /// ```
    ///
    /// ```compile_fail,E0277
    /// # fn f(socket: epipe::socket2::Socket) -> std::io::Result<()> {
    /// socket.sendfile(&3, 0, None)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Platforms
    ///
    /// No flag covers `sendfile` on Linux and Android. It runs under a guard there, which costs
    /// three system calls more. On Apple's systems a peer that is gone is `ENOTCONN`.
    #[cfg(has_sendfile)]
    pub fn sendfile<F: std::os::fd::AsFd>(
        &self,
        file: &F,
        offset: usize,
        length: Option<std::num::NonZeroUsize>,
    ) -> io::Result<usize> {
        crate::sys::sendfile_once(&self.inner, file.as_fd(), offset, length)
    }
}

#[cfg(has_sendmsg)]
impl Socket {
    /// Sends several slices on a connected socket. Like [`socket2::Socket::send_vectored`].
    #[doc(alias = "writev")]
    #[inline]
    pub fn send_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send_vectored_with_flags(bufs, 0)
    }

    /// Sends several slices on a connected socket, with your flags. Like
    /// [`socket2::Socket::send_vectored_with_flags`].
    #[inline]
    pub fn send_vectored_with_flags(
        &self,
        bufs: &[IoSlice<'_>],
        flags: c_int,
    ) -> io::Result<usize> {
        let call = |added| self.inner.send_vectored_with_flags(bufs, flags | added);
        socket::send(&self.inner, || crate::sys::total(bufs), call)
    }

    /// Sends several slices as one datagram to an address. Like
    /// [`socket2::Socket::send_to_vectored`].
    pub fn send_to_vectored(&self, bufs: &[IoSlice<'_>], addr: &SockAddr) -> io::Result<usize> {
        self.send_to_vectored_with_flags(bufs, addr, 0)
    }

    /// Sends several slices as one datagram to an address, with your flags. Like
    /// [`socket2::Socket::send_to_vectored_with_flags`].
    pub fn send_to_vectored_with_flags(
        &self,
        bufs: &[IoSlice<'_>],
        addr: &SockAddr,
        flags: c_int,
    ) -> io::Result<usize> {
        let call = |added| self.inner.send_to_vectored_with_flags(bufs, addr, flags | added);
        socket::send(&self.inner, || crate::sys::total(bufs), call)
    }

    /// Sends slices with an address, control data and flags. Like [`socket2::Socket::sendmsg`].
    pub fn sendmsg(&self, msg: &MsgHdr<'_, '_, '_>, flags: c_int) -> io::Result<usize> {
        let call = |added| self.inner.sendmsg(msg, flags | added);
        socket::send(&self.inner, || crate::sys::UNKNOWN_LENGTH, call)
    }
}

read_by_inner!(Socket);
write_by_own!(Socket);
debug_by_inner!(Socket);
handle::conversions!(socket Socket, ::socket2::Socket);

/// A borrowed socket of any type that reports a vanished peer as an error, never as a signal.
///
/// Like [`socket2::SockRef`]. It sets nothing on the socket before it sends.
///
/// ```
/// use epipe::socket2::SockRef;
///
/// # fn f(stream: &std::net::TcpStream) -> std::io::Result<()> {
/// SockRef::from(stream).send(b"a record")?;
/// # Ok(())
/// # }
/// ```
///
/// # Limits
///
/// It lends socket2's `Socket` by `Deref`, as [`Socket`] does. A send through `&**sock_ref` is not
/// protected.
pub struct SockRef<'s> {
    inner: ::socket2::SockRef<'s>,
}

impl Deref for SockRef<'_> {
    type Target = Socket;

    #[inline]
    fn deref(&self) -> &Socket {
        Socket::from_ref(&self.inner)
    }
}

impl<'s, S: AsSocket> From<&'s S> for SockRef<'s> {
    #[inline]
    fn from(socket: &'s S) -> SockRef<'s> {
        SockRef { inner: socket.into() }
    }
}

impl fmt::Debug for SockRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
