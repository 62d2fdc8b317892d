//! SIGPIPE on this thread: its mask, and the queue of what is pending. `build.rs` reads this file
//! too.

#![allow(unsafe_code, reason = "the signal calls of libc take pointers")]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use cfg_if::cfg_if;
use libc::{SIG_BLOCK, SIG_UNBLOCK, SIGPIPE, c_int, sigset_t};

/// The set of no signal.
fn nothing() -> sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

/// The set of SIGPIPE alone.
fn sigpipe() -> sigset_t {
    let mut set = nothing();
    // SAFETY: the set is initialised; SIGPIPE is a signal.
    unsafe { libc::sigaddset(&mut set, SIGPIPE) };
    set
}

fn contains_sigpipe(set: &sigset_t) -> bool {
    // SAFETY: a reference is a valid pointer to an initialised set.
    unsafe { libc::sigismember(set, SIGPIPE) == 1 }
}

/// Blocks SIGPIPE on this thread; tells whether it was blocked before.
pub(crate) fn block() -> io::Result<bool> {
    let mut old = MaybeUninit::uninit();
    // SAFETY: both sets are valid for the call, which writes `old` if it succeeds.
    match unsafe { libc::pthread_sigmask(SIG_BLOCK, &sigpipe(), old.as_mut_ptr()) } {
        // SAFETY: initialised by the successful call.
        0 => Ok(contains_sigpipe(unsafe { old.assume_init_ref() })),
        // Pthread calls return the error and leave errno alone.
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Whether SIGPIPE is blocked on this thread.
#[allow(dead_code)] // for a feature; build.rs does not ask
pub(crate) fn is_blocked() -> io::Result<bool> {
    let mut set = nothing();
    // SAFETY: without a new set the call only writes the old one.
    match unsafe { libc::pthread_sigmask(SIG_BLOCK, ptr::null(), &mut set) } {
        0 => Ok(contains_sigpipe(&set)),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Unblocks SIGPIPE on this thread.
pub(crate) fn unblock() {
    // SAFETY: `sigpipe()` is an initialised set; no old mask is asked for. With a valid `how` and
    // set the call cannot fail.
    unsafe { libc::pthread_sigmask(SIG_UNBLOCK, &sigpipe(), ptr::null_mut()) };
}

/// Whether a SIGPIPE is pending on this thread, or on the process.
pub(crate) fn pending() -> io::Result<bool> {
    let mut set = nothing();
    // SAFETY: sigpending writes the set if it succeeds.
    if unsafe { libc::sigpending(&mut set) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(contains_sigpipe(&set))
}

/// Takes one pending SIGPIPE; tells whether there was one. It does not wait.
pub(crate) fn take_one() -> io::Result<bool> {
    let zero = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    loop {
        match sigtimedwait(&zero) {
            Ok(SIGPIPE) => return Ok(true),
            // A sandbox makes as if.
            Ok(signal) => return Err(io::Error::other(format!("sigtimedwait took {signal}"))),
            Err(error) => match error.kind() {
                // Another signal's handler ran first.
                io::ErrorKind::Interrupted => {}
                // There was none, or another thread took it.
                io::ErrorKind::WouldBlock => return Ok(false),
                _ => return Err(error),
            },
        }
    }
}

/// What the call returns.
#[allow(dead_code)] // not where there is only sigwait
fn checked(signal: c_int) -> io::Result<c_int> {
    match signal {
        -1 => Err(io::Error::last_os_error()),
        signal => Ok(signal),
    }
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
        target_os = "netbsd",
        target_os = "nto",
        target_os = "redox",
    ))] {
        fn sigtimedwait(timeout: &libc::timespec) -> io::Result<c_int> {
            // SAFETY: set and timeout are valid for the call; no siginfo is asked for.
            checked(unsafe { libc::sigtimedwait(&sigpipe(), ptr::null_mut(), timeout) })
        }
    } else if #[cfg(target_os = "android")] {
        /// The raw call: bionic has the function only from API 23 (signal.h), and a program that
        /// asks for it would not load on older ones.
        fn sigtimedwait(timeout: &libc::timespec) -> io::Result<c_int> {
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
            checked(signal as c_int)
        }
    } else if #[cfg(any(target_os = "illumos", target_os = "solaris"))] {
        fn sigtimedwait(timeout: &libc::timespec) -> io::Result<c_int> {
            unsafe extern "C" {
                // signal.h of both; the libc crate lacks it.
                fn sigtimedwait(
                    set: *const sigset_t,
                    info: *mut libc::siginfo_t,
                    timeout: *const libc::timespec,
                ) -> c_int;
            }
            // SAFETY: set and timeout are valid for the call; no siginfo is asked for.
            checked(unsafe { sigtimedwait(&sigpipe(), ptr::null_mut(), timeout) })
        }
    } else {
        /// OpenBSD, Apple and the unknown have only `sigwait`, which waits: so it is asked for what
        /// is pending, under a lock, lest another thread of ours takes a signal of the process's in
        /// between. If a thread of the host's does, this one waits for the next.
        fn sigtimedwait(_: &libc::timespec) -> io::Result<c_int> {
            static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
            let _lock = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if !pending()? {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let mut signal: c_int = 0;
            // SAFETY: set and result are valid for the call.
            match unsafe { libc::sigwait(&sigpipe(), &mut signal) } {
                0 => Ok(signal),
                error => Err(io::Error::from_raw_os_error(error)),
            }
        }
    }
}
