//! This package's own cargo, called by a test of it.

use std::path::PathBuf;
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

/// What it prints; it must succeed.
pub fn printed(cargo: &mut Command) -> String {
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Builds a library among this package's examples, which cargo has done already for a run of all
/// tests.
pub fn library(example: &str) -> PathBuf {
    let example_is = format!("--example={example}");
    let build = ["build", "--quiet", &example_is, "--message-format=json"];
    let messages = printed(cargo().args(build));
    let file = format!("/lib{example}.so");
    let library = messages.split('"').rfind(|word| word.ends_with(&file));
    library.expect("cargo names what it has built").into()
}
