//! Calls that make and open FIFOs.

#![allow(unsafe_code, reason = "mkfifo is a function of libc")]

use std::ffi::CString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Makes a FIFO with `mode` minus the umask.
pub(crate) fn make_fifo(path: &Path, mode: u32) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `path` is a C string, valid for the call.
    match unsafe { libc::mkfifo(path.as_ptr(), mode as libc::mode_t) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Opens a FIFO without waiting for its other side. A symbolic link is not followed.
pub(crate) fn open_fifo(path: &Path, reads: bool, writes: bool) -> io::Result<File> {
    OpenOptions::new()
        .read(reads)
        .write(writes)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
        .open(path)
}

/// Returns whether the open failed because the FIFO has no reader.
pub(crate) fn is_no_reader(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENXIO)
}

/// Sets the mode of a file, if the umask has changed it.
pub(crate) fn set_rights(path: &Path, mode: u32) -> io::Result<()> {
    match fs::symlink_metadata(path)?.mode() & 0o7777 == mode {
        true => Ok(()),
        false => fs::set_permissions(path, Permissions::from_mode(mode)),
    }
}
