//! Programs as people write them. They are compiled twice: `super` is this crate, or the original
//! that it replaces. `docs/recipes.md` shows the same text with `epipe` for `super`.

use super::{net, sigpipe, tokio};

pub mod axum;
pub mod hyper;
pub mod hyper_util;
pub mod redis;
pub mod reqwest;
pub mod reqwest_blocking;
pub mod tcp_proxy;
pub mod tokio_postgres;
pub mod tokio_tungstenite;
pub mod tonic_client;
pub mod tonic_server;
pub mod unix_server;
pub mod ureq;
