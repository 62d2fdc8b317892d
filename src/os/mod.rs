//! Mirrors [`std::os`] where it has sockets.

#[cfg(target_os = "linux")]
pub mod linux;
#[cfg(unix)]
pub mod unix;

#[cfg(any(unix, target_os = "wasi"))]
pub use std::os::fd;
#[cfg(windows)]
pub use std::os::windows;
