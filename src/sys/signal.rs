//! SIGPIPE on this thread: the mask, and the queue of pending signals. `build.rs` reads this file
//! too.

#![allow(unsafe_code, reason = "the signal calls take pointers")]

use std::io;

use libc::{SIG_BLOCK, SIG_UNBLOCK, SIGPIPE, c_int};

#[cfg(all(any(target_os = "android", target_os = "linux"), not(forced)))]
mod kernel_set;
#[cfg(any(forced, not(any(target_os = "android", target_os = "linux"))))]
mod libc_set;

#[cfg(all(any(target_os = "android", target_os = "linux"), not(forced)))]
use kernel_set::{change_mask, contains_sigpipe, nothing, sigpending, sigpipe};
#[cfg(any(forced, not(any(target_os = "android", target_os = "linux"))))]
use libc_set::{change_mask, contains_sigpipe, nothing, sigpending, sigpipe};

/// Blocks SIGPIPE on this thread. Returns whether it was blocked before.
#[inline]
pub(crate) fn block() -> io::Result<bool> {
    let mut old = nothing();
    change_mask(SIG_BLOCK, &sigpipe(), Some(&mut old))?;
    Ok(contains_sigpipe(&old))
}

/// Unblocks SIGPIPE on this thread.
#[inline]
pub(crate) fn unblock() {
    // The call cannot fail with a valid `how` and set.
    let _ = change_mask(SIG_UNBLOCK, &sigpipe(), None);
}

/// Whether a SIGPIPE is pending on this thread, or on the process.
pub(crate) fn pending() -> io::Result<bool> {
    let mut set = nothing();
    sigpending(&mut set)?;
    Ok(contains_sigpipe(&set))
}

/// Takes one pending SIGPIPE. Returns whether there was one. Does not wait.
pub(crate) fn take_one() -> io::Result<bool> {
    loop {
        match sigtimedwait() {
            Ok(SIGPIPE) => return Ok(true),
            // A sandbox may report success without doing it. (The error has no text, which would be
            // allocated: a signal handler must not allocate.)
            Ok(_) => return Err(io::ErrorKind::Other.into()),
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

/// Runs `f` with all signals blocked, except SIGPIPE and those of a fault. SIGPIPE stays as it is.
/// A fault whose signal is blocked would end the process.
pub(crate) fn with_signals_blocked<T>(f: impl FnOnce() -> T) -> T {
    use libc::{SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};

    // SAFETY: sigfillset initialises `all`, the numbers are signals, and both sets are valid for
    // the calls. If a sandbox forbids the first pthread_sigmask, the second is not called.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut old: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        for signal in [SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP, SIGPIPE] {
            libc::sigdelset(&mut all, signal);
        }
        let is_changed = libc::pthread_sigmask(SIG_BLOCK, &all, &mut old) == 0;
        let answer = f();
        if is_changed {
            libc::pthread_sigmask(libc::SIG_SETMASK, &old, std::ptr::null_mut());
        }
        answer
    }
}

// ------------------------------------------------------------------------------ the calls ----

/// The result of a call, or its error from errno.
fn checked(answer: impl Into<i64>) -> io::Result<c_int> {
    match answer.into() {
        -1 => Err(io::Error::last_os_error()),
        answer => Ok(answer as c_int),
    }
}

/// The raw call, with a timeout of zero. libc's function is a cancellation point: on glibc,
/// pthread_cancel would unwind from there out of a guard's drop. bionic has it only from API 23
/// (signal.h), and a program that links to it would not load on older releases.
#[cfg(all(any(target_os = "android", target_os = "linux"), not(forced)))]
fn sigtimedwait() -> io::Result<c_int> {
    #[cfg(not(all(target_arch = "riscv32", target_env = "gnu")))]
    const NUMBER: libc::c_long = libc::SYS_rt_sigtimedwait;
    // The libc crate has another name for it there.
    #[cfg(all(target_arch = "riscv32", target_env = "gnu"))]
    const NUMBER: libc::c_long = 421;
    let (set, info) = (sigpipe(), std::ptr::null_mut::<libc::siginfo_t>());
    let (set, size) = (&raw const set, size_of_val(&set));
    let zero = [0_u64; 2]; // a timespec of any layout
    // SAFETY: set, size and timeout are valid for the call. The null siginfo is not written.
    checked(unsafe { libc::syscall(NUMBER, set, info, &raw const zero, size) })
}

#[cfg(has_sigtimedwait)]
fn sigtimedwait() -> io::Result<c_int> {
    #[cfg(not(any(target_os = "illumos", target_os = "solaris")))]
    use libc::sigtimedwait;
    #[cfg(any(target_os = "illumos", target_os = "solaris"))]
    unsafe extern "C" {
        // signal.h of both; the libc crate lacks it.
        fn sigtimedwait(
            set: *const libc::sigset_t,
            info: *mut libc::siginfo_t,
            timeout: *const libc::timespec,
        ) -> c_int;
    }
    let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: set and timeout are valid for the call. The null siginfo is not written.
    checked(unsafe { sigtimedwait(&sigpipe(), std::ptr::null_mut(), &zero) })
}

/// OpenBSD, Apple and unknown systems have only `sigwait`, which waits.
///
/// So this first raises another SIGPIPE at this thread, which merges with one that is pending
/// there. Then `sigwait` finds one at once, even if another thread takes a signal of the process.
/// All signals but those of a fault are blocked, so that no handler takes it in between or forks.
/// The build script does not have its own cfgs: it uses this function on every system but Linux and
/// Android.
#[cfg(all(
    not(has_sigtimedwait),
    any(forced, not(any(target_os = "android", target_os = "linux")))
))]
fn sigtimedwait() -> io::Result<c_int> {
    with_signals_blocked(|| {
        if !pending()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut signal: c_int = 0;
        // SAFETY: pthread_self is this thread, where the signal is blocked, so it stays pending.
        // Set and result are valid for the call.
        let error = unsafe {
            libc::pthread_kill(libc::pthread_self(), SIGPIPE);
            libc::sigwait(&sigpipe(), &mut signal)
        };
        if error == 0 { Ok(signal) } else { Err(io::Error::from_raw_os_error(error)) }
    })
}
