//! Like [`std::os`]: what has sockets is ours, the rest is re-exported.

#[cfg(has_fd)]
pub use std::os::fd;
pub use std::os::raw;
#[cfg(windows)]
pub use std::os::windows;

#[cfg(target_os = "linux")]
pub mod linux;
#[cfg(unix)]
pub mod unix;
