//! Mirrors [`std::io`]: pipes and [`copy`] are ours, the rest is re-exported.

mod copy;
mod pipe;

pub use std::io::*;

pub use copy::copy;
pub use pipe::{PipeReader, PipeWriter, pipe};
