//! SIGPIPE on this thread: its mask, and the queue of what is pending. `build.rs` reads this file
//! too.

#![allow(unsafe_code, reason = "the signal calls take pointers")]

use std::io;
use std::ptr;

use cfg_if::cfg_if;
use libc::{SIG_BLOCK, SIG_UNBLOCK, SIGPIPE, c_int};

/// Blocks SIGPIPE on this thread; tells whether it was blocked before.
#[inline]
pub(crate) fn block() -> io::Result<bool> {
    let mut old = nothing();
    change_mask(SIG_BLOCK, Some(&sigpipe()), Some(&mut old))?;
    Ok(contains_sigpipe(&old))
}

/// Whether SIGPIPE is blocked on this thread.
#[allow(dead_code)] // for a feature; build.rs does not ask
pub(crate) fn is_blocked() -> io::Result<bool> {
    let mut now = nothing();
    change_mask(SIG_BLOCK, None, Some(&mut now))?;
    Ok(contains_sigpipe(&now))
}

/// Unblocks SIGPIPE on this thread.
#[inline]
pub(crate) fn unblock() {
    // With a valid `how` and set the call cannot fail.
    let _ = change_mask(SIG_UNBLOCK, Some(&sigpipe()), None);
}

/// Whether a SIGPIPE is pending on this thread, or on the process.
pub(crate) fn pending() -> io::Result<bool> {
    let mut set = nothing();
    sigpending(&mut set)?;
    Ok(contains_sigpipe(&set))
}

/// Takes one pending SIGPIPE; tells whether there was one. It does not wait.
pub(crate) fn take_one() -> io::Result<bool> {
    let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
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

// ------------------------------------------------------------------------------ the calls ----

/// What a call returns.
#[allow(dead_code)] // not where there is only sigwait
fn checked(answer: impl Into<i64>) -> io::Result<c_int> {
    match answer.into() {
        -1 => Err(io::Error::last_os_error()),
        answer => Ok(answer as c_int),
    }
}

cfg_if! {
    if #[cfg(any(target_os = "android", target_os = "linux"))] {
        /// The kernel's own set, for raw calls: libc's has 1024 signals, which are filled and copied at
        /// each of its calls.
        type Set = [libc::c_ulong; SIGNALS / (8 * WORD)];

        const WORD: usize = size_of::<libc::c_ulong>();

        /// _NSIG of the kernel, asm/signal.h.
        const SIGNALS: usize = if cfg!(any(
            target_arch = "mips",
            target_arch = "mips32r6",
            target_arch = "mips64",
            target_arch = "mips64r6",
        )) {
            128
        } else {
            64
        };

        #[inline]
        fn nothing() -> Set {
            [0; SIGNALS / (8 * WORD)]
        }

        #[inline]
        fn sigpipe() -> Set {
            let mut set = nothing();
            set[0] = 1 << (SIGPIPE - 1);
            set
        }

        #[inline]
        fn contains_sigpipe(set: &Set) -> bool {
            set[0] & sigpipe()[0] != 0
        }

        #[inline]
        fn change_mask(how: c_int, set: Option<&Set>, old: Option<&mut Set>) -> io::Result<()> {
            let set = set.map_or(ptr::null(), ptr::from_ref);
            let old = old.map_or(ptr::null_mut(), ptr::from_mut);
            // SAFETY: both are sets of the size that is told, or null, which asks for nothing.
            let answer = unsafe {
                libc::syscall(libc::SYS_rt_sigprocmask, how, set, old, size_of::<Set>())
            };
            checked(answer).map(drop)
        }

        #[inline]
        fn sigpending(set: &mut Set) -> io::Result<()> {
            let (set, size) = (ptr::from_mut(set), size_of::<Set>());
            // SAFETY: the set has the size that is told.
            checked(unsafe { libc::syscall(libc::SYS_rt_sigpending, set, size) }).map(drop)
        }
    } else {
        use std::mem::MaybeUninit;

        use libc::sigset_t as Set;

        fn nothing() -> Set {
            let mut set = MaybeUninit::uninit();
            // SAFETY: sigemptyset initialises the set.
            unsafe {
                libc::sigemptyset(set.as_mut_ptr());
                set.assume_init()
            }
        }

        fn sigpipe() -> Set {
            let mut set = nothing();
            // SAFETY: the set is initialised; SIGPIPE is a signal.
            unsafe { libc::sigaddset(&mut set, SIGPIPE) };
            set
        }

        fn contains_sigpipe(set: &Set) -> bool {
            // SAFETY: a reference is a valid pointer to an initialised set.
            unsafe { libc::sigismember(set, SIGPIPE) == 1 }
        }

        fn change_mask(how: c_int, set: Option<&Set>, old: Option<&mut Set>) -> io::Result<()> {
            let set = set.map_or(ptr::null(), ptr::from_ref);
            let old = old.map_or(ptr::null_mut(), ptr::from_mut);
            // SAFETY: both are sets, or null, which asks for nothing.
            match unsafe { libc::pthread_sigmask(how, set, old) } {
                0 => Ok(()),
                // Pthread calls return the error and leave errno alone.
                error => Err(io::Error::from_raw_os_error(error)),
            }
        }

        fn sigpending(set: &mut Set) -> io::Result<()> {
            // SAFETY: the set is valid for the call.
            checked(unsafe { libc::sigpending(set) }).map(drop)
        }
    }
}

cfg_if! {
    if #[cfg(target_os = "linux")] {
        fn sigtimedwait(timeout: &libc::timespec) -> io::Result<c_int> {
            // SAFETY: all zeros is the empty set here, and SIGPIPE a signal. Set and timeout are valid for
            // the call; no siginfo is asked for.
            checked(unsafe {
                let mut set: libc::sigset_t = std::mem::zeroed();
                libc::sigaddset(&mut set, SIGPIPE);
                libc::sigtimedwait(&set, ptr::null_mut(), timeout)
            })
        }
    } else if #[cfg(target_os = "android")] {
        /// The raw call: bionic has the function only from API 23 (signal.h), and a program that
        /// asks for it would not load on older ones.
        fn sigtimedwait(timeout: &libc::timespec) -> io::Result<c_int> {
            let set = sigpipe();
            // SAFETY: set, its size and timeout are valid for the call; no siginfo is asked for.
            checked(unsafe {
                libc::syscall(
                    libc::SYS_rt_sigtimedwait,
                    &raw const set,
                    ptr::null_mut::<libc::siginfo_t>(),
                    ptr::from_ref(timeout),
                    size_of::<Set>(),
                )
            })
        }
    } else if #[cfg(any(
        target_os = "aix",
        target_os = "cygwin",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "haiku",
        target_os = "hurd",
        target_os = "netbsd",
        target_os = "nto",
        target_os = "redox",
    ))] {
        fn sigtimedwait(timeout: &libc::timespec) -> io::Result<c_int> {
            // SAFETY: set and timeout are valid for the call; no siginfo is asked for.
            checked(unsafe { libc::sigtimedwait(&sigpipe(), ptr::null_mut(), timeout) })
        }
    } else if #[cfg(any(target_os = "illumos", target_os = "solaris"))] {
        fn sigtimedwait(timeout: &libc::timespec) -> io::Result<c_int> {
            unsafe extern "C" {
                // signal.h of both; the libc crate lacks it.
                fn sigtimedwait(
                    set: *const Set,
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
