//! A crate that links epipe through another one compiles as before: see the file of the shapes.

#![allow(missing_docs, reason = "a test")]
#![cfg(any(windows, unix))]

use epipe_util as _; // and not epipe: it is linked by this alone

#[path = "../../../tests/support/shapes.rs"]
mod shapes;
