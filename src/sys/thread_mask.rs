//! `thread_mask`: block SIGPIPE on this thread, make the call, take back a signal that came,
//! unblock.
//!
//! For systems that direct the SIGPIPE of a write at the writing thread:
//! * Linux and Android (pending only on the writer), FreeBSD (`tdsignal`), DragonFly (`lwpsignal`),
//!   OpenBSD (`ptsignal` STHREAD), illumos (`tsignal`), Haiku, Cygwin.
//! * Assumed, and not verified: Solaris, the Hurd, AIX, QNX and any other Unix.
//!
//! Not for Apple, NetBSD and RTEMS, which direct the signal at the process.

#![allow(unsafe_code, reason = "pthread_kill and pthread_self are libc's")]

use std::io;

use super::errno;
use super::signal::{block, pending, take_one, unblock};
use super::threads::{Before, Here, Slot, this_process};

/// A guard of this thread. The guards of a thread end in any order. The last one restores what the
/// first one found.
pub(crate) struct MaskGuard {
    slot: Option<&'static Slot>,
    before: Before,
}

impl MaskGuard {
    pub(super) fn enter() -> io::Result<MaskGuard> {
        let before = Before::begin()?;
        // If the table is full, this guard restores what it found. Guards must then end in the
        // reverse order.
        Ok(MaskGuard { slot: Slot::enter(Here::now(), before), before })
    }
}

impl Drop for MaskGuard {
    fn drop(&mut self) {
        let _errno = errno::Keep::new();
        let first = self.slot.map_or(self.before, Slot::before);
        let taken = first.take_back_what_came();
        match self.slot {
            Some(slot) if slot.leave_unless_last() => return,
            Some(slot) => slot.free(),
            None => {}
        }
        first.restore(taken);
    }
}

/// A guard around a closure.
///
/// Closures end in the reverse order, so this guard keeps what it found here, and claims no slot.
/// Only a [`MaskGuard`] that is dropped in the closure breaks that order. So if the thread has a
/// slot, this guard counts in it.
struct Nested {
    slot: Option<&'static Slot>,
    before: Before,
}

impl Drop for Nested {
    fn drop(&mut self) {
        let _errno = errno::Keep::new();
        // Foreign code ran, and may have hidden an EPIPE. So this always asks the kernel.
        let taken = self.before.take_back_what_came();
        match self.slot {
            Some(slot) if slot.leave_unless_last() => {}
            // The closure has dropped all other guards.
            Some(slot) => {
                let Before { blocked, .. } = slot.before();
                slot.free();
                return Before { blocked, ..self.before }.restore(taken);
            }
            None if !self.before.blocked => {
                // A guard that began in the closure outlives it.
                if let Some(slot) = Slot::mine() {
                    return slot.forget_blocked();
                }
            }
            None => {}
        }
        self.before.restore(taken);
    }
}

/// Runs `f` under a guard. An error means that no guard could be entered.
#[inline]
pub(super) fn around<T>(f: impl FnOnce() -> T) -> io::Result<T> {
    let before = Before::begin()?;
    let slot = Slot::mine();
    if let Some(slot) = slot {
        slot.enter_again();
    }
    let _nested = Nested { slot, before };
    Ok(f())
}

/// Like [`around`], for one call of our own that offers `len` bytes.
#[inline]
pub(super) fn run(
    len: usize,
    call: impl FnOnce() -> io::Result<usize>,
) -> io::Result<io::Result<usize>> {
    let before = Before::begin()?;
    let answer = call();
    let taken = before.take_back(len, &answer);
    before.restore(taken);
    Ok(answer)
}

impl Before {
    /// Blocks SIGPIPE on this thread, and returns how it was before. Also under a guard: foreign
    /// code may have unblocked it since.
    #[inline]
    fn begin() -> io::Result<Before> {
        let mut before = Before { blocked: block()?, pending_in: 0 };
        let is_pending = || pending().is_ok_and(|pending| pending);
        if before.blocked && is_pending() {
            let process = this_process();
            // Asked again: if a handler has forked since, this is the child. Its queue is empty.
            if is_pending() {
                before.pending_in = process;
            }
        }
        Ok(before)
    }

    /// Whether a SIGPIPE of the host was pending at the start. False in a child forked since.
    fn had_pending(self) -> bool {
        self.pending_in != 0 && self.pending_in == this_process()
    }

    /// Takes back the signal that one call of our own has raised.
    #[inline]
    fn take_back(self, len: usize, answer: &io::Result<usize>) -> io::Result<()> {
        match answer {
            // With EPIPE, a stream or a pipe has raised.
            Err(error) if errno::is_epipe(error) => {
                if self.had_pending() {
                    // A Unix datagram socket has not raised. Then the signal taken is raised again.
                    self.take_ours_and_leave_the_hosts()
                } else {
                    take_one().map(drop)
                }
            }
            // A call that returned a short count may have raised too.
            Ok(taken) if *taken < len => self.take_back_what_came(),
            _ => Ok(()),
        }
    }

    /// Takes back one SIGPIPE, if one came since the start. A second one may be the host's. If one
    /// was pending at the start, it takes none: a new one has merged with the host's, or cannot be
    /// distinguished from it.
    fn take_back_what_came(self) -> io::Result<()> {
        // If a sandbox forbids to ask, this takes what may be there.
        if self.had_pending() || matches!(pending(), Ok(false)) {
            return Ok(());
        }
        take_one().map(drop)
    }

    /// Unblocks SIGPIPE, unless it was blocked before. If a sandbox forbids to take the signal that
    /// came, that signal would kill. SIGPIPE then stays blocked on this thread.
    #[inline]
    fn restore(self, taken: io::Result<()>) {
        if !self.blocked && (taken.is_ok() || matches!(pending(), Ok(false))) {
            unblock();
        }
    }

    /// Leaves one SIGPIPE pending, where one was pending before and a call of ours has raised
    /// another.
    ///
    /// If the host's was pending on the thread, ours has merged with it. If it was pending on the
    /// process, there are two. The kernel takes the thread's first (Linux kernel/signal.c
    /// `dequeue_signal`).
    fn take_ours_and_leave_the_hosts(self) -> io::Result<()> {
        // SAFETY: pthread_self is this thread, where the signal is blocked, so it stays pending.
        let raise = || unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGPIPE) } == 0;
        // This one merges with the thread's. If a sandbox forbids to raise one, none is taken.
        if !raise() {
            return Ok(());
        }
        take_one()?;
        if !pending()? {
            raise();
            if !self.had_pending() {
                take_one()?; // this is a child, which a handler has forked meanwhile
            }
        }
        Ok(())
    }
}
