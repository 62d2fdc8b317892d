//! What each system needs: the contract, THE table, and one file a technique.
//!
//! A *technique* is one technique that keeps SIGPIPE away. A system climbs several at once, and a
//! technique that is refused at run time hands its call to the next one. This directory is the
//! only place where code names systems; all other files ask it and know none.
//!
//! The facts behind the table, with their sources, stand at the head of each technique's file; how each
//! row was verified, in the README.

// Linux uses all that the rows share, so there unused code is an error; other rows use less of it.
#![cfg_attr(not(target_os = "linux"), allow(dead_code, unused_imports))]

use std::ffi::c_int;
use std::io::{self, IoSlice};

use cfg_if::cfg_if;

#[cfg(unix)]
mod before_main;
mod datagram;
mod disconnect;
pub(crate) mod handle;
mod only;
pub(crate) mod option;
#[cfg(unix)]
mod path;
pub(crate) mod technique;

#[cfg(unix)]
pub(crate) use before_main::default_in_child;
pub(crate) use datagram::*;
pub(crate) use disconnect::disconnect;
pub(crate) use only::*;
#[cfg(unix)]
pub(crate) use path::*;
only_socket2! {
    pub(crate) mod queue;
}

// ------------------------------------------------------------------ the contract ----

/// What a socket type asks of its system. The types call nothing else to write.
///
/// `plain` is always std's own call, as the twin would make it; it is the answer where no
/// SIGPIPE exists.
pub(crate) trait ShieldSocket: Default {
    /// Takes a socket into care, whichever way it came. Never fails: what is refused here
    /// is made good by the next technique at each write.
    fn arm<S: handle::Socket>(&self, socket: &S);

    /// `Write::write` of a stream.
    fn write<S: handle::Stream>(&self, stream: &S, buf: &[u8]) -> io::Result<usize>;

