//! This package has tests alone.
