//! tokio's types that write, protected: a vanished peer is an error, never a signal.
//!
//! Write `epipe::tokio` for `tokio` in the lines that name a type that writes:
//!
//! ```diff
//! -use tokio::net::{TcpListener, TcpStream};
//! +use epipe::tokio::net::{TcpListener, TcpStream};
//! ```
//!
//! Do not write `use epipe::tokio;` or `use epipe::*;`. Either hides the crate `tokio` in that
//! module, and its macros with it. (Where it must stand, `::tokio` is the crate.)

mod guarded;
pub mod io;
pub mod net;
#[cfg(sigpipe)]
pub mod process;
mod runtime;

/// Where there is no SIGPIPE, tokio's own.
#[cfg(not(sigpipe))]
pub use ::tokio::process;
pub use runtime::guard_threads;
