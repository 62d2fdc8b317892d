//! A crate that links epipe compiles as before. `tests/support/shapes.rs` says what and why.

#![allow(missing_docs, reason = "a test")]
#![cfg(any(windows, unix))]

use epipe as _;

#[path = "support/shapes.rs"]
mod shapes;
