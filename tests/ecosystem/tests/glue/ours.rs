//! The programs on this crate's types.

pub use epipe::{net, sigpipe, tokio};

#[path = "programs/mod.rs"]
pub mod programs;
