//! A folder of one test, that goes with it.

use std::fs::{self, DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;

pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        let mut number = 0;
        loop {
            // Another test of this process may have it, or one that was killed and had this
            // process's number.
            let name = format!("epipe-test-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    // Others may enter, whatever the umask.
                    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
                    return Folder(path);
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}"),
            }
            number += 1;
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
