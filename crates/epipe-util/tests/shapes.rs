//! A crate that links epipe only through another crate still compiles: see the included file.

#![allow(missing_docs, reason = "a test")]
#![cfg(any(windows, unix))]

use epipe_util as _; // This alone links epipe.

#[path = "../../../tests/support/shapes.rs"]
mod shapes;
