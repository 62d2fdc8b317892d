//! Like [`std::os::unix`]: [`net`] is ours, the rest is re-exported.

pub use std::os::unix::{ffi, fs, io, prelude, process, thread};

pub mod net;
