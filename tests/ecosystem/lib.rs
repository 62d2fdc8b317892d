//! The guide, for its example that needs all of tokio. The tests are all else there is.

#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
))]
#[doc = include_str!("../../docs/bindings.md")]
pub mod bindings {}
