//! `thread_mask`: block SIGPIPE on this thread, call, take back what came, unblock.
//!
//! For systems that direct the SIGPIPE of a write at the writing thread: Linux and Android
//! (pending on the writer alone), FreeBSD (`tdsignal`), DragonFly (`lwpsignal`), OpenBSD
//! (`ptsignal` STHREAD), illumos (`tsignal`), Haiku, Cygwin. Taken to be so, and not verified, on
//! Solaris, the Hurd, AIX, QNX and any other Unix. Never on Apple, NetBSD or RTEMS, which direct it
//! at the process.

#![allow(unsafe_code, reason = "a signal is given back by libc")]

use std::cell::Cell;
use std::io;
use std::os::fd::BorrowedFd;

use super::errno;
use super::signal::{block, pending, take_one, unblock};

/// The guards of this thread.
struct Thread {
    guards: Cell<usize>,
    before: Cell<Before>,
}

/// How the outermost guard found the thread.
#[derive(Clone, Copy)]
struct Before {
    /// SIGPIPE was blocked already.
    blocked: bool,
    /// A SIGPIPE was pending already, on the thread or the process: it is the host's, and stays.
    /// Only a blocked signal can be pending.
    pending: bool,
}

thread_local! {
    static THREAD: Thread = const {
        Thread {
            guards: Cell::new(0),
            before: Cell::new(Before { blocked: false, pending: false }),
        }
    };
}

pub(super) fn enter() -> io::Result<()> {
    THREAD.with(|thread| {
        if thread.guards.get() == 0 {
            thread.before.set(Before::begin()?);
        } else {
            block()?; // again: foreign code may have unblocked
        }
        thread.guards.set(thread.guards.get() + 1);
        Ok(())
    })
}

pub(super) fn leave() {
    let _errno = errno::Keep::new();
    THREAD.with(|thread| {
        let before = thread.before.get();
        // A guard around foreign code always looks: an EPIPE may have been swallowed.
        let taken = before.take_back_what_came();
        thread.guards.set(thread.guards.get() - 1);
        if thread.guards.get() == 0 {
            before.restore(taken);
        }
    });
}

#[inline]
pub(super) fn run(len: usize, call: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
    if is_held() {
        return match call() {
            Ok(taken) if taken >= len => Ok(taken),
            answer => take_back_under_guard(len, answer),
        };
    }
    let before = Before::begin()?;
    before.end(len, call())
}

/// [`run`] on a thread that is under a guard. Apart, so that a pipe's write stays small.
#[inline(never)]
pub(super) fn run_held(
    fd: BorrowedFd<'_>,
    len: usize,
    call: impl Fn(BorrowedFd<'_>) -> io::Result<usize>,
) -> io::Result<usize> {
    match call(fd) {
        Ok(taken) if taken >= len => Ok(taken),
        answer => take_back_under_guard(len, answer),
    }
}

#[inline]
pub(super) fn is_held() -> bool {
    THREAD.with(|thread| thread.guards.get() > 0)
}

/// Takes it back now, not when the guard ends: a ppoll in between could deliver it.
#[cold]
fn take_back_under_guard(len: usize, answer: io::Result<usize>) -> io::Result<usize> {
    THREAD.with(|thread| drop(thread.before.get().take_back(len, &answer)));
    answer
}

impl Before {
    /// Blocks SIGPIPE on this thread, and tells how it was found.
    #[inline]
    fn begin() -> io::Result<Before> {
        let blocked = block()?;
        Ok(Before { blocked, pending: blocked && pending().is_ok_and(|pending| pending) })
    }

    /// Ends what [`begin`](Before::begin) began, round one call of our own.
    #[inline]
    fn end(self, len: usize, answer: io::Result<usize>) -> io::Result<usize> {
        let taken = self.take_back(len, &answer);
        self.restore(taken);
        answer
    }

    /// Takes back what one call of our own has raised.
    #[inline]
    fn take_back(self, len: usize, answer: &io::Result<usize>) -> io::Result<()> {
        match answer {
            // A stream or a pipe has raised with it.
            Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {
                if self.pending {
                    // If it has not (a Unix datagram socket), what is taken is given back.
                    give_back_the_hosts()
                } else {
                    take_one().map(drop)
                }
            }
            // A short count may hide one.
            Ok(taken) if *taken < len => self.take_back_what_came(),
            _ => Ok(()),
        }
    }

    /// Takes back one SIGPIPE, if one came since; a second may be the host's. Where one was
    /// pending before, what came has merged with it or cannot be distinguished from it.
    fn take_back_what_came(self) -> io::Result<()> {
        // Where the question is forbidden, what may be there is taken.
        if self.pending || matches!(pending(), Ok(false)) {
            return Ok(());
        }
        take_one().map(drop)
    }

    /// A signal that a sandbox forbids to take would kill: it stays blocked, on this thread.
    #[inline]
    fn restore(self, taken: io::Result<()>) {
        if !self.blocked && (taken.is_ok() || matches!(pending(), Ok(false))) {
            unblock();
        }
    }
}

/// One SIGPIPE was pending before, and a call of ours has raised another: one is left. The
/// host's was the thread's, and ours has merged with it; or it was the process's, and there are
/// two. The thread's own is taken first (Linux kernel/signal.c `dequeue_signal`).
fn give_back_the_hosts() -> io::Result<()> {
    take_one()?;
    if !pending()? {
        // SAFETY: the thread is this one, where the signal is blocked: it stays pending.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGPIPE) };
    }
    Ok(())
}
