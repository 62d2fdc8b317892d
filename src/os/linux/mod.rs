//! Like [`std::os::linux`]: [`net`] is ours, and the other names are std's.
//!
//! ```
//! use epipe::os::linux::net::TcpStreamExt; // was: std::os::linux
//! ```

#[doc(no_inline)]
pub use std::os::linux::fs;

pub mod net;
