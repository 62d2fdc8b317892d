//! [`close`]: mod@crate::close
//! [`queue`]: mod@crate::queue
//! [`Disconnect`]: crate::Disconnect
//! [`fifo`]: mod@crate::fifo
//! [`private`]: mod@crate::private
#![doc = include_str!("../README.md")]

#[cfg(has_socket2)]
pub mod close;
mod disconnect;
#[cfg(has_fifo)]
pub mod fifo;
#[cfg(has_unix_sockets)]
pub mod private;
#[cfg(has_socket2)]
pub mod queue;
mod sys;

pub use disconnect::{Disconnect, DisconnectExt};
