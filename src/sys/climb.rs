//! Climbing: each call is offered to the first rung, and what it refuses to the next.
//!
//! A ladder is written as nested pairs that end in a guard, which never refuses:
//! `(SendFlag, (SocketOption, ThreadMask))`.

use std::ffi::c_int;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use socket2::SockRef;

use super::{Guard, ShieldCall, ShieldPipe, ShieldSocket, UNKNOWN_LENGTH, handle, send, total};

/// A technique for sockets. It may refuse a call (`None`) and hand it to the next rung.
pub(crate) trait SocketRung {
    /// What one socket has to remember, `()` where that is nothing.
    type Memory: Default;

    /// A socket comes into care.
    fn arm(memory: &Self::Memory, socket: BorrowedFd<'_>);

    /// A call of the send family; `call(flags)` makes it with `flags` added.
    fn send(
        memory: &Self::Memory,
        socket: BorrowedFd<'_>,
        call: &impl Fn(c_int) -> io::Result<usize>,
    ) -> Option<io::Result<usize>>;

    /// A call that takes no flags.
    fn run(
        memory: &Self::Memory,
        socket: BorrowedFd<'_>,
        call: &impl Fn() -> io::Result<usize>,
    ) -> Option<io::Result<usize>>;
}

/// A technique for pipes, and for descriptors of unknown kind. It may refuse as well.
pub(crate) trait PipeRung {
    /// What one descriptor has to remember, `()` where that is nothing.
    type Memory: Default;

    /// One write of `bufs`; `call` is the plain one.
    fn write(
        memory: &Self::Memory,
        fd: BorrowedFd<'_>,
        bufs: &[IoSlice<'_>],
        call: &impl Fn() -> io::Result<usize>,
    ) -> Option<io::Result<usize>>;
}

/// A guard as the last rung, which never refuses.
pub(crate) trait LastRung: Guard {
    /// Runs one system call of this crate that offers `len` bytes.
    ///
    /// The call may have raised SIGPIPE where it reports EPIPE *or fewer than `len` bytes*:
    /// a pipe whose reader leaves in the middle of a write raises, and reports what it had
    /// taken (Linux fs/pipe.c `pipe_write`).
    fn own(len: usize, call: impl FnOnce() -> io::Result<usize>) -> io::Result<usize>;

    /// Whether this thread stands under a guard, so that a plain call is a protected one.
    fn held() -> bool;
}

/// Rungs for sockets, down to a guard: it always answers.
pub(crate) trait SocketLadder {
    type Memory: Default;

    fn arm(memory: &Self::Memory, socket: BorrowedFd<'_>);

    fn send(
        memory: &Self::Memory,
        socket: BorrowedFd<'_>,
        len: usize,
        call: &impl Fn(c_int) -> io::Result<usize>,
    ) -> io::Result<usize>;

    fn run(
        memory: &Self::Memory,
        socket: BorrowedFd<'_>,
        call: &impl Fn() -> io::Result<usize>,
    ) -> io::Result<usize>;
}

impl<R: SocketRung, L: SocketLadder> SocketLadder for (R, L) {
    type Memory = (R::Memory, L::Memory);

    fn arm(memory: &Self::Memory, socket: BorrowedFd<'_>) {
        R::arm(&memory.0, socket);
        L::arm(&memory.1, socket);
    }

    #[inline]
    fn send(
        memory: &Self::Memory,
        socket: BorrowedFd<'_>,
        len: usize,
        call: &impl Fn(c_int) -> io::Result<usize>,
    ) -> io::Result<usize> {
        R::send(&memory.0, socket, call).unwrap_or_else(|| L::send(&memory.1, socket, len, call))
    }

    fn run(
        memory: &Self::Memory,
        socket: BorrowedFd<'_>,
        call: &impl Fn() -> io::Result<usize>,
    ) -> io::Result<usize> {
        R::run(&memory.0, socket, call).unwrap_or_else(|| L::run(&memory.1, socket, call))
    }
}

impl<G: LastRung> SocketLadder for G {
    type Memory = ();

    fn arm((): &(), _: BorrowedFd<'_>) {}

    fn send(
        (): &(),
        _: BorrowedFd<'_>,
        len: usize,
        call: &impl Fn(c_int) -> io::Result<usize>,
    ) -> io::Result<usize> {
        G::own(len, || call(0))
    }

    fn run((): &(), _: BorrowedFd<'_>, call: &impl Fn() -> io::Result<usize>) -> io::Result<usize> {
        G::own(UNKNOWN_LENGTH, call)
    }
}

/// Rungs for pipes, down to a guard: it always answers.
pub(crate) trait PipeLadder {
    type Memory: Default;

    fn write(
        memory: &Self::Memory,
        fd: BorrowedFd<'_>,
        bufs: &[IoSlice<'_>],
        call: &impl Fn() -> io::Result<usize>,
    ) -> io::Result<usize>;
}

impl<R: PipeRung, L: PipeLadder> PipeLadder for (R, L) {
    type Memory = (R::Memory, L::Memory);

    fn write(
        memory: &Self::Memory,
        fd: BorrowedFd<'_>,
        bufs: &[IoSlice<'_>],
        call: &impl Fn() -> io::Result<usize>,
    ) -> io::Result<usize> {
        R::write(&memory.0, fd, bufs, call).unwrap_or_else(|| L::write(&memory.1, fd, bufs, call))
    }
}

impl<G: LastRung> PipeLadder for G {
    type Memory = ();

