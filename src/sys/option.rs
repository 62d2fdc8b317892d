//! Socket options by libc: how to read and set one, and those that std has as unstable.

#![allow(unsafe_code, reason = "the name of a socket option decides the type of its value")]

#[cfg(unix)]
use std::{
    ffi::c_int,
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    time::Duration,
};

#[cfg(unix)]
pub(crate) use libc::MSG_OOB;
/// Windows winsock2.h.
#[cfg(windows)]
pub(crate) const MSG_OOB: std::ffi::c_int = 1;

#[cfg(target_os = "linux")]
pub(crate) fn deferaccept(socket: &impl AsFd) -> io::Result<Duration> {
    // SAFETY: the option's value is an int.
    let seconds: c_int = unsafe { get(socket.as_fd(), libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT) }?;
    Ok(Duration::from_secs(seconds.try_into().unwrap_or(0)))
}

#[cfg(target_os = "linux")]
pub(crate) fn set_deferaccept(socket: &impl AsFd, accept: Duration) -> io::Result<()> {
    let seconds = c_int::try_from(accept.as_secs()).unwrap_or(c_int::MAX);
    // SAFETY: the option's value is an int.
    unsafe { set(socket.as_fd(), libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, &seconds) }
}

#[cfg(has_mark)]
pub(crate) fn set_mark(socket: &impl AsFd, mark: u32) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    use libc::SO_MARK as MARK;
    #[cfg(target_os = "openbsd")]
    use libc::SO_RTABLE as MARK;
    #[cfg(target_os = "freebsd")]
    use libc::SO_USER_COOKIE as MARK;
    // SAFETY: the option's value is an int, or an unsigned int of the same size.
    unsafe { set(socket.as_fd(), libc::SOL_SOCKET, MARK, &mark) }
}

/// The credentials of the process at the other end of a Unix socket.
///
/// From [`UnixStream::peer_cred`](crate::os::unix::net::UnixStream::peer_cred):
///
/// ```
/// use epipe::os::unix::net::{UCred, UnixStream};
///
/// let (socket, _peer) = UnixStream::pair()?;
/// let UCred { uid, gid, pid, .. } = socket.peer_cred()?;
/// println!("process {pid:?} of user {uid}, group {gid}");
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias("SO_PEERCRED", "getpeereid"))]
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

#[cfg(any(target_os = "android", target_os = "cygwin", target_os = "linux"))]
pub(crate) fn peer_cred(socket: &impl AsFd) -> io::Result<UCred> {
    // SAFETY: the option's value is a ucred.
    let peer: libc::ucred = unsafe { get(socket.as_fd(), libc::SOL_SOCKET, libc::SO_PEERCRED) }?;
    Ok(UCred { uid: peer.uid, gid: peer.gid, pid: Some(peer.pid) })
}

#[cfg(all(
    has_peer_cred,
    not(any(target_os = "android", target_os = "cygwin", target_os = "linux"))
))]
#[allow(clippy::unnecessary_cast)] // ids are signed on QNX
pub(crate) fn peer_cred(socket: &impl AsFd) -> io::Result<UCred> {
    let (mut uid, mut gid) = (0, 0);
    // SAFETY: both ids are valid for the call to write.
    if unsafe { libc::getpeereid(socket.as_fd().as_raw_fd(), &mut uid, &mut gid) } == -1 {
        return Err(io::Error::last_os_error());
    }
    #[cfg(target_vendor = "apple")]
    // SAFETY: the option's value is a pid_t.
    let pid: libc::pid_t = unsafe { get(socket.as_fd(), libc::SOL_LOCAL, libc::LOCAL_PEERPID) }?;
    #[cfg(target_vendor = "apple")]
    let pid = Some(pid);
    #[cfg(not(target_vendor = "apple"))]
    let pid = None;
    Ok(UCred { uid: uid as u32, gid: gid as u32, pid })
}

/// Reads a socket option.
///
/// # Safety
///
/// `T` must be the option's type, and valid as all zeros.
#[cfg(unix)]
pub(crate) unsafe fn get<T: Copy>(
    socket: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
) -> io::Result<T> {
    let mut value = MaybeUninit::<T>::zeroed();
    let mut len = size_of::<T>() as libc::socklen_t;
    let (fd, pointer) = (socket.as_raw_fd(), value.as_mut_ptr().cast());
    // SAFETY: value and length are valid for the call, and the length is that of the value.
    match unsafe { libc::getsockopt(fd, level, name, pointer, &mut len) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: the value was zeroed, and the successful call has written it. The caller promises
        // that it is of the option's type.
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
    socket: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: &T,
) -> io::Result<()> {
    let (fd, pointer) = (socket.as_raw_fd(), std::ptr::from_ref(value).cast());
    // SAFETY: the value is valid for the call, and the length is that of the value.
    match unsafe { libc::setsockopt(fd, level, name, pointer, size_of::<T>() as _) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
