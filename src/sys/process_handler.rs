//! `process_handler`: a counted handler that does nothing, in place of the default action.
//!
//! For systems that direct SIGPIPE at the process (XNU and NetBSD: `psignal`), where a
//! thread's mask protects nobody. A handler and not `SIG_IGN`: exec resets it, and it can be
//! told from what a host has set.
//!
//! The way out matters: from the handler straight to `SIG_DFL` a signal still in flight to
//! another thread kills the process. `SIG_IGN` in between discards it.
//!
//! What `sigpipe::ignore` and `sigpipe::disposition` do stands here too: they see through
//! this handler, and share its lock.

#![allow(
    unsafe_code,
    reason = "sigaction takes pointers and a handler's address"
)]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use libc::{SIG_DFL, SIG_IGN, SIGPIPE, c_int, sighandler_t};

use super::climb::LastRung;
use super::rung::Rung;
use super::{Guard, errno};
use crate::sigpipe::Disposition;

/// How many guards live in this process. Count and disposition change under one lock.
static GUARDS: Mutex<usize> = Mutex::new(0);

/// Whether there is one, for a signal handler, which takes no lock.
static HELD: AtomicBool = AtomicBool::new(false);

/// Names GUARDS so that no linker folds it with a host's empty handler: by its address it is
/// told from all others.
extern "C" fn do_nothing(_: c_int) {
    std::hint::black_box(&raw const GUARDS);
}

#[allow(dead_code)] // the guard of some systems, and of those that refuse the other one
pub(crate) enum ProcessHandler {}

impl Guard for ProcessHandler {
    fn enter() -> io::Result<()> {
        // SA_RESTART: calls of other threads go on. SA_ONSTACK: the stack of a host's thread may
        // be too small for a handler (Go demands it). QNX has neither in libc.
        #[cfg(not(target_os = "nto"))]
        const FLAGS: c_int = libc::SA_RESTART | libc::SA_ONSTACK;
        #[cfg(target_os = "nto")]
        const FLAGS: c_int = 0;

        let mut guards = lock();
        // Asked each time: a host may have put the default back since.
        if current()? == SIG_DFL {
            set(handler(), FLAGS)?;
        }
        *guards += 1;
        HELD.store(true, Ordering::Release);
        Ok(())
    }

    fn leave() {
        let _errno = errno::Keep::new();
        let mut guards = lock();
        *guards -= 1;
        HELD.store(*guards > 0, Ordering::Release);
        if *guards == 0 && current().is_ok_and(|found| found == handler()) {
            // If the first were refused, the handler stays: better than a signal in flight.
            let _ = set(SIG_IGN, 0).and_then(|()| set(SIG_DFL, 0));
        }
    }
}

impl LastRung for ProcessHandler {
    const RUNG: Rung = Rung::ProcessHandler;

    fn own(_: usize, call: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
        Self::enter()?;
        let answer = call();
        Self::leave();
        answer
    }

    fn held() -> bool {
        // The count is the process's: another thread may drop the last guard in the middle of our
        // call. So each call enters by itself.
        false
    }
}

/// How SIGPIPE is disposed of. Our own handler counts as the default that it stands for.
pub(crate) fn disposition() -> io::Result<Disposition> {
    let _guards = lock();
    find()
}

/// Ignores SIGPIPE where the default stood, and tells what was found.
pub(crate) fn ignore() -> io::Result<Disposition> {
    let _guards = lock();
    let found = find()?;
    if found == Disposition::Default {
        set(SIG_IGN, 0)?;
    }
    Ok(found)
}

fn find() -> io::Result<Disposition> {
    Ok(match current()? {
        SIG_IGN => Disposition::Ignored,
        found if found == SIG_DFL || found == handler() => Disposition::Default,
        _ => Disposition::Handled,
    })
}

/// Nothing panics under this lock; a poisoned one is used all the same.
fn lock() -> MutexGuard<'static, usize> {
    GUARDS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn handler() -> sighandler_t {
    do_nothing as extern "C" fn(c_int) as usize as sighandler_t
}

/// Whether a guard of this kind lives in this process.
#[allow(dead_code)] // for a feature
pub(super) fn is_held() -> bool {
    HELD.load(Ordering::Acquire)
}

/// The disposition that the system has now.
pub(super) fn current() -> io::Result<sighandler_t> {
    Ok(action()?.sa_sigaction)
}

/// The same, with flags and mask.
pub(super) fn action() -> io::Result<libc::sigaction> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action sigaction only writes the old one.
    if unsafe { libc::sigaction(SIGPIPE, ptr::null(), action.as_mut_ptr()) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: written by the successful call.
    Ok(unsafe { action.assume_init() })
}

pub(super) fn set(disposition: sighandler_t, flags: c_int) -> io::Result<()> {
    // SAFETY: all zeros is a valid sigaction: the default action, no flags, no mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = disposition;
    action.sa_flags = flags as _;
    set_action(&action)
}

pub(super) fn set_action(action: &libc::sigaction) -> io::Result<()> {
    // SAFETY: `action` is valid for the call. Its disposition is SIG_DFL, SIG_IGN, what a host had
    // set, or a function that lives as long as this code is loaded.
    if unsafe { libc::sigaction(SIGPIPE, action, ptr::null_mut()) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
