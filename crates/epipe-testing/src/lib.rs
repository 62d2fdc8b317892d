//! Being moved here.
