//! Climbing: each call is offered to the first technique, and what it refuses to the next.
//!
//! A ladder is written as nested pairs that end in a guard, which never refuses:
//! `(SendFlag, (SocketOption, ThreadMask))`.

use std::ffi::c_int;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use socket2::SockRef;

use super::technique::{Call, Technique};
use super::{
    Guard, Pipes, RAISED_AT_THREAD, ShieldCall, ShieldPipe, ShieldSocket, Sockets, ThreadGuard,
    UNKNOWN_LENGTH, call, handle, total,
};
use crate::verify::{self, Protection};

/// A technique for sockets. It may refuse a call (`None`) and hand it to the next technique.
pub(crate) trait SocketTechnique {
    const TECHNIQUE: Technique;

    /// Whether it protects every write to the socket, also one that foreign code makes.
    const COVERS_ALL: bool;

    /// What one socket has to remember, `()` where that is nothing.
    type Memory: Default;

    /// Whether it is in use in this process.
    fn is_trusted() -> bool;

    /// Asks the system which call raises in spite of the technique's flag, if it has one. A liar is
    /// trusted no more.
    fn verify() -> io::Result<Option<Call>> {
        Ok(None)
    }

    /// A socket comes into care.
    fn arm(memory: &Self::Memory, socket: BorrowedFd<'_>);

    /// The flags that are all there is to it, for a call that may be made without more ado.
    fn straight() -> Option<c_int> {
        None
    }

    /// The error of a call that was made so, unless it means that the flags are refused.
    fn unless_refused(socket: BorrowedFd<'_>, error: io::Error) -> Option<io::Error> {
        let _ = socket;
        Some(error)
    }

    /// A call of the send family; `call(flags)` makes it with `flags` added.
    fn send(
        memory: &Self::Memory,
        socket: BorrowedFd<'_>,
        call: impl Fn(c_int) -> io::Result<usize> + Copy,
    ) -> Option<io::Result<usize>>;

    /// A call that takes no flags.
    fn run(
        memory: &Self::Memory,
        socket: BorrowedFd<'_>,
        call: impl Fn() -> io::Result<usize> + Copy,
    ) -> Option<io::Result<usize>>;
}

/// A technique for pipes, and for descriptors of unknown kind. It may refuse as well.
pub(crate) trait PipeTechnique {
    const TECHNIQUE: Technique;

    /// What one descriptor has to remember, `()` where that is nothing.
    type Memory: Default;

    /// Whether it protects pipes in this process.
    fn is_trusted() -> bool;

    /// As that of a [`SocketTechnique`].
    fn verify() -> io::Result<Option<Call>> {
        Ok(None)
    }

    /// One write of `bufs` by a call of the technique's own, if it may be made without more ado.
    fn straight(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> Option<io::Result<usize>> {
        let _ = (fd, bufs);
        None
    }

    /// The error of such a call, unless it means that the technique is refused.
    fn unless_refused(error: io::Error) -> Option<io::Error> {
        Some(error)
    }

    /// One write by the plain call.
    fn write(
        memory: &Self::Memory,
        fd: BorrowedFd<'_>,
        call: impl Fn() -> io::Result<usize> + Copy,
    ) -> Option<io::Result<usize>>;
}

/// A guard as the last technique, which never refuses.
pub(crate) trait LastTechnique: Guard {
    const TECHNIQUE: Technique;

    /// Runs one system call of this crate that offers `len` bytes.
    ///
    /// The call may have raised SIGPIPE where it reports EPIPE *or fewer than `len` bytes*:
    /// a pipe whose reader leaves in the middle of a write raises, and reports what it had
    /// taken (Linux fs/pipe.c `pipe_write`).
    fn own(len: usize, call: impl FnOnce() -> io::Result<usize>) -> io::Result<usize>;

    /// Whether this thread stands under a guard, so that a plain call is a protected one.
    fn held() -> bool;
}

/// Techniques for sockets, down to a guard: it always answers.
pub(crate) trait SocketLadder {
    type Memory: Default;