    fn write(
        (): &(),
        _: BorrowedFd<'_>,
        bufs: &[IoSlice<'_>],
        call: &impl Fn() -> io::Result<usize>,
    ) -> io::Result<usize> {
        G::own(total(bufs), call)
    }
}

/// The slices that one call takes: std cuts what is more, and so do we. Sixteen is what
/// POSIX promises of a system that names no number.
pub(crate) fn cut<'a, 'b>(bufs: &'a [IoSlice<'b>]) -> &'a [IoSlice<'b>] {
    const LIMIT: usize = {
        cfg_if::cfg_if! {
            if #[cfg(any(target_os = "linux", target_os = "android", target_os = "nto"))] {
                libc::UIO_MAXIOV as usize
            } else if #[cfg(any(
                target_os = "cygwin",
                target_os = "dragonfly",
                target_os = "freebsd",
                target_os = "netbsd",
                target_os = "openbsd",
                target_vendor = "apple",
            ))] {
                libc::IOV_MAX as usize
            } else {
                16
            }
        }
    };
    &bufs[..bufs.len().min(LIMIT)]
}

/// What a socket type holds: its ladder's memory of this one socket.
pub(crate) struct ClimbSocket<L: SocketLadder>(L::Memory);

/// What a pipe type holds: its ladder's memory of this one descriptor.
pub(crate) struct ClimbPipe<L: PipeLadder>(L::Memory);

impl<L: SocketLadder> Default for ClimbSocket<L> {
    fn default() -> Self {
        ClimbSocket(L::Memory::default())
    }
}

impl<L: PipeLadder> Default for ClimbPipe<L> {
    fn default() -> Self {
        ClimbPipe(L::Memory::default())
    }
}

impl<L: SocketLadder> ClimbSocket<L> {
    /// std makes some of these calls as write or writev, which also accept a descriptor that is no
    /// socket (a file adopted as a `UnixDatagram`). Ours must too.
    #[inline]
    fn unless_no_socket<S: handle::Socket>(
        &self,
        socket: &S,
        answer: io::Result<usize>,
        plain: impl Fn() -> io::Result<usize>,
    ) -> io::Result<usize> {
        match answer {
            Err(error) if error.raw_os_error() == Some(libc::ENOTSOCK) => self.run(socket, plain),
            answer => answer,
        }
    }
}

impl<L: SocketLadder> ShieldSocket for ClimbSocket<L> {
    fn arm<S: handle::Socket>(&self, socket: &S) {
        L::arm(&self.0, socket.as_fd());
    }

    #[inline]
    fn write<S: handle::Stream>(&self, stream: &S, buf: &[u8]) -> io::Result<usize> {
        self.call(stream, buf.len(), |flags| {
            send::send(stream.as_fd(), buf, flags)
        })
    }

    #[inline]
    fn write_vectored<S: handle::Stream>(
        &self,
        stream: &S,
        bufs: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        let bufs = cut(bufs);
        let len = total(bufs);
        // std's writev answers for an empty write without asking the peer.
        if len == 0 {
            return self.run(stream, || stream.plain_write_vectored(bufs));
        }
        let answer = send_vectored(self, stream, bufs, len);
        self.unless_no_socket(stream, answer, || stream.plain_write_vectored(bufs))
    }

    fn send<S: handle::Socket>(
        &self,
        socket: &S,
        buf: &[u8],
        plain: impl Fn() -> io::Result<usize>,
    ) -> io::Result<usize> {
        let answer = self.call(socket, buf.len(), |flags| {
            send::send(socket.as_fd(), buf, flags)
        });
        self.unless_no_socket(socket, answer, plain)
    }

    fn send_to<S: handle::Socket, A: handle::Address>(
        &self,
        socket: &S,
        buf: &[u8],
        address: &A,
        _: impl Fn() -> io::Result<usize>,
    ) -> io::Result<usize> {
        let reference = SockRef::from(socket);
        let address = address.to_socket2()?;
        self.call(socket, buf.len(), |flags| {
            reference.send_to_with_flags(buf, &address, flags)
        })
    }
}

cfg_if::cfg_if! {
    if #[cfg(not(target_os = "redox"))] {
        fn send_vectored<L: SocketLadder, S: handle::Stream>(
            shield: &ClimbSocket<L>,
            stream: &S,
            bufs: &[IoSlice<'_>],
            len: usize,
        ) -> io::Result<usize> {
            shield.call(stream, len, |flags| {
                send::send_vectored(stream.as_fd(), bufs, flags)
            })
        }
    } else {
        // No sendmsg: std's writev, which takes no flags.
        fn send_vectored<L: SocketLadder, S: handle::Stream>(
            shield: &ClimbSocket<L>,
            stream: &S,
            bufs: &[IoSlice<'_>],
            _: usize,
        ) -> io::Result<usize> {
            shield.run(stream, || stream.plain_write_vectored(bufs))
        }
    }
}

impl<L: SocketLadder> ShieldCall for ClimbSocket<L> {
    #[inline]
    fn call<S: handle::Socket>(
        &self,
        socket: &S,
        len: usize,
        call: impl Fn(c_int) -> io::Result<usize>,
    ) -> io::Result<usize> {
        L::send(&self.0, socket.as_fd(), len, &call)
    }

    fn run<S: handle::Socket>(
        &self,
        socket: &S,
        call: impl Fn() -> io::Result<usize>,
    ) -> io::Result<usize> {
        L::run(&self.0, socket.as_fd(), &call)
    }
}

impl<L: PipeLadder> ShieldPipe for ClimbPipe<L> {
    fn write<P: handle::Pipe>(
        &self,
        pipe: &P,
        bufs: &[IoSlice<'_>],
        plain: impl Fn() -> io::Result<usize>,
    ) -> io::Result<usize> {
        L::write(&self.0, pipe.as_fd(), cut(bufs), &plain)
    }
}
