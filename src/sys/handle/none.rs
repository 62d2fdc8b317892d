//! Systems without handles: std's types are all there is.

/// A socket.
pub(crate) trait Socket {}
impl<T> Socket for T {}

/// A pipe.
pub(crate) use super::StdWrite as Pipe;

/// Where a datagram is sent.
pub(crate) trait Address {}
impl<T> Address for T {}

macro_rules! socket_handles {
    ($ours:ident, $std:ty) => {};
}
pub(crate) use socket_handles;

macro_rules! pipe_handles {
    ($ours:ident, $std:ty, $($child:ident)+) => {};
}
pub(crate) use pipe_handles;

macro_rules! adapter_handles {
    ($ours:ident) => {};
}
pub(crate) use adapter_handles;
