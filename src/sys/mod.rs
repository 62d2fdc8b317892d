//! What each system needs. Systems are named only here and in `src/os`. All other files use the
//! `cfg`s of the table.
//!
//! | to find | look in |
//! |---|---|
//! | what a system has, one row each | `table.rs`, THE table |
//! | a send on a socket, and what happens when it fails | `socket.rs` |
//! | the same for a write to anything else | `pipe.rs`; for the adapter, `descriptor.rs` |
//! | a technique that is a flag, with its sources | `{send,write,fd}_flag.rs` |
//! | the other techniques | `socket_option.rs`, `thread_mask.rs`, `process_handler.rs` |
//! | which guard a system has | `guard.rs`; which threads are under one, `threads.rs` |
//! | when a flag is refused or silently ignored | `trust.rs`, `probe.rs` |

// Linux uses all that the rows share, so unused code is an error there. Other rows use less of it.
#![cfg_attr(not(kernel = "linux"), allow(dead_code, unused_imports))]

pub(crate) mod handle;
pub(crate) mod option;
pub(crate) mod technique;
pub(crate) mod verify;

#[cfg(unix)]
pub(crate) mod before_main;
#[cfg(has_udp_connreset)]
pub(crate) mod udp_connreset;
#[cfg(unix)]
pub(crate) mod unix_socket;

#[cfg(sigpipe)]
mod call;
#[cfg(sigpipe)]
mod constant;
#[cfg(sigpipe)]
mod descriptor;
#[cfg(sigpipe)]
mod errno;
#[cfg(fd_flag)]
mod fd_flag;
#[cfg(sigpipe)]
pub(crate) mod guard;
#[cfg(sigpipe)]
pub(crate) mod pipe;
#[cfg(send_flag)]
mod probe;
#[cfg(sigpipe)]
mod process_handler;
#[cfg(send_flag)]
mod send_flag;
#[cfg(sigpipe)]
mod sendfile;
#[cfg(sigpipe)]
mod signal;
#[cfg(sigpipe)]
pub(crate) mod socket;
#[cfg(socket_option)]
mod socket_option;
#[cfg(sigpipe)]
mod thread_mask;
#[cfg(sigpipe)]
mod threads;
#[cfg(sigpipe)]
mod trust;
#[cfg(write_flag)]
mod write_flag;

#[cfg(not(sigpipe))]
mod not_needed;
#[cfg(not(sigpipe))]
pub(crate) use not_needed::DescriptorState;
#[cfg(all(not(sigpipe), has_fd))]
pub(crate) use not_needed::pipe;
#[cfg(not(sigpipe))]
pub(crate) use not_needed::{disposition, guard, ignore, restore_default, socket};

#[cfg(sigpipe)]
pub(crate) use {
    descriptor::DescriptorState,
    process_handler::{disposition, ignore, restore_default},
    sendfile::sendfile,
};

#[cfg(has_sendfile)]
pub(crate) use sendfile::sendfile_once;
#[cfg(has_splice)]
pub(crate) mod copy;

/// What a SIGPIPE does to this process: see [`disposition`](crate::sigpipe::disposition).
///
/// ```
/// use epipe::sigpipe::{Disposition, disposition};
///
/// match disposition()? {
///     Disposition::Default => println!("a SIGPIPE ends this process"),
///     Disposition::Ignored => println!("a SIGPIPE does nothing"),
///     Disposition::Handled => println!("a SIGPIPE runs a handler of the host"),
///     _ => {}
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Disposition {
    /// The signal ends the process (`SIG_DFL`).
    #[doc(alias = "SIG_DFL")]
    Default,
    /// The signal is discarded (`SIG_IGN`), or the system has no such signal.
    #[doc(alias = "SIG_IGN")]
    Ignored,
    /// The signal runs a handler that the host installed.
    Handled,
}

/// The number of bytes in all slices. The sum saturates: no call takes more than a `usize` counts.
pub(crate) fn total(bufs: &[std::io::IoSlice<'_>]) -> usize {
    bufs.iter().fold(0, |sum, buf| sum.saturating_add(buf.len()))
}

/// For a call whose length is not known: every count is treated as short.
pub(crate) const UNKNOWN_LENGTH: usize = usize::MAX;
