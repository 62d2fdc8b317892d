//! The questions: does a call raise SIGPIPE in spite of the flag that should prevent it?
//!
//! One file for three: `build.rs`, `verify` and the tests. Each question is asked on a private,
//! broken connection, with SIGPIPE blocked on this thread. So it is for systems that direct the
//! signal at the thread, or for whoever owns the process.

use std::ffi::c_int;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use libc::MSG_NOSIGNAL;

use super::call::Address;
use super::technique::Call;
use super::{call, signal};

/// The calls on which `send_flag` passes its flag.
pub(crate) const SENDS: [Call; 3] = [Call::Send, Call::SendTo, Call::SendMsg];

/// What a call carries: its slices. A broken end takes none of it, so length costs nothing.
pub(crate) type Shape = &'static [&'static [u8]];

pub(crate) const BYTE: Shape = &[&[0]];
const SHAPES: [Shape; 3] = [BYTE, &[&[0; 0x1_0001], &[0]], &[&[0], &[0], &[0]]];

/// Which call raises in spite of MSG_NOSIGNAL, if one does.
pub(crate) fn send_flag() -> io::Result<Option<Call>> {
    on_sockets(ignored_in_send)
}

/// Asks on a Unix pair and on TCP, there both ends.
fn on_sockets(ask: fn(BorrowedFd<'_>) -> io::Result<Option<Call>>) -> io::Result<Option<Call>> {
    let on_unix = broken_unix().and_then(|socket| both_ways(socket.as_fd(), ask));
    let on_tcp = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()].map(|loopback| {
        let (ends, _listener) = broken_tcp(loopback)?;
        first_ignored(ends.iter().map(|end| both_ways(end.as_fd(), ask)))
    });
    // A machine may have only one of the two.
    let has_one = on_tcp.iter().any(Result::is_ok);
    let on_tcp =
        on_tcp.into_iter().filter(|answer| !(has_one && answer.as_ref().is_err_and(is_missing)));
    first_ignored(on_tcp.chain([on_unix]))
}

/// Asks of a descriptor as it is, and then of a non-blocking one.
fn both_ways(
    fd: BorrowedFd<'_>,
    ask: fn(BorrowedFd<'_>) -> io::Result<Option<Call>>,
) -> io::Result<Option<Call>> {
    let blocking = ask(fd);
    first_ignored([blocking, call::set_nonblocking(fd).and_then(|()| ask(fd))].into_iter())
}

/// Whether there is no such loopback address.
fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

/// The first call that raises, also if another question could not be asked; else the first error.
fn first_ignored(
    answers: impl Iterator<Item = io::Result<Option<Call>>>,
) -> io::Result<Option<Call>> {
    let mut error = None;
    for answer in answers {
        match answer {
            Ok(None) => {}
            Ok(Some(call)) => return Ok(Some(call)),
            Err(found) => error = error.or(Some(found)),
        }
    }
    error.map_or(Ok(None), Err)
}

fn ignored_in_send(socket: BorrowedFd<'_>) -> io::Result<Option<Call>> {
    let watch = Watch::begin()?;
    let own = Address::of(socket).ok();
    let ask = |(by, shape)| {
        let call = |to, flags| drop(send(socket, by, shape, to, flags));
        let ignores = watch.ignores(|| call(None, 0), || call(None, MSG_NOSIGNAL));
        // With an address where the plain call takes one: TCP does on Linux, and pays no heed to it.
        let to = own.as_ref();
        let ignores_with_address = || watch.ignores(|| call(to, 0), || call(to, MSG_NOSIGNAL));
        if to.is_some()
            && !matches!(ignores, Ok(true))
            && matches!(ignores_with_address(), Ok(true))
        {
            return Ok(Some(by));
        }
        Ok(ignores?.then_some(by))
    };
    let calls = SENDS.into_iter().flat_map(|by| SHAPES.map(|shape| (by, shape)));
    first_ignored(calls.map(ask))
}

/// One of [`SENDS`]; those that take no slices send the first.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    by: Call,
    shape: Shape,
    to: Option<&Address>,
    flags: c_int,
) -> io::Result<usize> {
    match by {
        Call::Send => call::send(socket, shape[0], flags),
        Call::SendTo => call::send_to(socket, shape[0], to, flags),
        _ => call::sendmsg(socket, &slices(shape), to, flags),
    }
}

