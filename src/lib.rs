#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod macros;
mod sys;

pub mod io;
pub mod net;
pub mod os;
pub mod sigpipe;
pub mod verify;

pub use verify::{protection, verify};

sys::only_socket2! {
    mod socket;
    pub use socket::Socket;
    pub use socket2;
}
sys::only_handles! {
    pub mod raw;
}
