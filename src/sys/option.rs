//! What std has as unstable or socket2 under another name: by socket2 where it can, by libc
//! where it cannot.

#![allow(unsafe_code, reason = "the value behind a socket option is typed by its name")]

use std::io;
use std::time::Duration;

use cfg_if::cfg_if;

#[cfg(has_handles)]
use super::handle::AsSocket;

cfg_if! {
    if #[cfg(has_socket2)] {
        pub(crate) fn linger(socket: &impl AsSocket) -> io::Result<Option<Duration>> {
            socket2::SockRef::from(socket).linger()
        }

        pub(crate) fn set_linger(socket: &impl AsSocket,
            linger: Option<Duration>,
        ) -> io::Result<()> {
            socket2::SockRef::from(socket).set_linger(linger)
        }
    } else {
        pub(crate) fn linger<S>(_: &S) -> io::Result<Option<Duration>> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) fn set_linger<S>(
            _: &S,
            _: Option<Duration>,
        ) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }
}

cfg_if! {
    if #[cfg(unix)] {
        pub(crate) use libc::MSG_OOB;
    } else if #[cfg(windows)] {
        /// Windows winsock2.h.
        pub(crate) const MSG_OOB: std::ffi::c_int = 1;
    }
}

#[cfg(target_os = "linux")]
pub(crate) fn quickack(socket: &impl AsSocket) -> io::Result<bool> {
    socket2::SockRef::from(socket).tcp_quickack()
}

#[cfg(target_os = "linux")]
pub(crate) fn set_quickack(socket: &impl AsSocket, quickack: bool) -> io::Result<()> {
    socket2::SockRef::from(socket).set_tcp_quickack(quickack)
}

#[cfg(target_os = "linux")]
pub(crate) fn deferaccept(socket: &impl AsSocket) -> io::Result<Duration> {
    // SAFETY: the option's value is an int.
    let seconds: std::ffi::c_int =
        unsafe { get(socket.as_fd(), libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT) }?;
    Ok(Duration::from_secs(seconds.try_into().unwrap_or(0)))
}

#[cfg(target_os = "linux")]
pub(crate) fn set_deferaccept(socket: &impl AsSocket, accept: Duration) -> io::Result<()> {
    let seconds = std::ffi::c_int::try_from(accept.as_secs()).unwrap_or(std::ffi::c_int::MAX);
    // SAFETY: the option's value is an int.
    unsafe { set(socket.as_fd(), libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, &seconds) }
}

cfg_if! {
    if #[cfg(has_mark)] {
        pub(crate) fn set_mark(socket: &impl AsSocket, mark: u32) -> io::Result<()> {
            #[cfg(target_os = "linux")]
            use libc::SO_MARK as MARK;
            #[cfg(target_os = "freebsd")]
            use libc::SO_USER_COOKIE as MARK;
            #[cfg(target_os = "openbsd")]
            use libc::SO_RTABLE as MARK;
            // SAFETY: the option's value is an int, or an unsigned one of its size.
            unsafe { set(socket.as_fd(), libc::SOL_SOCKET, MARK, &mark) }
        }
    }
}

cfg_if! {
    if #[cfg(unix)] {
        use std::mem::MaybeUninit;
        use std::os::unix::net::SocketAddr;

        use socket2::{SockAddr, SockRef};

        /// socket2's view of a buffer to receive into.
        fn uninit(buf: &mut [u8]) -> &mut [MaybeUninit<u8>] {
            // SAFETY: same layout, and socket2 promises to write no uninitialised bytes.
            unsafe { &mut *(std::ptr::from_mut(buf) as *mut [MaybeUninit<u8>]) }
        }

        pub(crate) fn peek(socket: &impl AsSocket, buf: &mut [u8]) -> io::Result<usize> {
            SockRef::from(socket).peek(uninit(buf))
        }

        pub(crate) fn peek_from(socket: &impl AsSocket,
            buf: &mut [u8],
        ) -> io::Result<(usize, SocketAddr)> {
            let (received, from) = SockRef::from(socket).peek_from(uninit(buf))?;
            Ok((received, from_socket2(&from)?))
        }

        /// A Unix address as socket2 has it. socket2 reads a leading zero byte as the mark of
        /// an abstract name, and an empty path as no name.
        pub(crate) fn to_socket2(address: &SocketAddr) -> io::Result<SockAddr> {
            if let Some(name) = abstract_name(address) {
                use std::os::unix::ffi::OsStrExt;
                let path = [&[0], name].concat();
                return SockAddr::unix(std::ffi::OsStr::from_bytes(&path));
            }
            SockAddr::unix(address.as_pathname().unwrap_or("".as_ref()))
        }

        fn from_socket2(address: &SockAddr) -> io::Result<SocketAddr> {
            match address.as_abstract_namespace() {
                Some(name) => from_abstract_name(name),
                None => SocketAddr::from_pathname(address.as_pathname().unwrap_or("".as_ref())),
            }
        }

        cfg_if! {
            if #[cfg(any(target_os = "linux", target_os = "android", target_os = "cygwin"))] {
                #[cfg(target_os = "android")]
                use std::os::android::net::SocketAddrExt;
                #[cfg(target_os = "cygwin")]
                use std::os::cygwin::net::SocketAddrExt;
                #[cfg(target_os = "linux")]
                use std::os::linux::net::SocketAddrExt;

                fn abstract_name(address: &SocketAddr) -> Option<&[u8]> {
                    address.as_abstract_name()
                }

                fn from_abstract_name(name: &[u8]) -> io::Result<SocketAddr> {
                    SocketAddr::from_abstract_name(name)
                }
            } else {
                fn abstract_name(_: &SocketAddr) -> Option<&[u8]> {
                    None
                }

                fn from_abstract_name(_: &[u8]) -> io::Result<SocketAddr> {
                    Err(io::ErrorKind::Unsupported.into())
                }
            }
        }
    }
}

