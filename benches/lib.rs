//! Shared by the benches: connections whose both ends are in one thread, and the ways in which C
//! libraries protect a call.
#![cfg(target_os = "linux")]

mod lane;
mod others;

pub use lane::{Lane, roomy_tcp, roomy_unix, tcp};
pub use others::{curl, libpq};