    /// `Write::write_vectored` of a stream.
    fn write_vectored<S: handle::Stream>(
        &self,
        stream: &S,
        bufs: &[IoSlice<'_>],
    ) -> io::Result<usize>;

    /// `send` of a connected datagram socket.
    fn send<S: handle::Socket>(
        &self,
        socket: &S,
        buf: &[u8],
        plain: impl Fn() -> io::Result<usize> + Copy,
    ) -> io::Result<usize>;

    /// `send_to` of a datagram socket.
    fn send_to<S: handle::Socket, A: handle::Address>(
        &self,
        socket: &S,
        buf: &[u8],
        address: &A,
        plain: impl Fn() -> io::Result<usize> + Copy,
    ) -> io::Result<usize>;
}

only_socket2! {
    /// What `epipe::Socket` and `epipe::raw` ask: socket2's calls, with flags added.
    pub(crate) trait ShieldCall: ShieldSocket {
        /// One call of the send family that offers `len` bytes; `call(flags)` makes it with
        /// `flags` added to the caller's.
        fn call<S: handle::Socket>(
            &self,
            socket: &S,
            len: usize,
            call: impl Fn(c_int) -> io::Result<usize> + Copy,
        ) -> io::Result<usize>;

        /// A call on a socket that takes no flags and may raise (`sendfile`).
        #[allow(dead_code)] // not every system has such a call
        fn run<S: handle::Socket>(
            &self,
            socket: &S,
            call: impl Fn() -> io::Result<usize> + Copy,
        ) -> io::Result<usize>;
    }
}

/// The bytes of all slices; more than a `usize` counts is more than any call takes.
pub(crate) fn total(bufs: &[IoSlice<'_>]) -> usize {
    bufs.iter()
        .fold(0, |sum, buf| sum.saturating_add(buf.len()))
}

/// The length of a call that does not tell it: whatever it takes may be less.
pub(crate) const UNKNOWN_LENGTH: usize = usize::MAX;

/// What a pipe, or a descriptor of unknown kind, asks of its system.
pub(crate) trait ShieldPipe: Default {
    /// `Write::write`.
    fn write<P: handle::Pipe>(&self, pipe: &P, buf: &[u8]) -> io::Result<usize>;

    /// `Write::write_vectored`. Any number of slices: what the system cannot take at once is cut, as
    /// std does.
    fn write_vectored<P: handle::Pipe>(&self, pipe: &P, bufs: &[IoSlice<'_>]) -> io::Result<usize>;
}

/// What `NoSigpipe` asks of its system: a handle of somebody else's type, and of any kind.
///
/// `plain` is the handle's own call.
pub(crate) trait ShieldHandle: Default {
    /// Finds out what the handle is, and takes it into care. An error means that it is no handle.
    fn adopt<H: Handle>(&self, handle: &H) -> io::Result<()>;

    /// What another handle of the same descriptor may know from the start.
    #[allow(dead_code)] // for a feature
    fn shared(&self) -> Self;

    /// One write, straight to the handle.
    fn write<H: Handle>(
        &self,
        handle: &mut H,
        buf: &[u8],
        plain: impl FnOnce(&mut H) -> io::Result<usize>,
    ) -> io::Result<usize>;

    /// The same of many slices.
    fn write_vectored<H: Handle>(
        &self,
        handle: &mut H,
        bufs: &[IoSlice<'_>],
        plain: impl FnOnce(&mut H) -> io::Result<usize>,
    ) -> io::Result<usize>;
}

/// The last technique of every ladder, and what `sigpipe::guard` puts around foreign code.
pub(crate) trait Guard {
    /// Begins to protect this thread. Nests.
    fn enter() -> io::Result<()>;

    /// Ends what one `enter` began, in whatever order. Leaves `errno` alone.
    fn leave();
}

// --------------------------------------------------------------------- THE table ----
//
// Three questions: is there a SIGPIPE; whom does it go to, which decides the guard; which techniques
// come before the guard. `Sockets` is for what this crate sends on a socket, `Pipes` for what it
// writes to anything else. `(A, (B, ThreadGuard))` reads: A; where A is refused, B; else the guard.

cfg_if! {
    // No SIGPIPE: every call is std's own.
    if #[cfg(any(
        not(unix),
        // Read in their source: none of these raises SIGPIPE.
        target_os = "emscripten",
        target_os = "espidf",
        target_os = "horizon",
        target_os = "nuttx",
        target_os = "vita",
        // Not seen; std resets no SIGPIPE there.
        target_os = "fuchsia",
        target_os = "vxworks",
    ))] {
        mod not_needed;

        /// What only the systems that raise SIGPIPE need.
        #[allow(unused_macros)] // for a feature
        macro_rules! only_raising {
            ($($item:item)*) => {};
        }
        /// What only the others need.
        #[allow(unused_macros)] // for a feature
        macro_rules! only_quiet {
            ($($item:item)*) => { $($item)* };
        }
        #[allow(unused_imports)] // for a feature
        pub(crate) use {only_quiet, only_raising};

        pub(crate) type SocketShield = not_needed::NotNeeded;
        pub(crate) type PipeShield = not_needed::NotNeeded;
        pub(crate) type HandleShield = not_needed::NotNeeded;
        pub(crate) type ThreadGuard = not_needed::NotNeeded;
        pub(crate) use not_needed::{
            Anything as Handle, disposition, ignore, protection, verify,
        };
        only_socket2! {
            pub(crate) use not_needed::receive_by;
        }
        pub(crate) use std::io::copy;
    } else {
        mod call;
        mod climb;
        /// What only these systems need.
        #[allow(unused_macros)] // for a feature
        macro_rules! only_raising {
            ($($item:item)*) => { $($item)* };
        }
        /// What only the others need.
        #[allow(unused_macros)] // for a feature
        macro_rules! only_quiet {
            ($($item:item)*) => {};
        }
        #[allow(unused_imports)] // for a feature
        pub(crate) use {only_quiet, only_raising};

        mod constant;
        mod descriptor;
        pub(crate) mod errno;
        mod poll;
        mod process_handler;
        mod refusal;
        mod sendfile;
        mod signal;

        /// What can be taken into care.
        pub(crate) use std::os::fd::AsFd as Handle;

        pub(crate) use climb::{protection, verify};
        pub(crate) use poll::{receive_by, wait_readable};
        pub(crate) use process_handler::{disposition, ignore};
        pub(crate) use sendfile::sendfile;

        cfg_if! {
            // The systems where std, too, copies inside the kernel.
            if #[cfg(any(target_os = "android", target_os = "linux"))] {
                mod copy;
                pub(crate) use copy::copy;
            } else {
                pub(crate) use std::io::copy;
            }
        }

        pub(crate) type SocketShield = climb::ClimbSocket<Sockets>;
        pub(crate) type PipeShield = climb::ClimbPipe<Pipes>;
        pub(crate) type HandleShield = descriptor::Descriptor<Sockets, Pipes>;

        // The guard, which is the last technique.
        cfg_if! {
            // SIGPIPE goes to the *process* here: a thread's mask protects nobody
            // (XNU uipc_syscalls.c psignal; NetBSD uipc_syscalls.c psignal; RTEMS fifo.c kill).
            if #[cfg(any(target_vendor = "apple", target_os = "netbsd", target_os = "rtems"))] {
                #[cfg(epipe_refused = "process_handler")]
                compile_error!(
                    "epipe: `process_handler` is the only guard of this system and is refused"
                );
                pub(crate) type ThreadGuard = process_handler::ProcessHandler;
                const RAISED_AT_THREAD: bool = false;
            } else if #[cfg(epipe_refused = "thread_mask")] {
                #[cfg(epipe_refused = "process_handler")]
                compile_error!(
                    "epipe: every guard is refused (`thread_mask` and `process_handler`); leave one"
                );
                pub(crate) type ThreadGuard = process_handler::ProcessHandler;
                const RAISED_AT_THREAD: bool = true;
            } else {
                mod thread_mask;
                pub(crate) type ThreadGuard = thread_mask::ThreadMask;
                const RAISED_AT_THREAD: bool = true;
            }
        }

