//! The questions: does a call raise SIGPIPE in spite of the flag that should prevent it?
//!
//! `build.rs`, `verify` and the tests share this file. Each question is asked on a private, broken
//! connection, with SIGPIPE blocked on this thread. Use it only where the system directs the signal
//! at the thread, or in a process of one's own.

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

/// The slices of a call. A broken end takes none of their bytes, so long slices cost nothing.
pub(crate) type Shape = &'static [&'static [u8]];

pub(crate) const BYTE: Shape = &[&[0]];
const SHAPES: [Shape; 3] = [BYTE, &[&[0; 0x1_0001], &[0]], &[&[0], &[0], &[0]]];

/// Finds a call that raises in spite of MSG_NOSIGNAL.
pub(crate) fn send_flag() -> io::Result<Option<Call>> {
    let mut answers = Answers::default();
    on_sockets(&mut answers, ignored_in_send);
    answers.answer()
}

/// The answers so far.
#[derive(Default)]
struct Answers {
    ignored: Option<Call>,
    error: Option<io::Error>,
}

impl Answers {
    /// Notes whether a call ignores its flag.
    fn note(&mut self, by: Call, ignores: Result<bool, Unasked>) {
        if matches!(ignores, Ok(true)) {
            self.ignored = self.ignored.or(Some(by));
        }
        self.note_error(ignores.map(drop).map_err(io::Error::from));
    }

    fn note_error(&mut self, asked: io::Result<()>) {
        self.error = self.error.take().or(asked.err());
    }

    /// The first call that raised, also if another question could not be asked. Otherwise the
    /// first error.
    fn answer(self) -> io::Result<Option<Call>> {
        match (self.ignored, self.error) {
            (None, Some(error)) => Err(error),
            (ignored, _) => Ok(ignored),
        }
    }
}

/// The questions about one descriptor. An error means that none could be asked.
type Ask = fn(BorrowedFd<'_>, &mut Answers) -> io::Result<()>;

/// Asks on TCP and on a Unix pair.
fn on_sockets(answers: &mut Answers, ask: Ask) {
    let on_v4 = on_tcp(Ipv4Addr::LOCALHOST.into(), answers, ask);
    let on_v6 = on_tcp(Ipv6Addr::LOCALHOST.into(), answers, ask);
    // A machine may have only one of the two.
    let has_one = on_v4.is_ok() || on_v6.is_ok();
    for answer in [on_v4, on_v6] {
        if !(has_one && answer.as_ref().is_err_and(is_missing)) {
            answers.note_error(answer);
        }
    }
    let on_unix = broken_unix().map(|socket| both_ways(socket.as_fd(), answers, ask));
    answers.note_error(on_unix);
}

/// Asks at both ends.
fn on_tcp(loopback: IpAddr, answers: &mut Answers, ask: Ask) -> io::Result<()> {
    let (ends, _listener) = broken_tcp(loopback)?;
    for end in &ends {
        both_ways(end.as_fd(), answers, ask);
    }
    Ok(())
}

/// Asks about a descriptor as it is, and then once more when it is non-blocking.
fn both_ways(fd: BorrowedFd<'_>, answers: &mut Answers, ask: Ask) {
    let blocking = ask(fd, answers);
    let nonblocking = call::set_nonblocking(fd).and_then(|()| ask(fd, answers));
    answers.note_error(blocking.and(nonblocking));
}

/// Whether there is no such loopback address.
fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

fn ignored_in_send(socket: BorrowedFd<'_>, answers: &mut Answers) -> io::Result<()> {
    let watch = Watch::begin()?;
    let own = Address::of(socket).ok();
    for by in SENDS {
        for shape in SHAPES {
            let ask = |to| {
                watch.ignores(&|is_flagged| {
                    let flags = if is_flagged { MSG_NOSIGNAL } else { 0 };
                    drop(send(socket, by, shape, to, flags));
                })
            };
            answers.note(by, ask(None));
            // With an address, where the plain call takes one. TCP on Linux takes and ignores it.
            if own.is_some() && matches!(ask(own.as_ref()), Ok(true)) {
                answers.note(by, Ok(true));
            }
        }
    }
    Ok(())
}

/// One of [`SENDS`]. A call that takes no slices sends the first one.
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
        _ => call::sendmsg(socket, &slices(shape)[..shape.len()], to, flags),
    }
}

/// An array, not a `Vec`: a signal handler may ask, and must not allocate.
fn slices(shape: Shape) -> [IoSlice<'static>; 3] {
    std::array::from_fn(|part| IoSlice::new(shape.get(part).copied().unwrap_or_default()))
}

/// A Unix stream whose peer is gone. It is also shut down for writing, since a child that another
/// thread has forked may still hold the peer.
pub(crate) fn broken_unix() -> io::Result<OwnedFd> {
    let (socket, _peer) = UnixStream::pair()?;
    let socket = UnixStream::from(call::private(socket.into())?);
    socket.shutdown(Shutdown::Write)?;
    Ok(socket.into())
}

