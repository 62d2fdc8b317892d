//! The same programs on the original types, without protection: the controls.

#[path = "programs/mod.rs"]
pub mod programs;

pub use std::net;

pub mod tokio {
    pub use ::tokio::net;

    pub fn guard_threads(
        builder: &mut ::tokio::runtime::Builder,
    ) -> &mut ::tokio::runtime::Builder {
        builder
    }
}

pub mod sigpipe {
    pub fn suppressed<T>(call: impl FnOnce() -> T) -> std::io::Result<T> {
        Ok(call())
    }
}
