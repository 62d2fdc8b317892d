//! `write_flag`: RWF_NOSIGNAL, for pipes and descriptors of unknown kind on Linux 6.18 and later.
//!
//! It was merged for 6.18 (commit db2ab24a341c). An older kernel reports EOPNOTSUPP, one before 4.6
//! ENOSYS, a seccomp filter EPERM or EACCES. The flag does nothing for splice, tee, vmsplice and
//! sendfile.
//!
//! gVisor accepts every flag, and ignores this one. So each process tests the flag before it trusts
//! it, on a broken pipe of the crate's own. If no test is possible, a guard protects too.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use socket2::SockRef;

use super::call::{self, pwritev2};
use super::constant::RWF_NOSIGNAL;
use super::probe::{self, Unasked, Watch};
use super::signal::with_signals_blocked;
use super::technique::Call;
use super::threads::this_process;
use super::trust::{Found, Trust, is_refusal_of_call};
use super::{guard, send_flag};

static TRUST: Trust = Trust::new(cfg!(epipe_refused = "write_flag"));

/// Whether this process passes the flag on its writes. If it was not yet tested, tests it now.
#[inline]
pub(super) fn is_in_use() -> bool {
    TRUST.is_honoured() || TRUST.is_unproven() && proves_itself()
}

#[cold]
#[inline(never)]
fn proves_itself() -> bool {
    TRUST.ask(question);
    TRUST.is_honoured()
}

/// Whether the flag has passed its test. Makes no test.
pub(super) fn is_trusted() -> bool {
    TRUST.is_honoured()
}

/// Whether the flag could not be tested so far.
pub(super) fn is_unproven() -> bool {
    TRUST.is_unproven()
}

/// Tests whether the call raises in spite of the flag, in more ways than [`question`].
pub(super) fn verify() -> io::Result<Option<Call>> {
    if cfg!(epipe_refused = "write_flag") {
        return Ok(None);
    }
    TRUST.verify(probe::write_flag, question)
}

/// After a call with the flag: returns the call's error, unless it means that the flag is refused.
#[cold]
pub(super) fn unless_refused(fd: BorrowedFd<'_>, error: io::Error) -> io::Result<()> {
    if !is_refusal_of_call(&error) {
        return Err(error);
    }
    let is_socket = SockRef::from(&fd).r#type().is_ok();
    // Such an error means nothing for pipes. This file takes no flags; or its driver requires a
    // number of slices in writev (ALSA's PCM), and a call with flags counts as one slice.
    let is_of_the_file = matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP));
    if is_of_the_file && !is_socket {
        return Ok(());
    }
    let now = still_works();
    TRUST.note(now);
    // On a socket the kernel turns the flag into MSG_NOSIGNAL, which its family may reject.
    let is_answer = now == Found::Honoured && (!is_socket || send_flag::is_known_to(fd));
    if is_answer { Err(error) } else { Ok(()) }
}

/// Tests again whether a broken pipe of our own honours the flag, which has passed before.
fn still_works() -> Found {
    let write = |pipe| guard::run(1, || write(&pipe, RWF_NOSIGNAL))?;
    Found::of(probe::broken_pipe().and_then(write), is_refusal_of_call)
}

fn question() -> Found {
    if guard::MASKS_THE_THREAD {
        return ask();
    }
    // Only a build that refuses `thread_mask` comes here: its guard is a handler of the process.
    // The test's signal waits here, blocked. Another thread that takes the handler out would
    // discard it: the guard prevents that. Handlers of other signals could raise a SIGPIPE too:
    // they are blocked.
    let _held = guard::enter().ok();
    with_signals_blocked(ask)
}

/// The test, on a pipe of our own whose reader is gone: a plain write, which must raise, and a
/// write with the flag, which must not. It allocates nothing: a signal handler may ask.
fn ask() -> Found {
    let watch = match Watch::begin() {
        Ok(watch) => watch,
        Err(Unasked::Refused(_)) => return second_opinion(),
        // The host has one pending, for now. So only a refusal is noted.
        Err(_) if second_opinion() == Found::Refused => return Found::Refused,
        Err(_) => return Found::Nothing,
    };
    let Ok((reader, writer)) = call::private_pipe() else {
        return Found::Nothing;
    };
    drop(reader);
    let process = this_process();
    let answer = Cell::new(Ok(0));
    let ignores = watch.ignores(&|is_flagged| {
        let plain = || call::write(writer.as_fd(), &[0]);
        answer.set(if is_flagged { write(&writer, RWF_NOSIGNAL) } else { plain() });
    });
    match ignores {
        // A handler has forked: a signal that was raised in the parent is not pending in the child.
        _ if process != this_process() => Found::Nothing,
        Ok(true) => Found::Refused,
        Ok(false) => Found::of(answer.into_inner(), is_refusal_of_call),
        Err(_) => Found::Nothing,
    }
}

/// The test where a sandbox forbids to ask about signals: on a file in memory.
///
/// A kernel that rejects an unknown flag checks all flags. If it accepts this one, it knows it. A
/// kernel that accepts an unknown flag may ignore this one too.
fn second_opinion() -> Found {
    const UNKNOWN: i32 = 0x4000_0000;
    let Ok(file) = call::memory_file() else {
        return Found::Nothing;
    };
    let is_rejected = |answer: io::Result<usize>| answer.is_err_and(|e| is_refusal_of_call(&e));
    match write(&file, RWF_NOSIGNAL) {
        Ok(_) if is_rejected(write(&file, UNKNOWN)) => Found::Honoured,
        Ok(_) => Found::Refused,
        Err(error) => Found::of(Err(error), is_refusal_of_call),
    }
}

fn write(pipe: &OwnedFd, flag: i32) -> io::Result<usize> {
    pwritev2(pipe.as_fd(), &[IoSlice::new(&[0])], flag)
}