/// The credentials of the process at the other end: see
/// [`UnixStream::peer_cred`](crate::os::unix::net::UnixStream::peer_cred).
#[cfg(has_peer_cred)]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct UCred {
    /// Its effective user id.
    pub uid: u32,
    /// Its effective group id.
    pub gid: u32,
    /// Its process id, where the system reports it.
    pub pid: Option<i32>,
}

cfg_if! {
    if #[cfg(any(target_os = "android", target_os = "cygwin", target_os = "linux"))] {
        pub(crate) fn peer_cred(socket: &impl AsSocket) -> io::Result<UCred> {
            // SAFETY: the option's value is a ucred.
            let peer: libc::ucred =
                unsafe { get(socket.as_fd(), libc::SOL_SOCKET, libc::SO_PEERCRED) }?;
            Ok(UCred { uid: peer.uid, gid: peer.gid, pid: Some(peer.pid) })
        }
    } else if #[cfg(any(
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "nto",
        target_os = "openbsd",
        target_vendor = "apple",
    ))] {
        use std::os::fd::AsRawFd;

        pub(crate) fn peer_cred(socket: &impl AsSocket) -> io::Result<UCred> {
            let (mut uid, mut gid) = (0, 0);
            // SAFETY: both ids are valid for the call to write.
            if unsafe { libc::getpeereid(socket.as_fd().as_raw_fd(), &mut uid, &mut gid) } == -1 {
                return Err(io::Error::last_os_error());
            }
            #[cfg(target_vendor = "apple")]
            // SAFETY: the option's value is a pid_t.
            let pid = Some(unsafe {
                get::<libc::pid_t>(socket.as_fd(), libc::SOL_LOCAL, libc::LOCAL_PEERPID)
            }?);
            #[cfg(not(target_vendor = "apple"))]
            let pid = None;
            // Ids are signed on QNX.
            Ok(UCred { uid: uid as u32, gid: gid as u32, pid })
        }
    }
}

/// Reads a socket option.
///
/// # Safety
///
/// `T` must be the option's type, and valid as all zeros.
#[cfg(unix)]
pub(crate) unsafe fn get<T: Copy>(
    socket: std::os::fd::BorrowedFd<'_>,
    level: std::ffi::c_int,
    name: std::ffi::c_int,
) -> io::Result<T> {
    use std::os::fd::AsRawFd;

    let mut value = MaybeUninit::<T>::zeroed();
    let mut len = size_of::<T>() as libc::socklen_t;
    let (fd, pointer) = (socket.as_raw_fd(), value.as_mut_ptr().cast());
    // SAFETY: value and length are valid for the call, and the length is the value's.
    match unsafe { libc::getsockopt(fd, level, name, pointer, &mut len) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: zeroed, and written by the successful call; the caller vouches for the type.
        _ => Ok(unsafe { value.assume_init() }),
    }
}

/// Sets a socket option.
///
/// # Safety
///
/// `T` must be the option's type.
#[cfg(unix)]
pub(crate) unsafe fn set<T: Copy>(
    socket: std::os::fd::BorrowedFd<'_>,
    level: std::ffi::c_int,
    name: std::ffi::c_int,
    value: &T,
) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    let (fd, pointer) = (socket.as_raw_fd(), std::ptr::from_ref(value).cast());
    // SAFETY: the value is valid for the call, and the length is its own.
    match unsafe { libc::setsockopt(fd, level, name, pointer, size_of::<T>() as _) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
