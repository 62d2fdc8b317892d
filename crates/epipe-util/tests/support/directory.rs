//! A directory of one test, which is removed with its value.

use std::fs::{self, DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;

pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new() -> Directory {
        let mut number = 0;
        loop {
            // The name may be in use by another test of this process, or left by a killed process
            // that had the same number.
            let name = format!("epipe-test-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    // Other users may enter, for any umask.
                    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
                    return Directory(path);
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}"),
            }
            number += 1;
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
