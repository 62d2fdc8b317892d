//! Mirrors [`std::os`]: what has sockets is ours, the rest is re-exported.

pub use std::os::*;

#[cfg(target_os = "linux")]
pub mod linux;
#[cfg(unix)]
pub mod unix;