fn slices(shape: Shape) -> Vec<IoSlice<'static>> {
    shape.iter().map(|part| IoSlice::new(part)).collect()
}

/// A Unix stream that has ended: the peer is gone, and it is shut down for writing, should a child
/// that another thread has forked hold the peer.
pub(crate) fn broken_unix() -> io::Result<OwnedFd> {
    let (socket, _peer) = UnixStream::pair()?;
    socket.shutdown(Shutdown::Write)?;
    Ok(socket.into())
}

/// The ends of a TCP connection that has ended: by our own hand, so that nothing is waited for. To
/// the sender the two are the same (POSIX: shut down for writing, or no longer connected). The end
/// that is to be accepted may be late, and is missing then; the end of the listener would reset the
/// other one.
pub(crate) fn broken_tcp(loopback: IpAddr) -> io::Result<(Vec<TcpStream>, TcpListener)> {
    let listener = TcpListener::bind((loopback, 0))?;
    // Loopback answers at once, or a firewall drops it.
    let stream = TcpStream::connect_timeout(&listener.local_addr()?, Duration::from_millis(250))?;
    let mut ends = vec![stream];
    listener.set_nonblocking(true)?;
    if let Ok((accepted, _)) = listener.accept() {
        accepted.set_nonblocking(false)?; // which some systems inherit
        ends.push(accepted);
    }
    for end in &ends {
        end.shutdown(Shutdown::Write)?;
    }
    Ok((ends, listener))
}

/// Whether `pwritev2` raises in spite of RWF_NOSIGNAL, on a pipe or a socket.
#[cfg(target_os = "linux")]
pub(crate) fn write_flag() -> io::Result<Option<Call>> {
    let on_pipe = broken_pipe().and_then(|pipe| both_ways(pipe.as_fd(), ignored_in_write));
    first_ignored([on_pipe, on_sockets(ignored_in_write)].into_iter())
}

#[cfg(target_os = "linux")]
fn ignored_in_write(fd: BorrowedFd<'_>) -> io::Result<Option<Call>> {
    use std::io::Write;

    use super::constant::RWF_NOSIGNAL;

    let file = std::fs::File::from(fd.try_clone_to_owned()?);
    let watch = Watch::begin()?;
    first_ignored(SHAPES.into_iter().map(|shape| {
        // Not pwritev2 without the flag: a sandbox may refuse it whole.
        let plain = || drop((&file).write(&[0]));
        let flagged = || drop(call::pwritev2(fd, &slices(shape), RWF_NOSIGNAL));
        Ok(watch.ignores(plain, flagged)?.then_some(Call::Pwritev2))
    }))
}

/// A pipe whose reader is gone.
#[cfg(target_os = "linux")]
pub(crate) fn broken_pipe() -> io::Result<io::PipeWriter> {
    io::pipe().map(|(_, writer)| writer)
}

/// SIGPIPE is blocked on this thread, and none is pending.
struct Watch {
    was_blocked: bool,
}

impl Watch {
    /// An error if the signal that a question raises could not be seen or taken back: then none
    /// must be asked.
    fn begin() -> io::Result<Watch> {
        let watch = Watch { was_blocked: signal::block()? };
        if signal::pending()? {
            return Err(io::Error::other(
                "a SIGPIPE is pending already, and another could not be distinguished from it",
            ));
        }
        signal::take_one()?; // there is none; a sandbox may forbid to ask
        Ok(watch)
    }

    /// Whether the flagged call raises. The plain one must, and goes first: otherwise this is not
    /// broken, or its signal is not seen, and nothing is known.
    fn ignores(&self, plain: impl FnOnce(), flagged: impl FnOnce()) -> io::Result<bool> {
        if !raises(plain)? {
            return Err(io::Error::other(
                "a write without the flag raised no SIGPIPE here, so the answer would mean nothing",
            ));
        }
        raises(flagged)
    }
}

/// Whether `call` raises SIGPIPE. Takes it back.
fn raises(call: impl FnOnce()) -> io::Result<bool> {
    call();
    signal::take_one()
}

impl Drop for Watch {
    fn drop(&mut self) {
        // What cannot be taken back would kill: it stays blocked.
        let is_safe = || matches!(signal::pending(), Ok(false)) || signal::take_one().is_ok();
        if !self.was_blocked && is_safe() {
            signal::unblock();
        }
    }
}
