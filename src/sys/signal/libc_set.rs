//! All other systems: libc's set and calls.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use libc::{SIGPIPE, c_int, sigset_t as Set};

pub(super) fn nothing() -> Set {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

pub(super) fn sigpipe() -> Set {
    let mut set = nothing();
    // SAFETY: the set is initialised, and SIGPIPE is a signal.
    unsafe { libc::sigaddset(&mut set, SIGPIPE) };
    set
}

pub(super) fn contains_sigpipe(set: &Set) -> bool {
    // SAFETY: a reference is a valid pointer to an initialised set.
    unsafe { libc::sigismember(set, SIGPIPE) == 1 }
}

pub(super) fn change_mask(how: c_int, set: &Set, old: Option<&mut Set>) -> io::Result<()> {
    let old = old.map_or(ptr::null_mut(), ptr::from_mut);
    // SAFETY: both are valid sets. `old` may be null: then it is not written.
    match unsafe { libc::pthread_sigmask(how, set, old) } {
        0 => Ok(()),
        // Pthread calls return the error and do not set errno.
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

pub(super) fn sigpending(set: &mut Set) -> io::Result<()> {
    // SAFETY: the set is valid for the call.
    match unsafe { libc::sigpending(set) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
