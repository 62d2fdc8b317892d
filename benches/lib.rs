//! What the benches share: connections that nobody else reads, and the protections of others.
#![cfg(target_os = "linux")]

mod lane;
mod others;

pub use lane::{Lane, roomy_tcp, roomy_unix, tcp};
pub use others::{curl, libpq};