/// The ends of a TCP connection, both shut down for writing. So nothing waits for a peer. To the
/// sender this is the same as a peer that is gone (POSIX: shut down, or no longer connected). The
/// accepted end may come too late, and is missing then. The listener is returned too: its drop
/// would reset a connection that it has not accepted.
pub(crate) fn broken_tcp(loopback: IpAddr) -> io::Result<(Vec<TcpStream>, TcpListener)> {
    let listener = TcpListener::bind((loopback, 0))?;
    // Loopback answers at once, or a firewall drops it.
    let stream = TcpStream::connect_timeout(&listener.local_addr()?, Duration::from_millis(250))?;
    let mut ends = vec![stream];
    listener.set_nonblocking(true)?;
    if let Ok((accepted, _)) = listener.accept() {
        accepted.set_nonblocking(false)?; // on some systems it inherits the mode
        ends.push(accepted);
    }
    for end in &ends {
        end.shutdown(Shutdown::Write)?;
    }
    Ok((ends, listener))
}

/// Finds whether `pwritev2` raises in spite of RWF_NOSIGNAL, on a pipe or a socket.
#[cfg(target_os = "linux")]
pub(crate) fn write_flag() -> io::Result<Option<Call>> {
    let mut answers = Answers::default();
    let on_pipe = broken_pipe().map(|pipe| both_ways(pipe.as_fd(), &mut answers, ignored_in_write));
    answers.note_error(on_pipe);
    on_sockets(&mut answers, ignored_in_write);
    answers.answer()
}

#[cfg(target_os = "linux")]
fn ignored_in_write(fd: BorrowedFd<'_>, answers: &mut Answers) -> io::Result<()> {
    use super::constant::RWF_NOSIGNAL;

    let watch = Watch::begin()?;
    for shape in SHAPES {
        let ignores = watch.ignores(&|is_flagged| {
            // Not pwritev2 without the flag: a sandbox may refuse the whole call.
            drop(match is_flagged {
                true => call::pwritev2(fd, &slices(shape)[..shape.len()], RWF_NOSIGNAL),
                false => call::write(fd, &[0]),
            });
        });
        answers.note(Call::Pwritev2, ignores);
    }
    Ok(())
}

/// A pipe whose reader is gone.
#[cfg(target_os = "linux")]
pub(crate) fn broken_pipe() -> io::Result<OwnedFd> {
    call::private_pipe().map(|(_, writer)| writer)
}

/// Why a question was not asked, or its answer means nothing.
#[derive(Debug)]
pub(crate) enum Unasked {
    /// A SIGPIPE of the host is pending.
    Pending,
    /// A sandbox forbids to see or take back the signal that a question raises.
    Refused(io::Error),
    /// The control, a call without the flag, raised nothing.
    Silent,
}

impl From<Unasked> for io::Error {
    fn from(why: Unasked) -> io::Error {
        io::Error::other(match why {
            Unasked::Refused(error) => return error,
            Unasked::Pending => {
                "a SIGPIPE is already pending, and a second one could not be distinguished from it"
            }
            Unasked::Silent => {
                "a write without the flag raised no SIGPIPE here, so the answer would mean nothing"
            }
        })
    }
}

/// While it lives, SIGPIPE is blocked on this thread. None was pending at its start.
pub(crate) struct Watch {
    was_blocked: bool,
}

impl Watch {
    /// An error means that no question may be asked: its signal could not be seen or taken back.
    pub(crate) fn begin() -> Result<Watch, Unasked> {
        let was_blocked = signal::block().map_err(Unasked::Refused)?;
        let why_not = match signal::pending() {
            // None is pending: this only finds whether a sandbox forbids to take one.
            Ok(false) => match signal::take_one() {
                Ok(_) => return Ok(Watch { was_blocked }),
                Err(error) => Unasked::Refused(error),
            },
            Ok(true) => Unasked::Pending,
            Err(error) => Unasked::Refused(error),
        };
        if !was_blocked {
            signal::unblock();
        }
        Err(why_not)
    }

    /// Makes the call without its flag, which must raise: otherwise the answer would mean nothing.
    /// Then makes it with the flag, and returns whether that raises.
    pub(crate) fn ignores(&self, call: &dyn Fn(bool)) -> Result<bool, Unasked> {
        call(false);
        if !signal::take_one().map_err(Unasked::Refused)? {
            return Err(Unasked::Silent);
        }
        call(true);
        signal::take_one().map_err(Unasked::Refused)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A signal that cannot be taken back would kill. Then SIGPIPE stays blocked.
        let is_safe = || matches!(signal::pending(), Ok(false)) || signal::take_one().is_ok();
        if !self.was_blocked && is_safe() {
            signal::unblock();
        }
    }
}
