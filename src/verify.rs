//! What protects this process ([`protection`]), and whether it holds here ([`verify()`]).
//!
//! The build has chosen by the name of the system. A system can still ignore in silence a flag that
//! its headers define: an emulator, a sandbox's kernel, a library that is loaded before libc. Only
//! its behaviour shows that, so it is asked.

use std::fmt;
use std::io;

pub use crate::sys::technique::{Call, Technique};

/// What protects each kind of write of this process, as far as it is known now.
///
/// Each seat names its techniques in the order in which they are tried: the first one protects, and a
/// call that it refuses falls to the next. [`Display`](fmt::Display) is a small table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    pub(crate) socket_send: Vec<Technique>,
    pub(crate) foreign_write: Vec<Technique>,
    pub(crate) pipe_write: Vec<Technique>,
    pub(crate) sendfile: Vec<Technique>,
}

impl Protection {
    /// A write of this crate to a socket: of its types, and of `raw`'s send family.
    pub fn socket_send(&self) -> &[Technique] {
        &self.socket_send
    }

    /// A write that foreign code makes to a socket of this crate. Where this is empty nothing
    /// protects it but [`sigpipe::suppressed`](crate::sigpipe::suppressed) around it.
    pub fn foreign_write(&self) -> &[Technique] {
        &self.foreign_write
    }

    /// A write of this crate to a pipe, also by `raw::write`.
    pub fn pipe_write(&self) -> &[Technique] {
        &self.pipe_write
    }

    /// A call of this crate on a socket that takes no flags: `sendfile`, where there is one.
    pub fn sendfile(&self) -> &[Technique] {
        &self.sendfile
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Protection {
            socket_send,
            foreign_write,
            pipe_write,
            sendfile,
        } = self;
        let seats = [
            ("socket send", socket_send),
            ("foreign write", foreign_write),
            ("pipe write", pipe_write),
            ("sendfile", sendfile),
        ];
        for (number, (seat, techniques)) in seats.into_iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            write!(f, "{seat:<15}")?;
            if techniques.is_empty() {
                f.write_str("nothing: put sigpipe::suppressed around it")?;
            }
            for (number, technique) in techniques.iter().enumerate() {
                let or = if number > 0 { ", else " } else { "" };
                write!(f, "{or}{technique}")?;
            }
        }
        Ok(())
    }
}

/// Why [`verify()`] does not say that all is well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The call raised SIGPIPE in spite of the technique's flag. The technique is not used again in this
    /// process, so what this crate writes is protected all the same.
    #[error(
        "{technique} is silently ignored: {call} raises SIGPIPE in spite of it; this process stops using it"
    )]
    SilentlyIgnored {
        /// The technique that the system only pretends to have.
        technique: Technique,
        /// The first call that showed it.
        call: Call,
    },
    /// The system could not be asked: what the build has chosen stands, unverified.
    #[error("what protects from SIGPIPE cannot be verified: {0}")]
    CannotAsk(io::Error),
}

/// Tells what protects this process now. It asks the system nothing.
///
/// What the build refused is not among it, nor what has been refused for the whole process or found
/// lying since. A technique that has not met its system yet is: on Linux before 6.18 the first pipe
/// write (or [`verify()`]) finds out that there is no `write_flag`.
///
/// ```
/// println!("{}", epipe::protection());
/// ```
pub fn protection() -> Protection {
    crate::sys::protection()
}

/// Asks the running system whether it keeps what its flags promise; tells what protects this
/// process.
///
/// Each call that carries a flag is made on a broken connection of this function's own, SIGPIPE
/// blocked on this thread, and must not raise; the same write without the flag must. Asked are
/// `send`, `sendto` and `sendmsg` on a Unix socket pair and on both ends of TCP over loopback (IPv4
/// and IPv6, where they are), without an address and with one; and `pwritev2` on those and on a
/// pipe. Each with one byte and with more than 64 KiB, in one, two and three slices, blocking and
/// non-blocking. A technique that is *refused* is no lie: calls fall to the next one, with or without
/// this function.
///
/// # When to call it
///
/// Once, where a library is initialised, before it meets its first peer, if it may run on a
/// system that its build did not know: a portable binary, an emulator, a container on somebody
/// else's kernel, a process with an `LD_PRELOAD`. It may be called from any thread and again; each
/// time it asks, about a thousand system calls and a millisecond, and a system that does not
/// change gives the same answer.
///
/// ```
/// # fn log(_: impl std::fmt::Display) {}
/// match epipe::verify() {
///     Ok(protection) => log(protection),
///     Err(error) => log(error), // protected all the same, if it is a lie
/// }
/// ```
///
/// # Errors
///
/// [`Error::SilentlyIgnored`] names the first technique and call that lie; each technique that lies is not used again in
/// this process, whatever this returns. [`Error::CannotAsk`] if a question could not be asked: no
/// descriptor is free, a sandbox forbids sockets, there is no loopback network, or a SIGPIPE is
/// pending already on this thread or its process (also one that foreign code raised under a
/// [`Guard`](crate::sigpipe::Guard)), or a child that another thread forked just then holds the
/// other end of the pipe. Also where the control raises nothing: Linux queues the signal
/// even while it is ignored, as in every Rust `main`; a system that does not cannot be asked then.
///
/// # Limits
///
/// It finds a liar by what it asked. A system that lies about other lengths, more slices, ancillary
/// data, other flags, sockets with other options, other families (vsock, SCTP, MPTCP), calls of
/// other threads, or only now and then, can still kill: there
/// [`sigpipe::suppressed`](crate::sigpipe::suppressed) protects. It says nothing of what foreign
/// code passes to `sendmmsg`.
///
/// A SIGPIPE that somebody sends to the process (`kill`) in the middle of a question is taken, and
/// may pass for a lie: a technique is lost then, not the protection. One that a liar sends to the
/// *process* by itself is beyond this function, and the guards.
///
/// A sandbox that *kills* on a call it does not expect kills here. A firewall that drops packets on
/// loopback holds this up for a second.
///
/// # Platforms
///
/// Apple, NetBSD and RTEMS direct SIGPIPE at the process, where a question would endanger the host's
/// other threads: nothing is asked, and the answer is [`Error::CannotAsk`]. On AIX and QNX the flag
/// is never trusted without a guard round it, so it is not asked either; and nowhere are
/// `socket_option` and `fd_flag`. Where no SIGPIPE exists there is nothing to ask.
pub fn verify() -> Result<Protection, Error> {
    crate::sys::verify()
}
