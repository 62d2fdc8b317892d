//! Mirrors [`std::os::unix`]: [`net`] is ours, the rest is re-exported.

pub use std::os::unix::*;

pub mod net;
