//! Climbing: each call is offered to the first rung, and what it refuses to the next.
//!
//! A ladder is written as nested pairs that end in a guard, which never refuses:
//! `(SendFlag, (SocketOption, ThreadMask))`.

use std::ffi::c_int;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use socket2::SockRef;

use super::rung::{Call, Rung};
use super::{
    Guard, Pipes, RAISED_AT_THREAD, ShieldCall, ShieldPipe, ShieldSocket, Sockets, ThreadGuard,
    UNKNOWN_LENGTH, call, handle, total,
};
use crate::verify::{self, Protection};

/// A technique for sockets. It may refuse a call (`None`) and hand it to the next rung.
pub(crate) trait SocketRung {
    const RUNG: Rung;

    /// Whether it protects every write to the socket, also one that foreign code makes.
    const COVERS_ALL: bool;

    /// What one socket has to remember, `()` where that is nothing.
    type Memory: Default;

    /// Whether it is in use in this process.
    fn is_trusted() -> bool;

    /// Asks the system which call raises in spite of the rung's flag, if it has one. A liar is
    /// trusted no more.
    fn verify() -> io::Result<Option<Call>> {
        Ok(None)
    }

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
    const RUNG: Rung;

    /// What one descriptor has to remember, `()` where that is nothing.
    type Memory: Default;

    /// Whether it protects pipes in this process.
    fn is_trusted() -> bool;

    /// As that of a [`SocketRung`].
    fn verify() -> io::Result<Option<Call>> {
        Ok(None)
    }

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
    const RUNG: Rung;

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

    /// Names the rungs that are in use, in their order.
    fn tell(protection: &mut Protection);

    /// Asks every rung.
    fn verify(findings: &mut Findings);
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

    fn tell(protection: &mut Protection) {
        if R::is_trusted() {
            protection.socket_send.push(R::RUNG);
            if R::COVERS_ALL {
                protection.foreign_write.push(R::RUNG);
                protection.sendfile.push(R::RUNG);
            }
        }
        L::tell(protection);
    }

    fn verify(findings: &mut Findings) {
        findings.add(R::RUNG, R::verify());
        L::verify(findings);
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

    fn tell(protection: &mut Protection) {
        protection.socket_send.push(G::RUNG);
        protection.sendfile.push(G::RUNG);
    }

    fn verify(_: &mut Findings) {}
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

    /// Names the rungs that are in use, in their order.
    fn tell(protection: &mut Protection);

    /// Asks every rung.
    fn verify(findings: &mut Findings);
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

    fn tell(protection: &mut Protection) {
        if R::is_trusted() {
            protection.pipe_write.push(R::RUNG);
        }
        L::tell(protection);
    }

    fn verify(findings: &mut Findings) {
        findings.add(R::RUNG, R::verify());
        L::verify(findings);
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

    fn tell(protection: &mut Protection) {
        protection.pipe_write.push(G::RUNG);
    }

    fn verify(_: &mut Findings) {}
}

/// What the rungs answered: the first lie and the first error.
#[derive(Default)]
pub(crate) struct Findings {
    lie: Option<(Rung, Call)>,
    error: Option<io::Error>,
}

impl Findings {
    fn add(&mut self, rung: Rung, answer: io::Result<Option<Call>>) {
        match answer {
            Ok(None) => {}
            Ok(Some(call)) => self.lie = self.lie.or(Some((rung, call))),
            Err(error) => self.error = self.error.take().or(Some(error)),
        }
    }
}

/// What protects this process.
pub(crate) fn protection() -> Protection {
    let mut protection = Protection {
        socket_send: Vec::new(),
        foreign_write: Vec::new(),
        pipe_write: Vec::new(),
        sendfile: Vec::new(),
    };
    <Sockets as SocketLadder>::tell(&mut protection);
    <Pipes as PipeLadder>::tell(&mut protection);
    protection
}

/// Asks every rung, also after a lie: none of them is to be trusted unasked.
pub(crate) fn verify() -> Result<Protection, verify::Error> {
    if !RAISED_AT_THREAD {
        // A question is a SIGPIPE that another thread of the host could die of.
        return Err(verify::Error::CannotAsk(io::Error::new(
            io::ErrorKind::Unsupported,
            "this system directs SIGPIPE at the process, not at the thread that asks",
        )));
    }
    let mut findings = Findings::default();
    // Where the guard is the process's, another thread that drops the last one would discard the
    // signal that a question has raised.
    ThreadGuard::enter().map_err(verify::Error::CannotAsk)?;
    <Sockets as SocketLadder>::verify(&mut findings);
    <Pipes as PipeLadder>::verify(&mut findings);
    ThreadGuard::leave();
    match findings {
        Findings {
            lie: Some((rung, call)),
            ..
        } => Err(verify::Error::Lies { rung, call }),
        Findings {
            error: Some(error), ..
        } => Err(verify::Error::CannotAsk(error)),
        Findings { .. } => Ok(protection()),
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
            call::send(stream.as_fd(), buf, flags)
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
            call::send(socket.as_fd(), buf, flags)
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
                call::send_vectored(stream.as_fd(), bufs, flags)
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
