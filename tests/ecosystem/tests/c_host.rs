//! A C program loads the library of `examples/c-host`. std's stream kills the program, and this
//! crate's returns an error.

#![allow(missing_docs, reason = "a test")]
#![cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
))]

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[path = "../../support/cargo.rs"]
mod cargo;

use cargo::library;

const SIGPIPE: i32 = 13;

fn host() -> PathBuf {
    let host = Path::new(env!("CARGO_TARGET_TMPDIR")).join("c-host");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/c-host/host.c");
    let mut cc = Command::new("cc");
    cc.args(["-Wall", "-Wextra", "-Werror", "-o"]).args([&host, &source]).arg("-ldl");
    let output = cc.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    host
}

/// Runs the host. std's `Command` gives it SIGPIPE's default action, as a shell does.
fn call(host: &Path, library: &Path, function: &str) -> Output {
    Command::new(host).arg(library).arg(function).output().unwrap()
}

#[test]
fn std_kills_a_c_host_and_epipe_returns_an_error() {
    let (host, library) = (host(), library("c_host"));

    let on_std = call(&host, &library, "exchange_on_std");
    assert_eq!(on_std.status.signal(), Some(SIGPIPE), "{on_std:?}");
    assert_eq!(on_std.stdout, b"exchange_on_std... ");

    let on_epipe = call(&host, &library, "exchange_on_epipe");
    assert!(on_epipe.status.success(), "{on_epipe:?}");
    let said = String::from_utf8(on_epipe.stdout).unwrap();
    assert_eq!(said, "exchange_on_epipe... returned 32: Broken pipe\nThe host goes on.\n");
}
