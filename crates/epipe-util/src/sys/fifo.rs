//! FIFOs by their paths.

#![allow(unsafe_code, reason = "mkfifo is libc's")]

use std::ffi::CString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Makes a FIFO, with `mode` less the umask's.
pub(crate) fn make_fifo(path: &Path, mode: u32) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: it is a C string.
    match unsafe { libc::mkfifo(path.as_ptr(), mode as libc::mode_t) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Opens a FIFO without waiting for its other side, and nothing behind a symbolic link.
pub(crate) fn open_fifo(path: &Path, reads: bool, writes: bool) -> io::Result<File> {
    OpenOptions::new()
        .read(reads)
        .write(writes)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
        .open(path)
}

/// Whether a FIFO could not be opened for writing since it has no reader.
pub(crate) fn is_no_reader(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENXIO)
}

/// Gives a file its rights, if the umask has made others of them.
pub(crate) fn set_rights(path: &Path, mode: u32) -> io::Result<()> {
    match fs::symlink_metadata(path)?.mode() & 0o7777 == mode {
        true => Ok(()),
        false => fs::set_permissions(path, Permissions::from_mode(mode)),
    }
}
