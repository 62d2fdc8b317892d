//! The control of `examples.rs`: the same source, but the name `epipe` stands for std.

#![allow(missing_docs, reason = "a test")]
#![cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
))]

extern crate self as epipe;

pub use std::net;

#[path = "../../../examples/rustls.rs"]
mod example;

#[test]
fn rustls() {
    epipe_testing::assert_killed!(|| example::main().unwrap());
}
