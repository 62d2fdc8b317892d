//! A crate that links epipe still compiles. `tests/support/shapes.rs` explains it.

#![allow(missing_docs, reason = "a test")]
#![cfg(any(windows, unix))]

use epipe as _;

#[path = "support/shapes.rs"]
mod shapes;
