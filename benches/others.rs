//! Two ways in which C libraries keep SIGPIPE away, with the same calls as in these libraries.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// libpq's way (fe-secure.c, `pq_block_sigpipe` and `pq_reset_sigpipe`): block the signal on this
/// thread, make the call, remove the signal that came with EPIPE, restore the mask. As in C, the
/// sets are not moved: to move one is more work than to fill it.
pub fn libpq<T>(call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let mut found = MaybeUninit::uninit();
    let mut set = MaybeUninit::uninit();
    // SAFETY: both sets are ours. sigemptyset fills `set`, and pthread_sigmask, which does not
    // fail for SIG_BLOCK, fills `found`.
    let was_blocked = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGPIPE);
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), found.as_mut_ptr());
        libc::sigismember(found.as_ptr(), libc::SIGPIPE) == 1
    };
    let was_pending = was_blocked && is_pending();

    let answer = call();

    let is_epipe = matches!(&answer, Err(error) if error.raw_os_error() == Some(libc::EPIPE));
    if is_epipe && !was_pending && is_pending() {
        let mut signal = 0;
        // SAFETY: `set` is filled. The signal is blocked and pending, so this does not wait.
        unsafe { libc::sigwait(set.as_ptr(), &mut signal) };
    }
    // SAFETY: `found` is filled: the mask that the thread had.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, found.as_ptr(), ptr::null_mut()) };
    answer
}

fn is_pending() -> bool {
    let mut pending = MaybeUninit::uninit();
    // SAFETY: sigpending fills the set before sigismember reads it.
    unsafe {
        libc::sigpending(pending.as_mut_ptr());
        libc::sigismember(pending.as_ptr(), libc::SIGPIPE) == 1
    }
}

/// curl's way (lib/sigpipe.h, `sigpipe_ignore` and `sigpipe_restore`): ask for the process's
/// disposition, ignore the signal, make the call, restore the disposition. It is not safe if a
/// second thread does the same.
pub fn curl<T>(call: impl FnOnce() -> T) -> T {
    let mut found = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: the first call fills `found`. The second sets a copy of it, with the handler SIG_IGN.
    unsafe {
        libc::sigaction(libc::SIGPIPE, ptr::null(), found.as_mut_ptr());
        let mut ignore = found;
        (*ignore.as_mut_ptr()).sa_sigaction = libc::SIG_IGN;
        libc::sigaction(libc::SIGPIPE, ignore.as_ptr(), ptr::null_mut());
    }
    let answer = call();
    // SAFETY: `found` is filled: the disposition that the process had.
    unsafe { libc::sigaction(libc::SIGPIPE, found.as_ptr(), ptr::null_mut()) };
    answer
}
