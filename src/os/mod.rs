//! Like [`std::os`]: the modules with sockets are ours, and the other names are std's.
//!
//! ```
//! # #[cfg(unix)]
//! use epipe::os::{fd::AsFd, unix::net::UnixStream}; // was: std::os
//! # #[cfg(target_os = "linux")]
//! use epipe::os::linux::net::TcpStreamExt;
//! ```

#[cfg(has_fd)]
#[doc(no_inline)]
pub use std::os::fd;
#[doc(no_inline)]
pub use std::os::raw;
#[cfg(windows)]
#[doc(no_inline)]
pub use std::os::windows;

#[cfg(target_os = "linux")]
pub mod linux;
#[cfg(unix)]
pub mod unix;
