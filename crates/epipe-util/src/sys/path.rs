//! Errors that name a path.

use std::io;
use std::path::Path;

pub(crate) fn error_at(kind: io::ErrorKind, path: &Path, reason: &str) -> io::Error {
    io::Error::new(kind, format!("{}: {reason}", path.display()))
}

pub(crate) fn check_mode(path: &Path, mode: u32) -> io::Result<()> {
    if mode & !0o777 != 0 {
        let reason = "the mode has more than the bits of 0o777";
        return Err(error_at(io::ErrorKind::InvalidInput, path, reason));
    }
    Ok(())
}
