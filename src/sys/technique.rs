//! The names of the techniques and of the calls that carry a flag. `build.rs` reads this file too.

use std::fmt;

/// One way to keep SIGPIPE away. Its `Display` is the name that `EPIPE_REFUSE` takes.
///
/// ```
/// use epipe::verify::Technique;
///
/// assert_eq!(Technique::SendFlag.to_string(), "send_flag");
///
/// let protection = epipe::protection();
/// let cost = match protection.pipe_write().first() {
///     Some(Technique::SendFlag | Technique::WriteFlag | Technique::NotNeeded) => "nothing",
///     Some(Technique::SocketOption | Technique::FdFlag) => "one system call",
///     Some(Technique::ThreadMask | Technique::ProcessHandler) => "a guard",
///     _ => "unknown",
/// };
/// println!("the protection of a write to a pipe costs {cost}");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Technique {
    /// `MSG_NOSIGNAL` on every send.
    #[doc(alias = "MSG_NOSIGNAL")]
    SendFlag,
    /// `SO_NOSIGPIPE` on the socket.
    #[doc(alias = "SO_NOSIGPIPE")]
    SocketOption,
    /// `F_SETNOSIGPIPE` on the pipe.
    #[doc(alias = "F_SETNOSIGPIPE")]
    FdFlag,
    /// `RWF_NOSIGNAL` on every write.
    #[doc(alias = "RWF_NOSIGNAL")]
    WriteFlag,
    /// SIGPIPE is blocked on this thread during the call.
    #[doc(alias = "pthread_sigmask")]
    ThreadMask,
    /// A handler that does nothing replaces the default action during the call. On Apple it may
    /// stay.
    #[doc(alias = "sigaction")]
    ProcessHandler,
    /// The system has no SIGPIPE.
    NotNeeded,
}

impl Technique {
    /// Those that a packager can refuse.
    #[allow(dead_code)] // for build.rs
    pub(crate) const REFUSABLE: [Technique; 6] = [
        Technique::SendFlag,
        Technique::SocketOption,
        Technique::FdFlag,
        Technique::WriteFlag,
        Technique::ThreadMask,
        Technique::ProcessHandler,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Technique::SendFlag => "send_flag",
            Technique::SocketOption => "socket_option",
            Technique::FdFlag => "fd_flag",
            Technique::WriteFlag => "write_flag",
            Technique::ThreadMask => "thread_mask",
            Technique::ProcessHandler => "process_handler",
            Technique::NotNeeded => "not_needed",
        }
    }
}

impl fmt::Display for Technique {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A system call that takes a flag against SIGPIPE. Its `Display` is the call's name.
///
/// ```
/// # use epipe::verify::Call;
/// let calls = [Call::Send, Call::SendTo, Call::SendMsg, Call::Pwritev2];
/// let names = calls.map(|call| call.to_string());
/// assert_eq!(names, ["send", "sendto", "sendmsg", "pwritev2"]);
/// ```
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
