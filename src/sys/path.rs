//! Sockets and FIFOs by their paths.

#![allow(unsafe_code, reason = "flock and mkfifo are libc's")]

use std::ffi::CString;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use cfg_if::cfg_if;

pub(crate) fn error_at(kind: io::ErrorKind, path: &Path, reason: &str) -> io::Error {
    io::Error::new(kind, format!("{}: {reason}", path.display()))
}

pub(crate) fn check_mode(path: &Path, mode: u32) -> io::Result<()> {
    match mode & !0o777 {
        0 => Ok(()),
        _ => {
            let reason = "the mode has more than rights";
            Err(error_at(io::ErrorKind::InvalidInput, path, reason))
        }
    }
}

/// Gives a file its rights, if the umask has made others of them.
pub(crate) fn set_rights(path: &Path, mode: u32) -> io::Result<()> {
    match fs::symlink_metadata(path)?.mode() & 0o7777 == mode {
        true => Ok(()),
        false => fs::set_permissions(path, Permissions::from_mode(mode)),
    }
}

/// Whose rights this process has.
pub(crate) fn effective_user() -> u32 {
    // SAFETY: it has no condition.
    unsafe { libc::geteuid() }
}

cfg_if! {
    if #[cfg(any(target_os = "android", target_os = "linux"))] {
        /// The rights that `bind` gives the file, less the umask's (Linux net/unix/af_unix.c `unix_bind_bsd`).
        pub(crate) fn set_mode_before_bind(socket: &impl AsFd, mode: u32) -> io::Result<()> {
            super::handle::as_file(socket.as_fd(), |file| {
                file.set_permissions(Permissions::from_mode(mode))
            })
        }

        /// What is at a path, and what keeps its inode's number from being used again, as long as it is open. Not by
        /// std, which takes O_PATH for an access mode where musl does, and removes it.
        pub(crate) fn pin(path: &Path) -> io::Result<(Metadata, Option<File>)> {
            let path = c_path(path)?;
            let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC;
            let pin = loop {
                // SAFETY: it is a C string.
                match unsafe { libc::open(path.as_ptr(), flags) } {
                    -1 => {
                        let error = io::Error::last_os_error();
                        if error.kind() != io::ErrorKind::Interrupted {
                            return Err(error);
                        }
                    }
                    // SAFETY: it is open, and nobody else's.
                    fd => break unsafe { File::from_raw_fd(fd) },
                }
            };
            Ok((pin.metadata()?, Some(pin)))
        }
    } else {
        /// Here a socket has no rights before it is bound.
        pub(crate) fn set_mode_before_bind(_: &impl AsFd, _: u32) -> io::Result<()> {
            Ok(())
        }

        /// What is at a path. Here a socket's file cannot be opened.
        pub(crate) fn pin(path: &Path) -> io::Result<(Metadata, Option<File>)> {
            Ok((fs::symlink_metadata(path)?, None))
        }
    }
}

/// Whether a connection failed for a socket that somebody has: its queue is full, or it is of another type.
pub(crate) fn is_alive(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EPROTOTYPE))
}

cfg_if! {
    if #[cfg(any(target_os = "aix", target_os = "solaris", target_os = "nto"))] {
        /// flock(2) is missing here.
        pub(crate) fn try_lock(_: &File) -> io::Result<bool> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) fn unlock(_: &File) {}
    } else {
        /// Takes the lock of an open file; tells whether it was free.
        pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
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

        pub(crate) fn unlock(file: &File) {
            // SAFETY: the call takes integers.
            unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_UN) };
        }
    }
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::from)
}

/// Makes a FIFO, with `mode` less the umask's.
pub(crate) fn make_fifo(path: &Path, mode: u32) -> io::Result<()> {
    let path = c_path(path)?;
    // SAFETY: it is a C string.
    match unsafe { libc::mkfifo(path.as_ptr(), mode as libc::mode_t) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Opens a FIFO without waiting for its other side, and nothing behind a symbolic link.
pub(crate) fn open_fifo(path: &Path, writes: bool) -> io::Result<File> {
    OpenOptions::new()
        .read(!writes)
        .write(writes)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
        .open(path)
}
