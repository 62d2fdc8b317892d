//! The names of the rungs and of the calls that carry a flag. `build.rs` reads this file too.

use std::fmt;

/// One technique that keeps SIGPIPE away. Its `Display` is the name that `EPIPE_REFUSE` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rung {
    /// `MSG_NOSIGNAL` on every send.
    SendFlag,
    /// `SO_NOSIGPIPE` on the socket.
    SocketOption,
    /// `F_SETNOSIGPIPE` on the pipe.
    FdFlag,
    /// `RWF_NOSIGNAL` on every write.
    WriteFlag,
    /// SIGPIPE is blocked on this thread round the call.
    ThreadMask,
    /// A handler that does nothing stands in the process round the call.
    ProcessHandler,
    /// The system has no SIGPIPE.
    NotNeeded,
}

impl Rung {
    /// A signal that does not exist cannot be refused.
    #[allow(dead_code)] // for build.rs
    pub(crate) const REFUSABLE: [Rung; 6] = [
        Rung::SendFlag,
        Rung::SocketOption,
        Rung::FdFlag,
        Rung::WriteFlag,
        Rung::ThreadMask,
        Rung::ProcessHandler,
    ];
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Rung::SendFlag => "send_flag",
            Rung::SocketOption => "socket_option",
            Rung::FdFlag => "fd_flag",
            Rung::WriteFlag => "write_flag",
            Rung::ThreadMask => "thread_mask",
            Rung::ProcessHandler => "process_handler",
            Rung::NotNeeded => "not_needed",
        })
    }
}

/// A system call that takes a flag against SIGPIPE. Its `Display` is the call's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Call {
    /// `send(2)`.
    Send,
    /// `sendto(2)`.
    SendTo,
    /// `sendmsg(2)`.
    SendMsg,
    /// `pwritev2(2)`.
    Pwritev2,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Call::Send => "send",
            Call::SendTo => "sendto",
            Call::SendMsg => "sendmsg",
            Call::Pwritev2 => "pwritev2",
        })
    }
}
