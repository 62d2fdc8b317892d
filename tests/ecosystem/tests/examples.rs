//! `examples/rustls.rs` survives its vanished peer, with SIGPIPE at its default as in a C host. The
//! control is `examples_on_std.rs`. (`c_host.rs` runs `examples/c-host`.)

#![allow(missing_docs, reason = "a test")]
#![cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
))]

#[path = "../../../examples/rustls.rs"]
mod example;

#[test]
fn rustls() {
    let printed = epipe_testing::assert_survives!(|| example::main().unwrap());
    assert!(printed.contains("close_notify: Broken pipe"), "{printed}");
}
