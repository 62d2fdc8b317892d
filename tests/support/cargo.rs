//! This package's own cargo, called by a test of it.

use std::path::PathBuf;
use std::process::Command;

/// cargo with the environment of a shell. The variables that cargo sets for a test would make build
/// scripts (ring's) run again, in this build and in the next one.
pub fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    for (name, _) in std::env::vars_os() {
        let word = name.to_string_lossy();
        if word == "OUT_DIR"
            || word.starts_with("CARGO_PKG_")
            || word.starts_with("CARGO_MANIFEST_")
        {
            cargo.env_remove(&name);
        }
    }
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo
}

/// What cargo prints. It must succeed.
pub fn printed(cargo: &mut Command) -> String {
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Builds a library among this package's examples. In a run of all tests, cargo has built it
/// already.
pub fn library(example: &str) -> PathBuf {
    let example_is = format!("--example={example}");
    let build = ["build", "--quiet", &example_is, "--message-format=json"];
    let messages = printed(cargo().args(build));
    let file = format!("/lib{example}.so");
    let library = messages.split('"').rfind(|word| word.ends_with(&file));
    library.expect("cargo names the library that it built").into()
}
