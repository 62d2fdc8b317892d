//! Like the crate [`socket2`]: [`Socket`] and [`SockRef`] are ours, the rest is re-exported.
//!
//! Both borrow socket2's own `Socket` by `Deref`: options, `bind`, `connect`, everything that
//! receives. They replace every method that sends, or that gives another socket.

use std::ffi::c_int;
use std::fmt;
use std::io::{self, IoSlice};
use std::ops::Deref;

#[cfg(has_ccid)]
pub use ::socket2::CcidEndpoints;
#[cfg(has_interface_address)]
pub use ::socket2::InterfaceIndexOrAddress;
#[cfg(has_sock_filter)]
pub use ::socket2::SockFilter;
pub use ::socket2::{
    Domain, Protocol, SockAddr, SockAddrStorage, TcpKeepalive, Type, sa_family_t, socklen_t,
};
#[cfg(has_sendmsg)]
pub use ::socket2::{MaybeUninitSlice, MsgHdr, MsgHdrMut, RecvFlags};

use crate::macros::{debug_by_inner, mirror, read_by_inner, write_by_own};
use crate::sys::handle::{self, AsSocket, transparent};
use crate::sys::socket;

transparent! {
    /// A socket of any family that reports a vanished peer as an error, never as a signal.
    ///
    /// Like [`socket2::Socket`], which it borrows by `Deref`: every method of it can be called, and
    /// those that send are protected.
    ///
    /// ```
    /// use epipe::socket2::{Domain, Socket, Type};
    ///
    /// let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    /// socket.set_reuse_address(true)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Limits
    ///
    /// [`into_unprotected`](Socket::into_unprotected), `Into` socket2's or std's types,
    /// `Into<OwnedFd>` and `into_raw_fd` end the protection. So does `&*socket`: a function that
    /// takes `&socket2::Socket` accepts `&ours`, and what it sends is not protected.
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

    /// Mirrors [`socket2::Socket::new`].
    pub fn new(domain: Domain, ty: Type, protocol: Option<Protocol>) -> io::Result<Socket> {
        ::socket2::Socket::new(domain, ty, protocol).map(Socket::from)
    }

    /// Mirrors [`socket2::Socket::new_raw`]: not close-on-exec, but protected.
    pub fn new_raw(domain: Domain, ty: Type, protocol: Option<Protocol>) -> io::Result<Socket> {
        ::socket2::Socket::new_raw(domain, ty, protocol).map(Socket::from)
    }

    /// Mirrors [`socket2::Socket::pair`].
    #[cfg(unix)]
    pub fn pair(
        domain: Domain,
        ty: Type,
        protocol: Option<Protocol>,
    ) -> io::Result<(Socket, Socket)> {
        ::socket2::Socket::pair(domain, ty, protocol).map(|(a, b)| (a.into(), b.into()))
    }

    /// Mirrors [`socket2::Socket::pair_raw`]: not close-on-exec, but protected.
    #[cfg(unix)]
    pub fn pair_raw(
        domain: Domain,
        ty: Type,
        protocol: Option<Protocol>,
    ) -> io::Result<(Socket, Socket)> {
        ::socket2::Socket::pair_raw(domain, ty, protocol).map(|(a, b)| (a.into(), b.into()))
    }

    /// Mirrors [`socket2::Socket::accept`].
    #[inline]
    pub fn accept(&self) -> io::Result<(Socket, SockAddr)> {
        self.inner.accept().map(|(socket, addr)| (socket.into(), addr))
    }

    /// Mirrors [`socket2::Socket::accept_raw`]: not close-on-exec, but protected.
    pub fn accept_raw(&self) -> io::Result<(Socket, SockAddr)> {
        self.inner.accept_raw().map(|(socket, addr)| (socket.into(), addr))
    }

    /// Mirrors [`socket2::Socket::try_clone`].
    #[cfg(has_try_clone)]
    pub fn try_clone(&self) -> io::Result<Socket> {
        self.inner.try_clone().map(Socket::from)
    }

    /// Accepts a connection, like `socket2::Socket::accept4`: with flags for the new socket.
    #[cfg(has_accept4)]
    pub fn accept4(&self, flags: c_int) -> io::Result<(Socket, SockAddr)> {
        self.inner.accept4(flags).map(|(socket, addr)| (socket.into(), addr))
    }

    // A trait of the user's with a method of this name would call itself: a name that is reached by
    // `Deref` alone comes after it.
    mirror! { "socket2::Socket":
        fn bind(&self, address: &SockAddr) -> io::Result<()>;
        fn connect(&self, address: &SockAddr) -> io::Result<()>;
        fn listen(&self, backlog: c_int) -> io::Result<()>;
        fn local_addr(&self) -> io::Result<SockAddr>;
        fn peer_addr(&self) -> io::Result<SockAddr>;
        fn shutdown(&self, how: std::net::Shutdown) -> io::Result<()>;
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

    /// The first slice that holds anything, as `Write::write_vectored` does by itself.
    #[cfg(not(has_sendmsg))]
    #[inline]
    fn write_slices(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send(bufs.iter().find(|buf| !buf.is_empty()).map_or(&[], |buf| buf))
    }

    /// Mirrors [`socket2::Socket::send`].
    #[inline]
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.send_with_flags(buf, 0)
    }

    /// Mirrors [`socket2::Socket::send_with_flags`].
    #[inline]
    pub fn send_with_flags(&self, buf: &[u8], flags: c_int) -> io::Result<usize> {
        let call = |added| self.inner.send_with_flags(buf, flags | added);
        socket::send(&self.inner, || buf.len(), call)
    }

    /// Mirrors [`socket2::Socket::send_to`].
    #[inline]
    pub fn send_to(&self, buf: &[u8], addr: &SockAddr) -> io::Result<usize> {
        self.send_to_with_flags(buf, addr, 0)
    }

    /// Mirrors [`socket2::Socket::send_to_with_flags`].
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

    /// Mirrors [`socket2::Socket::send_out_of_band`].
    #[cfg(has_out_of_band)]
    pub fn send_out_of_band(&self, buf: &[u8]) -> io::Result<usize> {
        self.send_with_flags(buf, crate::sys::option::MSG_OOB)
    }

    /// Mirrors [`socket2::Socket::sendfile`], but for handles alone: safe code must not lend a
    /// number that it does not own.
    ///
    /// ```compile_fail,E0277
    /// # fn f(socket: epipe::socket2::Socket) -> std::io::Result<()> {
    /// socket.sendfile(&3, 0, None)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Platforms
    ///
    /// No flag covers `sendfile` on Linux and Android: it runs under a guard, three system calls
    /// more. On Apple's systems a peer that is gone is `ENOTCONN`.
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
    /// Mirrors [`socket2::Socket::send_vectored`].
    #[inline]
    pub fn send_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send_vectored_with_flags(bufs, 0)
    }

    /// Mirrors [`socket2::Socket::send_vectored_with_flags`].
    #[inline]
    pub fn send_vectored_with_flags(
        &self,
        bufs: &[IoSlice<'_>],
        flags: c_int,
    ) -> io::Result<usize> {
        let call = |added| self.inner.send_vectored_with_flags(bufs, flags | added);
        socket::send(&self.inner, || crate::sys::total(bufs), call)
    }

    /// Mirrors [`socket2::Socket::send_to_vectored`].
    pub fn send_to_vectored(&self, bufs: &[IoSlice<'_>], addr: &SockAddr) -> io::Result<usize> {
        self.send_to_vectored_with_flags(bufs, addr, 0)
    }

    /// Mirrors [`socket2::Socket::send_to_vectored_with_flags`].
    pub fn send_to_vectored_with_flags(
        &self,
        bufs: &[IoSlice<'_>],
        addr: &SockAddr,
        flags: c_int,
    ) -> io::Result<usize> {
        let call = |added| self.inner.send_to_vectored_with_flags(bufs, addr, flags | added);
        socket::send(&self.inner, || crate::sys::total(bufs), call)
    }

    /// Mirrors [`socket2::Socket::sendmsg`].
    pub fn sendmsg(&self, msg: &MsgHdr<'_, '_, '_>, flags: c_int) -> io::Result<usize> {
        let call = |added| self.inner.sendmsg(msg, flags | added);
        socket::send(&self.inner, || crate::sys::UNKNOWN_LENGTH, call)
    }
}

read_by_inner!(Socket);
write_by_own!(Socket);
debug_by_inner!(Socket);
handle::conversions!(socket Socket, ::socket2::Socket);

/// A borrowed socket, of whatever type, that reports a vanished peer as an error, never as a
/// signal.
///
/// Like [`socket2::SockRef`]. It sets nothing on the socket before it sends.
///
/// # Limits
///
/// It borrows socket2's `Socket` by `Deref`, as [`Socket`] does: what is sent through `&**sock_ref`
/// is not protected.
///
/// ```
/// use epipe::socket2::SockRef;
///
/// # fn f(stream: &std::net::TcpStream) -> std::io::Result<()> {
/// SockRef::from(stream).send(b"a record")?;
/// # Ok(())
/// # }
/// ```
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
