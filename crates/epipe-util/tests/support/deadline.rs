//! The deadlines of the tests.

use std::time::{Duration, Instant};

/// More than a test that passes takes.
pub fn soon() -> Instant {
    in_(10_000)
}

pub fn in_(milliseconds: u64) -> Instant {
    Instant::now() + Duration::from_millis(milliseconds)
}
