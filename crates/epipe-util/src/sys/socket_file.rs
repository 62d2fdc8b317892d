//! The file of a Unix socket, and the lock of its directory.

#![allow(unsafe_code, reason = "flock, geteuid, getegid and open are functions of libc")]

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use socket2::Socket;

/// The user whose rights this process has.
pub(crate) fn effective_user() -> u32 {
    // SAFETY: geteuid has no precondition.
    let user = unsafe { libc::geteuid() };
    user as u32 // signed on QNX
}

/// The group of the files that this process makes.
pub(crate) fn effective_group() -> u32 {
    // SAFETY: getegid has no precondition.
    let group = unsafe { libc::getegid() };
    group as u32 // signed on QNX
}

/// A path of the pinned file, even if another file has its name by now.
pub(crate) fn path_of_pin(pin: &File) -> PathBuf {
    use std::os::fd::AsRawFd;

    PathBuf::from(format!("/proc/self/fd/{}", pin.as_raw_fd()))
}

/// Sets the mode that `bind` gives the file, minus the umask.
///
/// Source: `unix_bind_bsd` of Linux net/unix/af_unix.c.
#[cfg(any(target_os = "android", target_os = "linux"))]
pub(crate) fn set_mode_before_bind(socket: Socket, mode: u32) -> io::Result<Socket> {
    use std::fs::Permissions;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::PermissionsExt;

    let file = File::from(OwnedFd::from(socket));
    file.set_permissions(Permissions::from_mode(mode))?;
    Ok(Socket::from(OwnedFd::from(file)))
}

/// On these systems a socket has no mode before it is bound.
#[cfg(not(any(target_os = "android", target_os = "linux")))]
pub(crate) fn set_mode_before_bind(socket: Socket, _: u32) -> io::Result<Socket> {
    Ok(socket)
}

/// The metadata of the file, and a descriptor. While it is open, the inode's number is not used
/// again.
///
/// It does not use std's `OpenOptions`: with musl, O_PATH is part of the access mode, which std
/// removes from custom flags.
#[cfg(any(target_os = "android", target_os = "linux"))]
pub(crate) fn pin(path: &Path) -> io::Result<(Metadata, Option<File>)> {
    use std::ffi::CString;
    use std::os::fd::FromRawFd;
    use std::os::unix::ffi::OsStrExt;

    let path = CString::new(path.as_os_str().as_bytes())?;
    let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    loop {
        // SAFETY: `path` is a C string, valid for the call.
        let fd = unsafe { libc::open(path.as_ptr(), flags) };
        if fd != -1 {
            // SAFETY: open has just returned this descriptor, and it has no other owner.
            let pin = unsafe { File::from_raw_fd(fd) };
            return Ok((pin.metadata()?, Some(pin)));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// The metadata of the file. On these systems a socket file cannot be opened.
#[cfg(not(any(target_os = "android", target_os = "linux")))]
pub(crate) fn pin(path: &Path) -> io::Result<(Metadata, Option<File>)> {
    Ok((std::fs::symlink_metadata(path)?, None))
}

/// Returns whether the connection failed although the socket is alive: its queue is full, or it has
/// another type.
pub(crate) fn is_alive(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EPROTOTYPE))
}

/// Tries to lock an open file, and returns whether that succeeded.
#[cfg(not(any(target_os = "aix", target_os = "nto", target_os = "solaris")))]
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    use std::os::fd::AsRawFd;

    // SAFETY: flock takes only integers.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(false),
        _ => Err(error),
    }
}

#[cfg(not(any(target_os = "aix", target_os = "nto", target_os = "solaris")))]
pub(crate) fn unlock(file: &File) {
    use std::os::fd::AsRawFd;

    // SAFETY: flock takes only integers.
    unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_UN) };
}

/// These systems have no flock(2).
#[cfg(any(target_os = "aix", target_os = "nto", target_os = "solaris"))]
pub(crate) fn try_lock(_: &File) -> io::Result<bool> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(any(target_os = "aix", target_os = "nto", target_os = "solaris"))]
pub(crate) fn unlock(_: &File) {}
