//! tokio's types that write, protected: a vanished peer is an error, never a signal.
//!
//! Write `epipe::tokio` for `tokio` in the lines that name such a type:
//!
//! ```diff
//! -use tokio::net::{TcpListener, TcpStream};
//! +use epipe::tokio::net::{TcpListener, TcpStream};
//! ```
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! use epipe::tokio::io::AsyncWriteExt; // was: tokio::io
//! use epipe::tokio::net::{TcpListener, TcpStream};
//! # #[cfg(unix)]
//! use epipe::tokio::process::Command;
//!
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let mut stream = TcpStream::connect(listener.local_addr()?).await?;
//! stream.write_all(b"a request").await?;
//! # std::io::Result::Ok(())
//! # })
//! # }
//! ```
//!
//! Do not write `use epipe::tokio;` or `use epipe::*;`. Both hide the crate `tokio` in that module,
//! and also its macros. If you need such a line, write `::tokio` for the crate.

mod guarded;
pub mod io;
pub mod net;
#[cfg(sigpipe)]
pub mod process;
mod runtime;

/// On systems without SIGPIPE, tokio's own.
#[cfg(not(sigpipe))]
#[doc(no_inline)]
pub use ::tokio::process;
pub use runtime::guard_threads;