    fn arm(memory: &Self::Memory, socket: BorrowedFd<'_>);

    /// As that of its first technique.
    fn straight() -> Option<c_int> {
        None
    }

    /// Goes on after a call that was made so, and failed.
    fn go_on(
        memory: &Self::Memory,
        socket: BorrowedFd<'_>,
        len: usize,
        call: impl Fn(c_int) -> io::Result<usize> + Copy,
        error: io::Error,
    ) -> io::Result<usize> {
        let _ = (memory, socket, len, call);
        Err(error)
    }

    fn send(
        memory: &Self::Memory,
        socket: BorrowedFd<'_>,
        len: usize,
        call: impl Fn(c_int) -> io::Result<usize> + Copy,
    ) -> io::Result<usize>;

    fn run(
        memory: &Self::Memory,
        socket: BorrowedFd<'_>,
        call: impl Fn() -> io::Result<usize> + Copy,
    ) -> io::Result<usize>;

    /// Names the techniques that are in use, in their order.
    fn tell(protection: &mut Protection);

    /// Asks every technique.
    fn verify(findings: &mut Findings);
}

impl<R: SocketTechnique, L: SocketLadder> SocketLadder for (R, L) {
    type Memory = (R::Memory, L::Memory);

    fn arm(memory: &Self::Memory, socket: BorrowedFd<'_>) {
        R::arm(&memory.0, socket);
        L::arm(&memory.1, socket);
    }

    #[inline]
    fn straight() -> Option<c_int> {
        R::straight()
    }

    fn go_on(
        memory: &Self::Memory,
        socket: BorrowedFd<'_>,
        len: usize,
        call: impl Fn(c_int) -> io::Result<usize> + Copy,
        error: io::Error,
    ) -> io::Result<usize> {
        match R::unless_refused(socket, error) {
            Some(error) => Err(error),
            None => L::send(&memory.1, socket, len, call),
        }
    }

    #[inline]
    fn send(
        memory: &Self::Memory,
        socket: BorrowedFd<'_>,
        len: usize,
        call: impl Fn(c_int) -> io::Result<usize> + Copy,
    ) -> io::Result<usize> {
        R::send(&memory.0, socket, call).unwrap_or_else(|| L::send(&memory.1, socket, len, call))
    }

    fn run(
        memory: &Self::Memory,
        socket: BorrowedFd<'_>,
        call: impl Fn() -> io::Result<usize> + Copy,
    ) -> io::Result<usize> {
        R::run(&memory.0, socket, call).unwrap_or_else(|| L::run(&memory.1, socket, call))
    }

    fn tell(protection: &mut Protection) {
        if R::is_trusted() {
            protection.socket_send.push(R::TECHNIQUE);
            if R::COVERS_ALL {
                protection.foreign_write.push(R::TECHNIQUE);
                protection.sendfile.push(R::TECHNIQUE);
            }
        }
        L::tell(protection);
    }

    fn verify(findings: &mut Findings) {
        findings.add(R::TECHNIQUE, R::verify());
        L::verify(findings);
    }
}

impl<G: LastTechnique> SocketLadder for G {
    type Memory = ();

    fn arm((): &(), _: BorrowedFd<'_>) {}

    fn send(
        (): &(),
        _: BorrowedFd<'_>,
        len: usize,
        call: impl Fn(c_int) -> io::Result<usize> + Copy,
    ) -> io::Result<usize> {
        G::own(len, || call(0))
    }

    fn run(
        (): &(),
        _: BorrowedFd<'_>,
        call: impl Fn() -> io::Result<usize> + Copy,
    ) -> io::Result<usize> {
        G::own(UNKNOWN_LENGTH, call)
    }

    fn tell(protection: &mut Protection) {
        protection.socket_send.push(G::TECHNIQUE);
        protection.sendfile.push(G::TECHNIQUE);
    }

    fn verify(_: &mut Findings) {}
}

/// Techniques for pipes, down to a guard: it always answers.
pub(crate) trait PipeLadder {
    type Memory: Default;

    /// As that of its first technique.
    fn straight(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> Option<io::Result<usize>> {
        let _ = (fd, bufs);
        None
    }

    /// As that of its first technique.
    fn unless_refused(error: io::Error) -> Option<io::Error> {
        Some(error)
    }

    /// One write of `len` bytes by the plain call.
    fn write(
        memory: &Self::Memory,
        fd: BorrowedFd<'_>,
        len: usize,
        call: impl Fn() -> io::Result<usize> + Copy,
    ) -> io::Result<usize>;

    /// Names the techniques that are in use, in their order.
    fn tell(protection: &mut Protection);

    /// Asks every technique.
    fn verify(findings: &mut Findings);
}

impl<R: PipeTechnique, L: PipeLadder> PipeLadder for (R, L) {
    type Memory = (R::Memory, L::Memory);

