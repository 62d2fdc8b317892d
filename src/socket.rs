use std::ffi::c_int;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Type};
#[cfg(has_sendmsg)]
use socket2::{MaybeUninitSlice, RecvFlags};

use crate::macros::{debug_by_inner, mirror, read_by_inner, write_by_own};
use crate::sys::{handle, socket};

/// A socket of any family that reports a vanished peer as an error, never as a signal.
///
/// Mirrors the life and the calls of [`socket2::Socket`]: creation, accept, and everything
/// that sends or receives. Options are set through [`socket2::SockRef`], which takes any type
/// of this crate:
///
/// ```
/// use epipe::Socket;
/// use epipe::socket2::{Domain, SockRef, Type};
///
/// let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
/// SockRef::from(&socket).set_reuse_address(true)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Limits
///
/// `Into` socket2's or std's types, `Into<OwnedFd>` and `into_raw_fd` end the protection, and the
/// sending methods of a `SockRef` are not protected.
pub struct Socket {
    inner: socket2::Socket,
}

impl Socket {
    #[inline]
    fn adopt(inner: socket2::Socket) -> Socket {
        socket::adopt(&inner);
        Socket { inner }
    }

    /// Mirrors [`socket2::Socket::new`].
    pub fn new(domain: Domain, ty: Type, protocol: Option<Protocol>) -> io::Result<Socket> {
        socket2::Socket::new(domain, ty, protocol).map(Socket::from)
    }

    /// Mirrors [`socket2::Socket::new_raw`]: not close-on-exec, but protected.
    pub fn new_raw(domain: Domain, ty: Type, protocol: Option<Protocol>) -> io::Result<Socket> {
        socket2::Socket::new_raw(domain, ty, protocol).map(Socket::from)
    }

    /// Mirrors [`socket2::Socket::pair`].
    #[cfg(unix)]
    pub fn pair(
        domain: Domain,
        ty: Type,
        protocol: Option<Protocol>,
    ) -> io::Result<(Socket, Socket)> {
        socket2::Socket::pair(domain, ty, protocol).map(|(a, b)| (a.into(), b.into()))
    }

    /// Mirrors [`socket2::Socket::pair_raw`]: not close-on-exec, but protected.
    #[cfg(unix)]
    pub fn pair_raw(
        domain: Domain,
        ty: Type,
        protocol: Option<Protocol>,
    ) -> io::Result<(Socket, Socket)> {
        socket2::Socket::pair_raw(domain, ty, protocol).map(|(a, b)| (a.into(), b.into()))
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

    mirror! { "socket2::Socket":
        fn bind(&self, address: &SockAddr) -> io::Result<()>;
        fn connect(&self, address: &SockAddr) -> io::Result<()>;
        fn connect_timeout(&self, addr: &SockAddr, timeout: Duration) -> io::Result<()>;
        fn listen(&self, backlog: c_int) -> io::Result<()>;
        fn local_addr(&self) -> io::Result<SockAddr>;
        fn peer_addr(&self) -> io::Result<SockAddr>;
        fn shutdown(&self, how: Shutdown) -> io::Result<()>;
        fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;
        fn take_error(&self) -> io::Result<Option<io::Error>>;
        fn recv(&self, buf: &mut [MaybeUninit<u8>]) -> io::Result<usize>;
        fn recv_with_flags(&self, buf: &mut [MaybeUninit<u8>], flags: c_int) -> io::Result<usize>;
        fn recv_from(&self, buf: &mut [MaybeUninit<u8>]) -> io::Result<(usize, SockAddr)>;
        fn recv_from_with_flags(&self, buf: &mut [MaybeUninit<u8>], flags: c_int)
            -> io::Result<(usize, SockAddr)>;
        fn peek(&self, buf: &mut [MaybeUninit<u8>]) -> io::Result<usize>;
        fn peek_from(&self, buf: &mut [MaybeUninit<u8>]) -> io::Result<(usize, SockAddr)>;
        fn peek_sender(&self) -> io::Result<SockAddr>;
        ///
        /// [`socket2::Socket::r#type`]: socket2::Socket::type
        fn r#type(&self) -> io::Result<Type>;
        #[cfg(has_nonblocking)]
        fn nonblocking(&self) -> io::Result<bool>;
        #[cfg(has_out_of_band)]
        fn recv_out_of_band(&self, buf: &mut [MaybeUninit<u8>]) -> io::Result<usize>;
        #[cfg(has_sendmsg)]
        fn recv_vectored(&self, bufs: &mut [MaybeUninitSlice<'_>])
            -> io::Result<(usize, RecvFlags)>;
        #[cfg(has_sendmsg)]
        fn recv_vectored_with_flags(&self, bufs: &mut [MaybeUninitSlice<'_>], flags: c_int)
            -> io::Result<(usize, RecvFlags)>;
        #[cfg(has_sendmsg)]
        fn recv_from_vectored(&self, bufs: &mut [MaybeUninitSlice<'_>])
            -> io::Result<(usize, RecvFlags, SockAddr)>;
        #[cfg(has_sendmsg)]
        fn recv_from_vectored_with_flags(&self, bufs: &mut [MaybeUninitSlice<'_>], flags: c_int)
            -> io::Result<(usize, RecvFlags, SockAddr)>;
        #[cfg(has_recvmsg)]
        fn recvmsg(&self, msg: &mut socket2::MsgHdrMut<'_, '_, '_>, flags: c_int)
            -> io::Result<usize>;
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
    /// # fn f(socket: epipe::Socket) -> std::io::Result<()> {
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
    pub fn sendmsg(&self, msg: &socket2::MsgHdr<'_, '_, '_>, flags: c_int) -> io::Result<usize> {
        let call = |added| self.inner.sendmsg(msg, flags | added);
        socket::send(&self.inner, || crate::sys::UNKNOWN_LENGTH, call)
    }
}

read_by_inner!(Socket);
write_by_own!(Socket);
debug_by_inner!(Socket);
handle::conversions!(socket Socket, socket2::Socket);
