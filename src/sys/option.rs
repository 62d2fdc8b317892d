//! What std has as unstable or socket2 under another name: by socket2 where it can, by libc
//! where it cannot.

#![allow(
    unsafe_code,
    reason = "the value behind a socket option is typed by its name"
)]

use std::io;
use std::time::Duration;

use cfg_if::cfg_if;

use super::handle;

cfg_if! {
    if #[cfg(any(unix, windows, all(target_os = "wasi", not(target_env = "p1"))))] {
        pub(crate) fn linger<S: handle::Socket>(socket: &S) -> io::Result<Option<Duration>> {
            socket2::SockRef::from(socket).linger()
        }

        pub(crate) fn set_linger<S: handle::Socket>(
            socket: &S,
            linger: Option<Duration>,
        ) -> io::Result<()> {
            socket2::SockRef::from(socket).set_linger(linger)
        }
    } else {
        pub(crate) fn linger<S: handle::Socket>(_: &S) -> io::Result<Option<Duration>> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) fn set_linger<S: handle::Socket>(
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
pub(crate) fn quickack<S: handle::Socket>(socket: &S) -> io::Result<bool> {
    socket2::SockRef::from(socket).tcp_quickack()
}

#[cfg(target_os = "linux")]
pub(crate) fn set_quickack<S: handle::Socket>(socket: &S, quickack: bool) -> io::Result<()> {
    socket2::SockRef::from(socket).set_tcp_quickack(quickack)
}

#[cfg(target_os = "linux")]
pub(crate) fn deferaccept<S: handle::Socket>(socket: &S) -> io::Result<Duration> {
    // SAFETY: the option's value is an int.
    let seconds: std::ffi::c_int =
        unsafe { get(socket.as_fd(), libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT) }?;
    Ok(Duration::from_secs(seconds.try_into().unwrap_or(0)))
}

#[cfg(target_os = "linux")]
pub(crate) fn set_deferaccept<S: handle::Socket>(socket: &S, accept: Duration) -> io::Result<()> {
    let seconds = std::ffi::c_int::try_from(accept.as_secs()).unwrap_or(std::ffi::c_int::MAX);
    // SAFETY: the option's value is an int.
    unsafe {
        set(
            socket.as_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            &seconds,
        )
    }
}

cfg_if! {
    if #[cfg(any(target_os = "linux", target_os = "freebsd", target_os = "openbsd"))] {
        pub(crate) fn set_mark<S: handle::Socket>(socket: &S, mark: u32) -> io::Result<()> {
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

        pub(crate) fn peek<S: handle::Socket>(socket: &S, buf: &mut [u8]) -> io::Result<usize> {
            SockRef::from(socket).peek(uninit(buf))
        }

        pub(crate) fn peek_from<S: handle::Socket>(
            socket: &S,
            buf: &mut [u8],
        ) -> io::Result<(usize, SocketAddr)> {
            let (received, from) = SockRef::from(socket).peek_from(uninit(buf))?;
            Ok((received, from_socket2(&from)?))
        }

        /// A Unix address as socket2 has it. socket2 reads a leading zero byte as the mark of
        /// an abstract name, and an empty path as no name.
        impl handle::Address for SocketAddr {
            fn to_socket2(&self) -> io::Result<SockAddr> {
                if let Some(name) = abstract_name(self) {
                    use std::os::unix::ffi::OsStrExt;
                    let path = [&[0], name].concat();
                    return SockAddr::unix(std::ffi::OsStr::from_bytes(&path));
                }
                SockAddr::unix(self.as_pathname().unwrap_or("".as_ref()))
            }
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

cfg_if! {
    if #[cfg(any(target_os = "android", target_os = "cygwin", target_os = "linux"))] {
        use crate::os::unix::net::UCred;

        pub(crate) fn peer_cred<S: handle::Socket>(socket: &S) -> io::Result<UCred> {
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

        use crate::os::unix::net::UCred;

        pub(crate) fn peer_cred<S: handle::Socket>(socket: &S) -> io::Result<UCred> {
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

    let mut value = std::mem::MaybeUninit::<T>::zeroed();
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: value and length are valid for the call, and the length is the value's.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            name,
            value.as_mut_ptr().cast(),
            &mut len,
        )
    };
    if answer == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed, and written by the successful call; the caller vouches for the type.
    Ok(unsafe { value.assume_init() })
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

    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the value is valid for the call, and the length is its own.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            len,
        )
    };
    if answer == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
