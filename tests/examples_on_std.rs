//! The controls of `tests/examples.rs`: the same sources, but the name `epipe` stands for std,
//! tokio and socket2. SIGPIPE must kill each of them.
//!
//! Linux alone: std sets an option on its streams where a system has one (`examples/fates.rs`).

#![allow(missing_docs, reason = "a test")]
#![cfg(target_os = "linux")]

extern crate self as epipe;

use epipe_testing::assert_killed;

pub use ::socket2;
pub use std::{io, net};

#[path = "support/examples.rs"]
mod examples;

#[cfg(feature = "tokio")]
pub mod tokio {
    pub use ::tokio::net;
}

/// In place of the adapter: the handle alone.
#[allow(non_snake_case, reason = "it stands for the type")]
pub mod NoSigpipe {
    pub fn new<T>(handle: T) -> std::io::Result<T> {
        Ok(handle)
    }
}

macro_rules! is_killed {
    ($($example:ident)+) => {$(
        #[test]
        fn $example() {
            assert_killed!(|| examples::$example::main().unwrap());
        }
    )+};
}

is_killed! { child client proxy server }

#[cfg(feature = "axum")]
is_killed! { on_axum }

#[cfg(feature = "tokio")]
is_killed! { on_tokio }
