//! What protects this process ([`protection`]), and whether it holds here ([`verify()`]).
//!
//! The build has chosen by the name of the system. A system can still ignore in silence a flag that
//! its headers define: an emulator, a sandbox's kernel, a library that is loaded before libc. Only
//! its behaviour shows that, so it is asked.

pub use crate::sys::technique::{Call, Technique};
pub use crate::sys::verify::{Error, Protection};

/// Reports what protects this process now. It asks the system nothing.
///
/// Left out is what the build refused, and what was refused for the whole process or found to be
/// silently ignored since. So is `write_flag` until it has proven itself. The first of these asks:
/// a write to a pipe, a write of a [`NoSigpipe`](crate::NoSigpipe) to a regular file,
/// [`raw::write`](crate::raw::write()), [`io::pipe`](crate::io::pipe), [`verify()`].
///
/// ```
/// println!("{}", epipe::protection());
/// ```
pub fn protection() -> Protection {
    crate::sys::verify::protection()
}

/// Asks the running system whether it keeps what its flags promise; reports what protects this
/// process.
///
/// `write_flag` (`RWF_NOSIGNAL`) is used only after it has proven itself, since gVisor accepts and
/// ignores it. The first write to a pipe asks that by itself, with one byte; this function asks it
/// too, and more. What cannot be asked now is asked again at later writes, and a guard protects
/// until then.
///
/// Each call that carries a flag is made on a broken connection of this function's own, SIGPIPE
/// blocked on this thread, and must not raise; the same write without the flag must. Asked are
/// `send`, `sendto` and `sendmsg` on a Unix socket pair and on both ends of TCP over loopback (IPv4
/// and IPv6, where they are), without an address and with one; and `pwritev2` on those and on a
/// pipe. Each with one byte and with more than 64 KiB, in one, two and three slices, blocking and
/// non-blocking. A technique that is *refused* is no error: calls fall back to the next one, with
/// or without this function.
///
/// # When to call it
///
/// Once, where a library is initialised, before it meets its first peer, if it may run on a system
/// that its build did not know: a portable binary, an emulator, a container on another kernel, a
/// process with an `LD_PRELOAD`. Also before a sandbox is set up which forbids `pipe2`, and above
/// all one that *kills* for it. It may be called from any thread and again; each time it asks,
/// about a thousand system calls and a millisecond, and a system that does not change gives the
/// same answer.
///
/// ```
/// # fn log(_: impl std::fmt::Display) {}
/// match epipe::verify() {
///     Ok(protection) => log(protection),
///     Err(error) => log(error), // protected all the same, if a flag is silently ignored
/// }
/// ```
///
/// # Errors
///
/// [`Error::SilentlyIgnored`] has the first technique that is silently ignored, and the call that
/// showed it. This process does not use such a technique again, whatever this returns.
/// [`Error::CannotAsk`] if a question could not be asked: no descriptor is free, a sandbox forbids
/// sockets, there is no loopback network, or a SIGPIPE is pending already on this thread or its
/// process (also one that foreign code raised under a [`Guard`](crate::sigpipe::Guard)), or a child
/// that another thread forked just then holds the other end of the pipe. Also where the control
/// raises nothing: Linux queues the signal even while it is ignored, as in every Rust `main`; a
/// system that does not cannot be asked then.
///
/// # Limits
///
/// It finds only what it asks for. A system can still kill if it ignores a flag in other cases:
/// other lengths, more slices, ancillary data, other flags, sockets with other options, other
/// families (vsock, SCTP, MPTCP), calls of other threads, or only now and then. There
/// [`sigpipe::suppressed`](crate::sigpipe::suppressed) protects. It says nothing of what foreign
/// code passes to `sendmmsg`.
///
/// A SIGPIPE that another process sends (`kill`) in the middle of a question is taken, and may
/// count as the answer: a technique is lost then, not the protection. A system that directs a
/// SIGPIPE of its own at the *process* is beyond this function, and the guards.
///
/// A sandbox that *kills* on a call it does not expect kills here. A firewall that drops packets on
/// loopback holds this up for a second.
///
/// # Platforms
///
/// Apple, NetBSD and RTEMS direct SIGPIPE at the process, where a question would endanger the
/// host's other threads: nothing is asked, and the answer is [`Error::CannotAsk`]. On AIX and QNX
/// the flag is never trusted without a guard round it, so it is not asked either; and nowhere are
/// `socket_option` and `fd_flag`. Where no SIGPIPE exists there is nothing to ask.
pub fn verify() -> Result<Protection, Error> {
    crate::sys::verify::verify()
}
