//! This package's own cargo, called by a test of it.

use std::process::Command;

/// As from a shell: what cargo has told the test about its package makes build scripts (ring's) run
/// again, then and in the next build.
pub fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    for (name, _) in std::env::vars_os() {
        let told = name.to_string_lossy();
        if told == "OUT_DIR"
            || told.starts_with("CARGO_PKG_")
            || told.starts_with("CARGO_MANIFEST_")
        {
            cargo.env_remove(&name);
        }
    }
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo
}
