//! SIGPIPE's action in this process, and its mask on this thread.

#![allow(unsafe_code, reason = "the signal calls take pointers")]

use std::ffi::c_int;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use libc::{SIG_UNBLOCK, SIGPIPE, sighandler_t, sigset_t};

#[cfg(feature = "watch")]
pub(super) fn action() -> io::Result<libc::sigaction> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action sigaction only writes the old one.
    if unsafe { libc::sigaction(SIGPIPE, ptr::null(), action.as_mut_ptr()) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: written by the successful call.
    Ok(unsafe { action.assume_init() })
}

pub(super) fn set_action(action: &libc::sigaction) -> io::Result<()> {
    // SAFETY: a handler in it is this crate's own, or the former one, which sigaction returned.
    if unsafe { libc::sigaction(SIGPIPE, action, ptr::null_mut()) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// An action without a mask.
pub(super) fn plain(disposition: sighandler_t, flags: c_int) -> libc::sigaction {
    // SAFETY: all zeros is a valid sigaction: the default action, no flags, no mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = disposition;
    action.sa_flags = flags as _;
    action
}

fn empty_set() -> sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

pub(super) fn unblock() -> io::Result<()> {
    let mut set = empty_set();
    // SAFETY: the set is initialised; SIGPIPE is a signal.
    unsafe { libc::sigaddset(&mut set, SIGPIPE) };
    change_mask(SIG_UNBLOCK, &set).map(drop)
}

#[cfg(feature = "watch")]
pub(super) fn is_blocked() -> io::Result<bool> {
    let now = change_mask(libc::SIG_BLOCK, &empty_set())?;
    // SAFETY: the set was written by the system.
    Ok(unsafe { libc::sigismember(&now, SIGPIPE) } == 1)
}

/// Returns the former mask.
fn change_mask(how: c_int, set: &sigset_t) -> io::Result<sigset_t> {
    let mut old = empty_set();
    // SAFETY: both sets are initialised.
    match unsafe { libc::pthread_sigmask(how, set, &mut old) } {
        0 => Ok(old),
        // pthread_sigmask returns the error and leaves errno unchanged.
        error => Err(io::Error::from_raw_os_error(error)),
    }
}
