//! Code that is not ours: the crates and programs that write to a handle which we protect.

use crate::Group;

#[cfg(feature = "async-io")]
mod async_io;
#[cfg(feature = "mio")]
mod mio;
mod programs;
mod rustls;
mod system_calls;
mod tls;
#[cfg(feature = "tokio")]
mod tokio;

pub const GROUPS: &[Group] = &[
    system_calls::scenes,
    rustls::scenes,
    programs::scenes,
    #[cfg(feature = "async-io")]
    async_io::scenes,
    #[cfg(feature = "mio")]
    mio::scenes,
    #[cfg(feature = "tokio")]
    tokio::scenes,
];
