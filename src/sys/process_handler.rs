//! `process_handler`: a counted handler that does nothing, in place of the default action.
//!
//! For systems that direct SIGPIPE at the process (XNU and NetBSD: `psignal`; RTEMS: fifo.c
//! `kill`), where a thread's mask does not help. A handler and not `SIG_IGN`: exec resets it, and
//! it cannot be mistaken for what a host has set.
//!
//! The way out matters. If `SIG_DFL` directly follows the handler, a signal still in flight to
//! another thread kills the process. `SIG_IGN` in between discards it.
//!
//! What `sigpipe::ignore` and `sigpipe::disposition` do stands here too: they see through
//! this handler, and share its lock.

#![allow(unsafe_code, reason = "sigaction takes pointers and a handler's address")]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use libc::{SIG_DFL, SIG_IGN, SIGPIPE, c_int, sighandler_t};

use super::{Disposition, errno};

/// How many guards live in this process. The count and the disposition change under one lock.
static GUARDS: Mutex<usize> = Mutex::new(0);

/// Names GUARDS so that no linker folds it with a host's empty handler: it is recognised by its
/// address.
extern "C" fn do_nothing(_: c_int) {
    std::hint::black_box(&raw const GUARDS);
}

// SA_RESTART: calls of other threads go on. SA_ONSTACK: the stack of a host's thread may be too
// small for a handler (Go demands it). QNX has neither in libc.
#[cfg(not(target_os = "nto"))]
const FLAGS: c_int = libc::SA_RESTART | libc::SA_ONSTACK;
#[cfg(target_os = "nto")]
const FLAGS: c_int = 0;

pub(super) fn enter() -> io::Result<()> {
    let mut guards = lock();
    // Asked each time: a host may have put the default back since.
    if current()? == SIG_DFL {
        set(handler(), FLAGS)?;
    }
    *guards += 1;
    Ok(())
}

pub(super) fn leave() {
    let _errno = errno::Keep::new();
    let mut guards = lock();
    *guards -= 1;
    if *guards == 0 && current().is_ok_and(|found| found == handler()) {
        // If the first is refused, the handler stays: better than a signal in flight.
        let _ = set(SIG_IGN, 0).and_then(|()| set(SIG_DFL, 0));
    }
}

pub(super) fn run(call: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
    enter()?;
    let answer = call();
    leave();
    answer
}

/// What SIGPIPE does in this process. A handler of ours counts as the default.
pub(crate) fn disposition() -> io::Result<Disposition> {
    let _guards = lock();
    find()
}

/// Ignores SIGPIPE where the default was in force, and returns what was found.
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

/// The disposition that the system has now.
fn current() -> io::Result<sighandler_t> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action sigaction only writes the old one.
    if unsafe { libc::sigaction(SIGPIPE, ptr::null(), action.as_mut_ptr()) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: written by the successful call.
    Ok(unsafe { action.assume_init() }.sa_sigaction)
}

fn set(disposition: sighandler_t, flags: c_int) -> io::Result<()> {
    // SAFETY: all zeros is a valid sigaction: the default action, no flags, no mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = disposition;
    action.sa_flags = flags as _;
    // SAFETY: `action` is valid for the call. Its disposition is SIG_DFL, SIG_IGN, or a function
    // that lives as long as this code is loaded.
    if unsafe { libc::sigaction(SIGPIPE, &action, ptr::null_mut()) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
