//! `thread_mask`: block SIGPIPE on this thread, call, take back what came, unblock.
//!
//! For systems that direct the SIGPIPE of a write at the writing thread: Linux and Android
//! (pending on the writer alone), FreeBSD (`tdsignal`), DragonFly (`lwpsignal`), OpenBSD
//! (`ptsignal` STHREAD), illumos (`tsignal`), Haiku, Cygwin. Never on Apple or NetBSD, which
//! direct it at the process.

#![allow(unsafe_code, reason = "the signal calls of libc take pointers")]

use std::cell::Cell;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use cfg_if::cfg_if;
use libc::{SIG_BLOCK, SIG_UNBLOCK, SIGPIPE, sigset_t};

use super::Guard;
use super::climb::{LastRung, may_have_raised};
use super::errno;

/// The guards that this thread stands under.
struct Thread {
    guards: Cell<usize>,
    before: Cell<Before>,
}

/// How the outermost guard found the thread.
#[derive(Clone, Copy)]
struct Before {
    /// SIGPIPE was blocked already.
    blocked: bool,
    /// A SIGPIPE was pending already: it is the host's, and stays. Only a blocked signal
    /// can be pending. What comes on top of it merges with it, or stays with it: nothing is
    /// taken back, and the host's block outlives the guard.
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

pub(crate) enum ThreadMask {}

impl Guard for ThreadMask {
    fn enter() -> io::Result<()> {
        // An inner guard asks the kernel again: foreign code may have unblocked.
        let blocked = block()?;
        THREAD.with(|thread| {
            if thread.guards.get() == 0 {
                thread.before.set(Before::find(blocked));
            }
            thread.guards.set(thread.guards.get() + 1);
        });
        Ok(())
    }

    fn leave() {
        let _errno = errno::Keep::new();
        THREAD.with(|thread| {
            let before = thread.before.get();
            // A guard round foreign code always looks: an EPIPE may have been swallowed.
            before.take_back();
            thread.guards.set(thread.guards.get() - 1);
            if thread.guards.get() == 0 {
                before.restore();
            }
        });
    }
}

impl LastRung for ThreadMask {
    fn own(len: usize, call: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
        if Self::held() {
            let answer = call();
            if may_have_raised(len, &answer) {
                // At once: the next ppoll with another mask would deliver it.
                THREAD.with(|thread| thread.before.get().take_back());
            }
            return answer;
        }
        let before = Before::find(block()?);
        let answer = call();
        if may_have_raised(len, &answer) {
            before.take_back();
        }
        before.restore();
        answer
    }

    fn held() -> bool {
        THREAD.with(|thread| thread.guards.get() > 0)
    }
}

impl Before {
    fn find(blocked: bool) -> Before {
        Before { blocked, pending: blocked && is_pending() }
    }

    /// Takes back one SIGPIPE, if one came since; a second may be the host's.
    fn take_back(self) {
        if !self.pending && is_pending() {
            take_one();
        }
    }

    fn restore(self) {
        if !self.blocked {
            // SAFETY: `sigpipe()` is an initialised set; no old mask is asked for. With a
            // valid `how` and set the call cannot fail.
            unsafe { libc::pthread_sigmask(SIG_UNBLOCK, &sigpipe(), ptr::null_mut()) };
        }
    }
}

/// The set of SIGPIPE alone.
fn sigpipe() -> sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set, sigaddset changes it; SIGPIPE is a signal.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), SIGPIPE);
        set.assume_init()
    }
}

fn contains_sigpipe(set: &sigset_t) -> bool {
    // SAFETY: a reference is a valid pointer to an initialised set.
    unsafe { libc::sigismember(set, SIGPIPE) == 1 }
}

/// Blocks SIGPIPE on this thread; tells whether it was blocked before.
fn block() -> io::Result<bool> {
    let mut old = MaybeUninit::uninit();
    // SAFETY: both sets are valid for the call, which writes `old` if it succeeds.
    match unsafe { libc::pthread_sigmask(SIG_BLOCK, &sigpipe(), old.as_mut_ptr()) } {
        // SAFETY: initialised by the successful call.
        0 => Ok(contains_sigpipe(unsafe { old.assume_init_ref() })),
        // Pthread calls return the error and leave errno alone.
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Whether a SIGPIPE is pending on this thread, or on the process.
fn is_pending() -> bool {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigpending writes the set if it succeeds, and only then is it read.
    unsafe { libc::sigpending(set.as_mut_ptr()) == 0 && contains_sigpipe(set.assume_init_ref()) }
}

cfg_if! {
    if #[cfg(any(
        target_os = "aix",
        target_os = "android",
        target_os = "cygwin",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "haiku",
        target_os = "hurd",
        target_os = "linux",
        target_os = "nto",
        target_os = "redox",
    ))] {
        /// Takes one pending SIGPIPE; the thread's own goes before the process's.
        fn take_one() {
            let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: set and timeout are valid for the call; no siginfo is asked for.
            let wait = || unsafe { libc::sigtimedwait(&sigpipe(), ptr::null_mut(), &zero) };
            // EINTR: another signal's handler ran first. EAGAIN: another thread took it.
            while wait() == -1 && errno::get() == libc::EINTR {}
        }
    } else {
        // No sigtimedwait (OpenBSD), or none in libc (illumos, Solaris).
        /// Takes the pending SIGPIPE. It is there, so this does not wait.
        fn take_one() {
            let mut signal = 0;
            // SAFETY: set and result are valid for the call.
            unsafe { libc::sigwait(&sigpipe(), &mut signal) };
        }
    }
}
