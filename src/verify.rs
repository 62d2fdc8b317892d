//! What protects this process ([`protection`]), and whether it works here ([`verify()`]).
//!
//! The build chooses the [techniques](Technique) by the name of the system. A system may still
//! silently ignore a flag that its headers define: an emulator, the kernel of a sandbox, a library
//! that is loaded before libc. Only a test of the running system shows that.
//!
//! ```
//! use epipe::verify::{self, Call, Error, Technique};
//!
//! match verify::verify() {
//!     Ok(protection) => {
//!         let first: Option<&Technique> = protection.socket_send().first();
//!         println!("sockets: {first:?}");
//!         println!("pipes: {:?}", protection.pipe_write());
//!     }
//!     Err(Error::SilentlyIgnored { technique: Technique::SendFlag, call: Call::SendMsg }) => {
//!         println!("sendmsg ignores its flag here; the next technique protects");
//!     }
//!     Err(Error::CannotAsk(error)) => println!("not verified: {error}"),
//!     Err(other) => println!("{other}"),
//! }
//! ```

pub use crate::sys::technique::{Call, Technique};
pub use crate::sys::verify::{Error, Protection};

/// Reports what protects this process now. It tests nothing.
///
/// The report leaves out each technique that the build refused, that was later refused for the
/// whole process, or that was found to be silently ignored. It also leaves out `write_flag` until
/// that flag has passed its test. The first of these calls makes the test: a write to a pipe, a
/// write of a [`NoSigpipe`](crate::NoSigpipe) to a regular file,
/// [`raw::write`](crate::raw::write()), [`io::pipe`](crate::io::pipe), [`verify()`].
///
/// ```
/// println!("{}", epipe::protection());
/// ```
pub fn protection() -> Protection {
    crate::sys::verify::protection()
}

/// Tests whether the running system honours its flags, and reports what protects this process.
///
/// `write_flag` (`RWF_NOSIGNAL`) is used only after it has passed a test, since gVisor accepts and
/// ignores it. The first write to a pipe makes that test, with one byte. This function tests it
/// too, in more ways. A test that cannot be made now is tried again at later writes, and a guard
/// protects until then.
///
/// A technique that is *refused* is no error: calls fall back to the next one, with or without this
/// function.
///
/// # What it tests
///
/// The function makes its own broken connections, and blocks SIGPIPE on this thread. Each call with
/// the flag must not raise; the same write without the flag must. It tests:
/// * `send`, `sendto` and `sendmsg`, with an address and without, on a Unix socket pair and on both
///   ends of TCP over loopback (IPv4 and IPv6, where they exist);
/// * `pwritev2`, on these sockets and on a pipe.
///
/// Each call is made with one byte and with more than 64 KiB, in one, two and three slices,
/// blocking and non-blocking.
///
/// # When to call it
///
/// Call it once, where a library is initialised, before it meets its first peer. It is for a system
/// that the build did not know: a portable binary, an emulator, a container on another kernel, a
/// process with an `LD_PRELOAD`. Also call it before a sandbox is set up that forbids `pipe2`,
/// above all one that *kills* for it.
///
/// Any thread may call it, also more than once. Each call makes the tests, in about a thousand
/// system calls and a millisecond. If the system does not change, the result is the same.
///
/// ```
/// # fn log(_: impl std::fmt::Display) {}
/// match epipe::verify() {
///     Ok(protection) => log(protection),
///     Err(error) => log(error), // if a flag is silently ignored, the next technique protects
/// }
/// ```
///
/// # Errors
///
/// [`Error::SilentlyIgnored`] has the first technique that is silently ignored, and the call that
/// showed it. This process does not use such a technique again, whatever this function returns.
///
/// [`Error::CannotAsk`] means that a test could not be made:
/// * no descriptor is free, a sandbox forbids sockets, or there is no loopback network;
/// * a SIGPIPE is already pending on this thread or its process. Foreign code may have raised it
///   under a [`Guard`](crate::sigpipe::Guard);
/// * a child that another thread has just forked holds the other end of the pipe;
/// * the call without the flag raised nothing. Linux queues the signal even while it is ignored, as
///   in every Rust `main`. A system that does not cannot be tested then.
///
/// # Limits
///
/// It finds only what it tests. A system can still kill if it ignores a flag in other cases: other
/// lengths, more slices, ancillary data, other flags, sockets with other options. The same is true
/// for other families (vsock, SCTP, MPTCP), for other threads, and now and then. There
/// [`sigpipe::suppressed`](crate::sigpipe::suppressed) protects. The function does not test what
/// foreign code passes to `sendmmsg`.
///
/// A SIGPIPE that another process sends (`kill`) during a test is taken, and may count as the
/// answer. Then a technique is lost, not the protection. If a system directs a SIGPIPE of its own
/// at the *process*, neither this function nor a guard can help.
///
/// A sandbox that *kills* on an unexpected call kills here. A firewall that drops packets on
/// loopback delays this function by a second.
///
/// # Platforms
///
/// * Apple, NetBSD and RTEMS direct SIGPIPE at the process, where a test would endanger the host's
///   other threads. Nothing is tested, and the result is [`Error::CannotAsk`].
/// * On AIX and QNX the flag is never trusted without a guard around it, so it is not tested.
/// * `socket_option` and `fd_flag` are tested on no system.
/// * Where no SIGPIPE exists, there is nothing to test.
#[doc(alias("MSG_NOSIGNAL", "RWF_NOSIGNAL", "LD_PRELOAD", "seccomp", "gVisor"))]
pub fn verify() -> Result<Protection, Error> {
    crate::sys::verify::verify()
}
