//! The testing kit, tried on itself: what it says will happen, happens, at the byte that it says.

#![cfg(all(unix, not(any(target_os = "redox", target_os = "fuchsia", target_os = "emscripten"))))]
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "../../../../tests/support/mod.rs"]
mod support;

mod fate;
mod faulty;
mod peer;
mod proxy;
#[cfg(target_os = "linux")] // where the table was measured
mod servers;
#[cfg(feature = "watch")]
mod watch;

use std::time::Duration;

/// More than a loaded machine needs.
const SOON: Duration = Duration::from_secs(20);

/// How often a scene that must never flake is played: `ci/flakes` asks for more.
fn rounds() -> u32 {
    match std::env::var("EPIPE_ROUNDS") {
        Ok(rounds) => rounds.parse().expect("EPIPE_ROUNDS is a number"),
        Err(_) => 50,
    }
}
