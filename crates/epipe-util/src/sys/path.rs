//! Files by their paths, and their rights.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

pub(crate) fn error_at(kind: io::ErrorKind, path: &Path, reason: &str) -> io::Error {
    io::Error::new(kind, format!("{}: {reason}", path.display()))
}

pub(crate) fn check_mode(path: &Path, mode: u32) -> io::Result<()> {
    if mode & !0o777 != 0 {
        let reason = "the mode has more than rights";
        return Err(error_at(io::ErrorKind::InvalidInput, path, reason));
    }
    Ok(())
}

/// Gives a file its rights, if the umask has made others of them.
pub(crate) fn set_rights(path: &Path, mode: u32) -> io::Result<()> {
    match fs::symlink_metadata(path)?.mode() & 0o7777 == mode {
        true => Ok(()),
        false => fs::set_permissions(path, Permissions::from_mode(mode)),
    }
}
