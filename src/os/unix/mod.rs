//! Like [`std::os::unix`]: [`net`] is ours, and the other names are std's.
//!
//! ```
//! use epipe::os::unix::net::{UnixListener, UnixStream}; // was: std::os::unix
//! ```

#[doc(no_inline)]
pub use std::os::unix::{ffi, fs, io, prelude, process, thread};

pub mod net;
