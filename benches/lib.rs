//! What the benches share: connections that nobody else reads, and the protections of others.
#![cfg(target_os = "linux")]

mod lane;
mod others;

pub use lane::{Lane, tcp};
pub use others::{curl, libpq};
