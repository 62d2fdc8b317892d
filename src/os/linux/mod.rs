//! Like [`std::os::linux`]: [`net`] is ours, the rest is re-exported.

pub use std::os::linux::fs;

pub mod net;
