//! Mirrors [`std::os`] where it has sockets.

#[cfg(target_os = "linux")]
pub mod linux;
#[cfg(unix)]
pub mod unix;
