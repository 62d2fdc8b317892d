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
use libc::{SIG_BLOCK, SIG_UNBLOCK, SIGPIPE, c_int, sigset_t};

use super::Guard;
use super::climb::LastRung;
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
            before.take_back_what_came();
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
            // At once: the next ppoll with another mask would deliver it.
            THREAD.with(|thread| thread.before.get().take_back(len, &answer));
            return answer;
        }
        let before = Before::find(block()?);
        let answer = call();
        before.take_back(len, &answer);
        before.restore();
        answer
    }

    fn held() -> bool {
        THREAD.with(|thread| thread.guards.get() > 0)
    }
}

impl Before {
    fn find(blocked: bool) -> Before {
        Before {
            blocked,
            pending: blocked && is_pending(),
        }
    }

    /// Takes back what one call of our own has raised.
    fn take_back(self, len: usize, answer: &io::Result<usize>) {
        match answer {
            // A stream or a pipe has raised with it. Where it has not (a Unix datagram socket),
            // what is taken is given back.
            Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {
                if self.pending {
                    give_back_the_hosts();
                } else {
                    self.take_back_what_came();
                }
            }
            // A short count may hide one.
            Ok(taken) if *taken < len => self.take_back_what_came(),
            _ => {}
        }
    }

    /// Takes back one SIGPIPE, if one came since; a second may be the host's. Where one was
    /// pending before, what came has merged with it or cannot be told from it.
    fn take_back_what_came(self) {
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

/// One SIGPIPE was pending before, and a call of ours has raised another: one is left. The
/// host's was the thread's, and ours has merged with it; or it was the process's, and there are
/// two. The thread's own is taken first (Linux kernel/signal.c `dequeue_signal`).
fn give_back_the_hosts() {
    take_one();
    if !is_pending() {
        // SAFETY: the thread is this one, where the signal is blocked: it stays pending.
        unsafe { libc::pthread_kill(libc::pthread_self(), SIGPIPE) };
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

/// Takes one pending SIGPIPE, if there is one. It does not wait.
fn take_one() {
    let zero = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // EINTR: another signal's handler ran first. EAGAIN: another thread took it.
    while sigtimedwait(&zero) == -1 && errno::get() == libc::EINTR {}
}

cfg_if! {
    if #[cfg(any(
        target_os = "aix",
        target_os = "cygwin",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "haiku",
        target_os = "hurd",
        target_os = "linux",
        target_os = "nto",
        target_os = "redox",
    ))] {
        fn sigtimedwait(timeout: &libc::timespec) -> c_int {
            // SAFETY: set and timeout are valid for the call; no siginfo is asked for.
            unsafe { libc::sigtimedwait(&sigpipe(), ptr::null_mut(), timeout) }
        }
    } else if #[cfg(target_os = "android")] {
        /// The raw call: bionic has the function only from API 23 (signal.h), and a program that
        /// asks for it would not load on older ones.
        fn sigtimedwait(timeout: &libc::timespec) -> c_int {
            // The kernel's set has 64 bits, also where bionic's has 32.
            let kernel_set = 1_u64 << (SIGPIPE - 1);
            // SAFETY: set, its size and timeout are valid for the call; no siginfo is asked for.
            let signal = unsafe {
                libc::syscall(
                    libc::SYS_rt_sigtimedwait,
                    &raw const kernel_set,
                    ptr::null_mut::<libc::siginfo_t>(),
                    ptr::from_ref(timeout),
                    size_of::<u64>(),
                )
            };
            signal as c_int
        }
    } else if #[cfg(any(target_os = "illumos", target_os = "solaris"))] {
        fn sigtimedwait(timeout: &libc::timespec) -> c_int {
            unsafe extern "C" {
                // signal.h of both; the libc crate lacks it.
                fn sigtimedwait(
                    set: *const sigset_t,
                    info: *mut libc::siginfo_t,
                    timeout: *const libc::timespec,
                ) -> c_int;
            }
            // SAFETY: set and timeout are valid for the call; no siginfo is asked for.
            unsafe { sigtimedwait(&sigpipe(), ptr::null_mut(), timeout) }
        }
    } else {
        /// OpenBSD and the unknown have only `sigwait`, which waits: so it is asked for what is
        /// pending, under a lock, lest another thread of ours takes a signal of the process's in
        /// between. If a thread of the host's does, this one waits for the next.
        fn sigtimedwait(_: &libc::timespec) -> c_int {
            static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
            let _lock = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let mut signal: c_int = 0;
            if is_pending() {
                // SAFETY: set and result are valid for the call.
                unsafe { libc::sigwait(&sigpipe(), &mut signal) };
            }
            signal
        }
    }
}
