//! The file of a Unix socket's address, and the lock of its folder.

#![allow(unsafe_code, reason = "flock, geteuid, getegid and O_PATH are libc's")]

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use socket2::Socket;

/// Whose rights this process has.
pub(crate) fn effective_user() -> u32 {
    // SAFETY: it has no condition.
    let user = unsafe { libc::geteuid() };
    user as u32 // signed on QNX
}

/// The group of files that this process makes.
pub(crate) fn effective_group() -> u32 {
    // SAFETY: it has no condition.
    let group = unsafe { libc::getegid() };
    group as u32 // signed on QNX
}

/// A path that leads to what was pinned, whatever has its name by now.
pub(crate) fn path_of_pin(pin: &File) -> PathBuf {
    use std::os::fd::AsRawFd;

    PathBuf::from(format!("/proc/self/fd/{}", pin.as_raw_fd()))
}

/// Gives a socket the rights that `bind` gives the file, less the umask's (Linux net/unix/af_unix.c
/// `unix_bind_bsd`).
#[cfg(any(target_os = "android", target_os = "linux"))]
pub(crate) fn set_mode_before_bind(socket: Socket, mode: u32) -> io::Result<Socket> {
    use std::fs::Permissions;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::PermissionsExt;

    let file = File::from(OwnedFd::from(socket));
    file.set_permissions(Permissions::from_mode(mode))?;
    Ok(Socket::from(OwnedFd::from(file)))
}

/// Here a socket has no rights before it is bound.
#[cfg(not(any(target_os = "android", target_os = "linux")))]
pub(crate) fn set_mode_before_bind(socket: Socket, _: u32) -> io::Result<Socket> {
    Ok(socket)
}

/// What is at a path, and what keeps its inode's number from being used again, as long as it is
/// open. Not by std, which takes O_PATH for an access mode where musl does, and removes it.
#[cfg(any(target_os = "android", target_os = "linux"))]
pub(crate) fn pin(path: &Path) -> io::Result<(Metadata, Option<File>)> {
    use std::ffi::CString;
    use std::os::fd::FromRawFd;
    use std::os::unix::ffi::OsStrExt;

    let path = CString::new(path.as_os_str().as_bytes())?;
    let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    loop {
        // SAFETY: it is a C string.
        let fd = unsafe { libc::open(path.as_ptr(), flags) };
        if fd != -1 {
            // SAFETY: open has just made it, and nobody else owns it.
            let pin = unsafe { File::from_raw_fd(fd) };
            return Ok((pin.metadata()?, Some(pin)));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// What is at a path. Here a socket's file cannot be opened.
#[cfg(not(any(target_os = "android", target_os = "linux")))]
pub(crate) fn pin(path: &Path) -> io::Result<(Metadata, Option<File>)> {
    Ok((std::fs::symlink_metadata(path)?, None))
}

/// Whether a connection failed for a socket that somebody has: its queue is full, or it is of
/// another type.
pub(crate) fn is_alive(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EPROTOTYPE))
}

/// Takes the lock of an open file; returns whether it was free.
#[cfg(not(any(target_os = "aix", target_os = "nto", target_os = "solaris")))]
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    use std::os::fd::AsRawFd;

    // SAFETY: the call takes integers.
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

    // SAFETY: the call takes integers.
    unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_UN) };
}

/// flock(2) is missing here.
#[cfg(any(target_os = "aix", target_os = "nto", target_os = "solaris"))]
pub(crate) fn try_lock(_: &File) -> io::Result<bool> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(any(target_os = "aix", target_os = "nto", target_os = "solaris"))]
pub(crate) fn unlock(_: &File) {}
