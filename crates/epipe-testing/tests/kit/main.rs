//! Tests of the testing kit: each break comes at its byte, and has the documented results.

#![cfg(all(unix, not(any(target_os = "redox", target_os = "fuchsia", target_os = "emscripten"))))]
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "../../../../tests/support/mod.rs"]
mod support;

mod fate;
mod faulty;
mod peer;
mod proxy;
#[cfg(target_os = "linux")] // the table was measured there
mod servers;
#[cfg(feature = "watch")]
mod watch;

use std::time::Duration;

/// A timeout that is long enough on a loaded machine.
const SOON: Duration = Duration::from_secs(20);

/// How often a test that must never flake repeats. `ci/flakes` sets more.
fn rounds() -> u32 {
    match std::env::var("EPIPE_ROUNDS") {
        Ok(rounds) => rounds.parse().expect("EPIPE_ROUNDS is a number"),
        Err(_) => 50,
    }
}
