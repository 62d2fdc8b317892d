//! The guide: one page for each question. The same pages stand in `docs/` of the package.

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/what-dies.md")]
pub mod what_dies {}
#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/platforms.md")]
#[doc(alias("macOS", "iOS", "NetBSD", "FreeBSD", "Windows", "gVisor"))]
pub mod platforms {}
#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/limits.md")]
pub mod limits {}
#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/cost.md")]
pub mod cost {}
#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/migration.md")]
pub mod migration {}
#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/recipes.md")]
#[doc(alias("axum", "hyper", "tonic", "reqwest", "tungstenite", "redis", "rustls"))]
pub mod recipes {}
#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/bindings.md")]
#[doc(alias("OpenSSL", "FFI", "cdylib"))]
pub mod bindings {}
#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/hosts.md")]
#[doc(alias(
    "Go", "Python", "Swift", "JVM", "systemd", "Docker", "lldb", "libcurl", "libpq", "libssh2"
))]
pub mod hosts {}
#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/testing.md")]
pub mod testing {}
#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/packagers.md")]
pub mod packagers {}