        // The techniques before it.
        cfg_if! {
            // x32 passes pwritev2's offset in one word, not two: no write_flag there. (OpenHarmony's
            // filter kills as Android's does; that of its apps knows pwritev2.)
            if #[cfg(all(
                target_os = "linux",
                not(all(target_arch = "x86_64", target_pointer_width = "32")),
            ))] {
                mod probe;
                mod send_flag;
                mod write_flag;
                type Sockets = (send_flag::SendFlag, ThreadGuard);
                type Pipes = (write_flag::WriteFlag, ThreadGuard);
            } else if #[cfg(target_vendor = "apple")] {
                mod fd_flag;
                mod probe;
                mod send_flag;
                mod socket_option;
                // The flag is silently ignored before macOS 11, iOS and tvOS 14, watchOS 7:
                // without the option it is trusted only inside the guard.
                type Sockets = (
                    socket_option::SocketOption,
                    send_flag::Inside,
                );
                type Pipes = (
                    socket_option::SocketOption,
                    (fd_flag::FdFlag, ThreadGuard),
                );
            } else if #[cfg(target_os = "netbsd")] {
                mod fd_flag;
                mod probe;
                mod send_flag;
                mod socket_option;
                type Sockets = (
                    send_flag::SendFlag,
                    (socket_option::SocketOption, ThreadGuard),
                );
                // The option first: on a socket the next setsockopt of anybody would erase
                // the fd flag, and only the option is sticky.
                type Pipes = (
                    socket_option::SocketOption,
                    (fd_flag::FdFlag, ThreadGuard),
                );
            } else if #[cfg(any(target_os = "freebsd", target_os = "dragonfly"))] {
                mod probe;
                mod send_flag;
                mod socket_option;
                type Sockets = (
                    send_flag::SendFlag,
                    (socket_option::SocketOption, ThreadGuard),
                );
                type Pipes = ThreadGuard;
            } else if #[cfg(any(
                target_os = "linux",
                // Not write_flag on Android: its app filter kills by SIGSYS instead of
                // answering.
                target_os = "android",
                target_os = "cygwin",
                target_os = "haiku",
                target_os = "hurd",
                target_os = "illumos",
                target_os = "openbsd",
                target_os = "solaris",
            ))] {
                mod probe;
                mod send_flag;
                type Sockets = (send_flag::SendFlag, ThreadGuard);
                type Pipes = ThreadGuard;
            } else if #[cfg(any(target_os = "aix", target_os = "nto"))] {
                mod probe;
                mod send_flag;
                // AIX documents no such flag, and QNX's value depends on the network stack:
                // belt and braces.
                type Sockets = send_flag::Inside;
                type Pipes = ThreadGuard;
            } else {
                // Redox (its libc rejected the flag in mid-2026), RTEMS (only its pipes raise), and
                // every Unix that this table does not know.
                type Sockets = ThreadGuard;
                type Pipes = ThreadGuard;
            }
        }
    }
}
