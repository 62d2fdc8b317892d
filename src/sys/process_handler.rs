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

use super::climb::LastTechnique;
use super::technique::Technique;
use super::{Guard, errno};
use crate::sigpipe::Disposition;

/// What this crate has put in. It and the disposition change under one lock.
static STATE: Mutex<State> = Mutex::new(State {
    guards: 0,
    stand_in: None,
});

struct State {
    /// How many guards live in this process.
    guards: usize,
    stand_in: Option<StandIn>,
}

/// A handler of the testing kit's, and what it stands for.
#[allow(dead_code)] // for a feature
struct StandIn {
    handler: sighandler_t,
    former: libc::sigaction,
}

/// Whether there is one, for a signal handler, which takes no lock.
static HELD: AtomicBool = AtomicBool::new(false);

/// Names STATE so that no linker folds it with a host's empty handler: by its address it is
/// told from all others.
extern "C" fn do_nothing(_: c_int) {
    std::hint::black_box(&raw const STATE);
}

#[allow(dead_code)] // the guard of some systems, and of those that refuse the other one
pub(crate) enum ProcessHandler {}

// SA_RESTART: calls of other threads go on. SA_ONSTACK: the stack of a host's thread may be too
// small for a handler (Go demands it). QNX has neither in libc.
#[cfg(not(target_os = "nto"))]
const FLAGS: c_int = libc::SA_RESTART | libc::SA_ONSTACK;
#[cfg(target_os = "nto")]
const FLAGS: c_int = 0;

impl Guard for ProcessHandler {
    fn enter() -> io::Result<()> {
        let mut state = lock();
        // Asked each time: a host may have put the default back since.
        if current()? == SIG_DFL {
            set(handler(), FLAGS)?;
        }
        state.guards += 1;
        HELD.store(true, Ordering::Release);
        Ok(())
    }

    fn leave() {
        let _errno = errno::Keep::new();
        let mut state = lock();
        state.guards -= 1;
        HELD.store(state.guards > 0, Ordering::Release);
        if state.guards == 0 && current().is_ok_and(|found| found == handler()) {
            back_to_default();
        }
    }
}

/// From a handler to the default action.
fn back_to_default() {
    // If the first were refused, the handler stays: better than a signal in flight.
    let _ = set(SIG_IGN, 0).and_then(|()| set(SIG_DFL, 0));
}

impl LastTechnique for ProcessHandler {
    const TECHNIQUE: Technique = Technique::ProcessHandler;

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

/// How SIGPIPE is disposed of. A handler of ours counts as what it stands for.
pub(crate) fn disposition() -> io::Result<Disposition> {
    find(&lock())
}

/// Ignores SIGPIPE where the default stood, and tells what was found.
pub(crate) fn ignore() -> io::Result<Disposition> {
    let mut state = lock();
    let found = find(&state)?;
    if found == Disposition::Default {
        match &mut state.stand_in {
            // It is put back when that one steps aside.
            Some(stand_in) if current()? == stand_in.handler => {
                stand_in.former = plain(SIG_IGN, 0);
            }
            _ => set(SIG_IGN, 0)?,
        }
    }
    Ok(found)
}

fn find(state: &State) -> io::Result<Disposition> {
    let current = current()?;
    let found = match &state.stand_in {
        Some(stand_in) if current == stand_in.handler => stand_in.former.sa_sigaction,
        _ => current,
    };
    Ok(match found {
        SIG_IGN => Disposition::Ignored,
        found if found == SIG_DFL || found == handler() => Disposition::Default,
        _ => Disposition::Handled,
    })
}

/// Puts a handler before what is there; `action` makes it of that. What is ours counts as the
/// default.
#[allow(dead_code)] // for a feature
pub(super) fn stand_in(
    handler: sighandler_t,
    action_for: impl FnOnce(&libc::sigaction) -> libc::sigaction,
) -> io::Result<()> {
    let mut state = lock();
    let mut former = action()?;
    // The stand-in's own: somebody has put it back who had found it there.
    if [self::handler(), handler].contains(&former.sa_sigaction) {
        former = plain(SIG_DFL, 0);
    }
    set_action(&action_for(&former))?;
    state.stand_in = Some(StandIn { handler, former });
    Ok(())
}

/// Puts back what the stand-in stands for. Who has put in a handler of his own since keeps it.
#[allow(dead_code)] // for a feature
pub(super) fn step_aside() {
    let mut state = lock();
    let Some(StandIn { handler, former }) = state.stand_in.take() else {
        return;
    };
    if !current().is_ok_and(|found| found == handler) {
        return;
    }
    if former.sa_sigaction != SIG_DFL {
        let _ = set_action(&former);
    } else if state.guards > 0 {
        // It would have found the default.
        let _ = set(self::handler(), FLAGS);
    } else {
        back_to_default();
    }
}

/// Nothing panics under this lock; a poisoned one is used all the same.
fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
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
fn current() -> io::Result<sighandler_t> {
    Ok(action()?.sa_sigaction)
}

/// The same, with flags and mask.
fn action() -> io::Result<libc::sigaction> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action sigaction only writes the old one.
    if unsafe { libc::sigaction(SIGPIPE, ptr::null(), action.as_mut_ptr()) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: written by the successful call.
    Ok(unsafe { action.assume_init() })
}

/// An action without a mask.
pub(super) fn plain(disposition: sighandler_t, flags: c_int) -> libc::sigaction {
    // SAFETY: all zeros is a valid sigaction: the default action, no flags, no mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = disposition;
    action.sa_flags = flags as _;
    action
}

pub(super) fn set(disposition: sighandler_t, flags: c_int) -> io::Result<()> {
    set_action(&plain(disposition, flags))
}

fn set_action(action: &libc::sigaction) -> io::Result<()> {
    // SAFETY: `action` is valid for the call. Its disposition is SIG_DFL, SIG_IGN, what a host had
    // set, or a function that lives as long as this code is loaded.
    if unsafe { libc::sigaction(SIGPIPE, action, ptr::null_mut()) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
