//! The deadlines of the tests.

use std::time::{Duration, Instant};

/// Later than any test that passes needs.
pub fn soon() -> Instant {
    in_(10_000)
}

pub fn in_(milliseconds: u64) -> Instant {
    Instant::now() + Duration::from_millis(milliseconds)
}
