//! Each program of `examples/` survives its vanished peer, with SIGPIPE at its default as in a C
//! host. The control is `tests/examples_on_std.rs`. (`tests/head.rs` runs `head`, `.ci/run` runs
//! `fates`, and tests/ecosystem runs `rustls` and `c-host`.)

#![allow(missing_docs, reason = "a test")]
#![cfg(all(sigpipe, not(target_os = "redox")))]

use epipe_testing::assert_survives;

#[path = "support/examples.rs"]
mod examples;

/// Runs an example. It must print these lines, among others.
macro_rules! survives {
    ($($example:ident: $lines:expr;)+) => {$(
        #[test]
        fn $example() {
            let printed = assert_survives!(|| examples::$example::main().unwrap());
            for line in $lines {
                assert!(printed.contains(line), "no {line:?} in {printed}");
            }
        }
    )+};
}

survives! {
    child: ["BrokenPipe: the child has ended"];
    client: ["connecting again", "the server has read"];
    proxy: ["the proxy: Err(BrokenPipe)"];
    server: ["the server: Err(BrokenPipe)", "the client that stays has read 1048"];
}

#[cfg(all(feature = "axum", has_tokio))]
survives! {
    on_axum: ["the client that stays has read 8388"];
}

#[cfg(all(feature = "tokio", has_tokio))]
survives! {
    on_tokio: ["Err(BrokenPipe)", "the client that stays has read"];
}