    #[inline]
    fn straight(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> Option<io::Result<usize>> {
        R::straight(fd, bufs)
    }

    fn unless_refused(error: io::Error) -> Option<io::Error> {
        R::unless_refused(error)
    }

    fn write(
        memory: &Self::Memory,
        fd: BorrowedFd<'_>,
        len: usize,
        call: impl Fn() -> io::Result<usize> + Copy,
    ) -> io::Result<usize> {
        R::write(&memory.0, fd, call).unwrap_or_else(|| L::write(&memory.1, fd, len, call))
    }

    fn tell(protection: &mut Protection) {
        if R::is_trusted() {
            protection.pipe_write.push(R::TECHNIQUE);
        }
        L::tell(protection);
    }

    fn verify(findings: &mut Findings) {
        findings.add(R::TECHNIQUE, R::verify());
        L::verify(findings);
    }
}

impl<G: LastTechnique> PipeLadder for G {
    type Memory = ();

    fn write(
        (): &(),
        _: BorrowedFd<'_>,
        len: usize,
        call: impl Fn() -> io::Result<usize> + Copy,
    ) -> io::Result<usize> {
        G::own(len, call)
    }

    fn tell(protection: &mut Protection) {
        protection.pipe_write.push(G::TECHNIQUE);
    }

    fn verify(_: &mut Findings) {}
}

/// What the techniques answered: the first lie and the first error.
#[derive(Default)]
pub(crate) struct Findings {
    lie: Option<(Technique, Call)>,
    error: Option<io::Error>,
}

impl Findings {
    fn add(&mut self, technique: Technique, answer: io::Result<Option<Call>>) {
        match answer {
            Ok(None) => {}
            Ok(Some(call)) => self.lie = self.lie.or(Some((technique, call))),
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

/// Asks every technique, also after a lie: none of them is to be trusted unasked.
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
            lie: Some((technique, call)),
            ..
        } => Err(verify::Error::SilentlyIgnored { technique, call }),
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

/// Whether there is no byte in any of them.
#[inline]
pub(crate) fn is_empty(bufs: &[IoSlice<'_>]) -> bool {
    // Most often the first has some.
    bufs.first().is_none_or(|first| first.is_empty()) && total(bufs) == 0
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

/// What a call that went straight has answered, if one did: the way of every healthy write, with nothing to be
/// kept for another call. The rest, `climb`, is told how it failed.
#[inline]
fn straight_or(
    straight: Option<io::Result<usize>>,
    climb: impl FnOnce(Option<io::Error>) -> io::Result<usize>,
) -> io::Result<usize> {
    match straight {
        Some(Ok(written)) => Ok(written),
        Some(Err(error)) => climb(Some(error)),
        None => climb(None),
    }
}

impl<L: SocketLadder> ClimbSocket<L> {
    #[cold]
    #[inline(never)]
    fn climb<S: handle::Stream>(
        &self,
        stream: &S,
        buf: &[u8],
        failed: Option<io::Error>,
    ) -> io::Result<usize> {
        let call = |flags| call::send(stream.fd(), buf, flags);
        self.go_on(stream, buf.len(), call, failed)
    }

    #[cold]
    #[inline(never)]
    fn climb_vectored<S: handle::Stream>(
        &self,
        stream: &S,
        bufs: &[IoSlice<'_>],
        failed: Option<io::Error>,
    ) -> io::Result<usize> {
        let call = |flags| send_vectored(stream, bufs, flags);
        let answer = self.go_on(stream, total(bufs), call, failed);
        self.unless_no_socket(stream, answer, || stream.plain_write_vectored(bufs))
    }

    fn go_on<S: handle::Stream>(
        &self,
        stream: &S,
        len: usize,
        call: impl Fn(c_int) -> io::Result<usize> + Copy,
        failed: Option<io::Error>,
    ) -> io::Result<usize> {
        match failed {
            Some(error) => L::go_on(&self.0, stream.fd(), len, call, error),
            None => L::send(&self.0, stream.fd(), len, call),
        }
    }

    /// std makes some of these calls as write or writev, which also accept a descriptor that is no
    /// socket (a file adopted as a `UnixDatagram`). Ours must too.
    #[inline]
    fn unless_no_socket<S: handle::Socket>(
        &self,
        socket: &S,
        answer: io::Result<usize>,
        plain: impl Fn() -> io::Result<usize> + Copy,
    ) -> io::Result<usize> {
        match answer {
            Err(error) if error.raw_os_error() == Some(libc::ENOTSOCK) => self.run(socket, plain),
            answer => answer,
        }
    }
}

impl<L: SocketLadder> ShieldSocket for ClimbSocket<L> {
    fn arm<S: handle::Socket>(&self, socket: &S) {
        L::arm(&self.0, socket.fd());
    }

    #[inline]
    fn write<S: handle::Stream>(&self, stream: &S, buf: &[u8]) -> io::Result<usize> {
        let straight = L::straight().map(|flags| call::send(stream.fd(), buf, flags));
        straight_or(straight, |failed| self.climb(stream, buf, failed))
    }

    #[inline]
    fn write_vectored<S: handle::Stream>(
        &self,
        stream: &S,
        bufs: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        let bufs = cut(bufs);
        // std's writev answers for an empty write without asking the peer.
        if is_empty(bufs) {
            return self.run(stream, || stream.plain_write_vectored(bufs));
        }
        let straight = L::straight().map(|flags| send_vectored(stream, bufs, flags));
        straight_or(straight, |failed| self.climb_vectored(stream, bufs, failed))
    }

    fn send<S: handle::Socket>(
        &self,
        socket: &S,
        buf: &[u8],
        plain: impl Fn() -> io::Result<usize> + Copy,
    ) -> io::Result<usize> {
        let answer = self.call(socket, buf.len(), |flags| {
            call::send(socket.fd(), buf, flags)
        });
        self.unless_no_socket(socket, answer, plain)
    }

    fn send_to<S: handle::Socket, A: handle::Address>(
        &self,
        socket: &S,
        buf: &[u8],
        address: &A,
        _: impl Fn() -> io::Result<usize> + Copy,
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
        #[inline]
        fn send_vectored<S: handle::Stream>(
            stream: &S,
            bufs: &[IoSlice<'_>],
            flags: c_int,
        ) -> io::Result<usize> {
            call::send_vectored(stream.fd(), bufs, flags)
        }
    } else {
        // No sendmsg: std's writev, which takes no flags. Only the guard is climbed there.
        fn send_vectored<S: handle::Stream>(
            stream: &S,
            bufs: &[IoSlice<'_>],
            _: c_int,
        ) -> io::Result<usize> {
            stream.plain_write_vectored(bufs)
        }
    }
}

impl<L: SocketLadder> ShieldCall for ClimbSocket<L> {
    #[inline]
    fn call<S: handle::Socket>(
        &self,
        socket: &S,
        len: usize,
        call: impl Fn(c_int) -> io::Result<usize> + Copy,
    ) -> io::Result<usize> {
        L::send(&self.0, socket.fd(), len, call)
    }

    fn run<S: handle::Socket>(
        &self,
        socket: &S,
        call: impl Fn() -> io::Result<usize> + Copy,
    ) -> io::Result<usize> {
        L::run(&self.0, socket.fd(), call)
    }
}

impl<L: PipeLadder> ClimbPipe<L> {
    /// One write that did not go straight, or was refused there.
    #[cold]
    #[inline(never)]
    fn climb<P: handle::Pipe>(
        &self,
        pipe: &P,
        len: usize,
        call: impl Fn() -> io::Result<usize> + Copy,
        failed: Option<io::Error>,
    ) -> io::Result<usize> {
        match failed.and_then(L::unless_refused) {
            Some(error) => Err(error),
            None => L::write(&self.0, pipe.fd(), len, call),
        }
    }
}

impl<L: PipeLadder> ShieldPipe for ClimbPipe<L> {
    #[inline]
    fn write<P: handle::Pipe>(&self, pipe: &P, buf: &[u8]) -> io::Result<usize> {
        let call = || call::write(pipe.fd(), buf);
        // Under a guard the plain call is protected, and cheaper than any technique.
        if ThreadGuard::held() {
            return ThreadGuard::own(buf.len(), call);
        }
        let straight = L::straight(pipe.fd(), &[IoSlice::new(buf)]);
        straight_or(straight, |failed| self.climb(pipe, buf.len(), call, failed))
    }

    #[inline]
    fn write_vectored<P: handle::Pipe>(&self, pipe: &P, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let bufs = cut(bufs);
        let call = || pipe.plain_write_vectored(bufs);
        if ThreadGuard::held() {
            return ThreadGuard::own(total(bufs), call);
        }
        let straight = L::straight(pipe.fd(), bufs);
        straight_or(straight, |failed| {
            self.climb(pipe, total(bufs), call, failed)
        })
    }
}
