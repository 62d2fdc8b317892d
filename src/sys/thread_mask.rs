//! `thread_mask`: block SIGPIPE on this thread, call, take back what came, unblock.
//!
//! For systems that direct the SIGPIPE of a write at the writing thread: Linux and Android
//! (pending on the writer alone), FreeBSD (`tdsignal`), DragonFly (`lwpsignal`), OpenBSD
//! (`ptsignal` STHREAD), illumos (`tsignal`), Haiku, Cygwin. Taken to be so, and not verified, on
//! Solaris, the Hurd, AIX, QNX and any other Unix. Never on Apple, NetBSD or RTEMS, which direct it
//! at the process.

#![allow(unsafe_code, reason = "pthread_kill and pthread_self are libc's")]

use std::io;

use super::errno;
use super::signal::{block, pending, take_one, unblock};
use super::threads::{Before, Here, Slot, this_process};

/// A guard of this thread. Its guards end in any order; the last one puts back what the first one
/// found.
pub(crate) struct MaskGuard {
    slot: Option<&'static Slot>,
    before: Before,
}

impl MaskGuard {
    pub(super) fn enter() -> io::Result<MaskGuard> {
        let before = Before::begin()?;
        // If the table is full, this guard restores what it found itself. Then guards must end in
        // the reverse order.
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

/// A guard around a closure. These end in the reverse order, so it keeps what it found here and
/// claims no slot. Only a [`MaskGuard`] that is dropped in the closure breaks that order: where the
/// thread has a slot, this guard counts in it.
struct Nested {
    slot: Option<&'static Slot>,
    before: Before,
}

impl Drop for Nested {
    fn drop(&mut self) {
        let _errno = errno::Keep::new();
        // Foreign code ran, and may have swallowed an EPIPE: so the kernel is always asked.
        let taken = self.before.take_back_what_came();
        match self.slot {
            Some(slot) if slot.leave_unless_last() => {}
            // The closure has dropped all others.
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

/// Runs `f` under a guard; an error says why none could be entered.
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

/// [`around`] one call of our own, which offers `len` bytes.
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
    /// Blocks SIGPIPE on this thread, and reports how it was found. Under a guard too: foreign code
    /// may have unblocked it since.
    #[inline]
    fn begin() -> io::Result<Before> {
        let mut before = Before { blocked: block()?, pending_in: 0 };
        let is_pending = || pending().is_ok_and(|pending| pending);
        if before.blocked && is_pending() {
            let process = this_process();
            // Asked again: if a handler has forked in between, this is the child, whose queue is
            // empty.
            if is_pending() {
                before.pending_in = process;
            }
        }
        Ok(before)
    }

    /// Whether a SIGPIPE of the host's was pending at the start. Never in a child forked since.
    fn had_pending(self) -> bool {
        self.pending_in != 0 && self.pending_in == this_process()
    }

    /// Takes back what one call of our own has raised.
    #[inline]
    fn take_back(self, len: usize, answer: &io::Result<usize>) -> io::Result<()> {
        match answer {
            // A stream or a pipe has raised with it.
            Err(error) if errno::is_epipe(error) => {
                if self.had_pending() {
                    // A Unix datagram socket has not raised: what is taken then is given back.
                    self.take_ours_and_leave_the_hosts()
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
        // If a sandbox forbids to ask, what may be there is taken.
        if self.had_pending() || matches!(pending(), Ok(false)) {
            return Ok(());
        }
        take_one().map(drop)
    }

    /// Unblocks SIGPIPE, unless it was blocked before. If a sandbox forbids to take the signal that
    /// came, it would kill: so it stays blocked, on this thread.
    #[inline]
    fn restore(self, taken: io::Result<()>) {
        if !self.blocked && (taken.is_ok() || matches!(pending(), Ok(false))) {
            unblock();
        }
    }

    /// One SIGPIPE was pending before, and a call of ours has raised another: one is left. The
    /// host's was the thread's, and ours has merged with it; or it was the process's, and there are
    /// two. The thread's own is taken first (Linux kernel/signal.c `dequeue_signal`).
    fn take_ours_and_leave_the_hosts(self) -> io::Result<()> {
        // SAFETY: the thread is this one, where the signal is blocked: it stays pending.
        let raise = || unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGPIPE) } == 0;
        // Merges with the thread's. If a sandbox forbids to raise one, none is taken.
        if !raise() {
            return Ok(());
        }
        take_one()?;
        if !pending()? {
            raise();
            if !self.had_pending() {
                take_one()?; // a child, which a handler has forked meanwhile
            }
        }
        Ok(())
    }
}
