//! The programs of `examples/` that connect to a peer, as modules of two tests.

#[path = "../../examples/child.rs"]
pub mod child;
#[path = "../../examples/client.rs"]
pub mod client;
#[cfg(all(feature = "axum", has_tokio))]
#[path = "../../examples/axum.rs"]
pub mod on_axum;
#[cfg(all(feature = "tokio", has_tokio))]
#[path = "../../examples/tokio.rs"]
pub mod on_tokio;
#[path = "../../examples/proxy.rs"]
pub mod proxy;
#[path = "../../examples/server.rs"]
pub mod server;
