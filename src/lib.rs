#![doc = include_str!("docs/picture.md")]
#![doc = include_str!("docs/links.md")]
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod adopt;
mod macros;
mod no_sigpipe;
mod shared;
mod sys;

pub mod docs;
pub mod io;
pub mod net;
pub mod os;
#[cfg(has_handles)]
pub mod raw;
pub mod sigpipe;
pub mod verify;

pub use adopt::{Adopt, AdoptError};
pub use no_sigpipe::NoSigpipe;
pub use sigpipe::guarded::Guarded;
#[doc(inline)]
pub use verify::{protection, verify};

#[cfg(has_socket2)]
pub mod socket2;

#[cfg(all(feature = "async-io", has_reactor))]
pub mod async_io;
#[cfg(all(feature = "mio", has_reactor))]
mod mio;
#[cfg(all(feature = "tokio", has_tokio))]
pub mod tokio;
