#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod disconnect;
mod macros;
mod no_sigpipe;
mod sys;

pub mod adopt;
#[doc = include_str!("../docs/bindings.md")]
pub mod bindings {}
pub mod io;
pub mod net;
pub mod os;
pub mod sigpipe;
pub mod verify;

pub use adopt::{Adopt, AdoptError};
pub use disconnect::{Disconnect, DisconnectExt};
pub use no_sigpipe::NoSigpipe;
pub use verify::{protection, verify};

sys::only_socket2! {
    pub mod close;
    pub mod queue;
    mod socket;
    pub use socket::Socket;
    pub use socket2;
}
sys::only_handles! {
    pub mod raw;
}
sys::only_async_io! {
    mod async_io;
}
sys::only_mio! {
    mod mio;
}
sys::only_tokio! {
    pub mod tokio;
}
sys::only_openssl! {
    pub mod openssl;
}
