//! Mirrors [`std::io`]: pipes and [`copy()`] are ours, the rest is re-exported.
//!
//! [`stdout`] and [`stderr`] are std's, and a write to a closed one raises: write to
//! [`Guarded::new(stdout())`](crate::Guarded).

mod copy;
#[cfg(has_splice)]
mod known;
mod pipe;

pub use std::io::*;

pub use copy::copy;
pub use pipe::{PipeReader, PipeWriter, pipe};
