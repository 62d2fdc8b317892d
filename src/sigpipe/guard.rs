use std::fmt;
use std::io;
use std::marker::PhantomData;

use crate::sys;

/// Keeps SIGPIPE from this thread until the returned [`Guard`] is dropped.
///
/// For code that is not ours and writes by itself. Bind it to a name: `let _ = guard()?` drops it
/// at once. Guards nest and may be dropped in any order; the last one of the thread restores what
/// the first one found, also while a panic unwinds.
///
/// ```
/// # fn call_into_c() {}
/// let guard = epipe::sigpipe::guard()?;
/// call_into_c(); // its write fails with EPIPE
/// drop(guard);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # What it does
///
/// It blocks the signal on this thread, and takes back one that came before it unblocks: three
/// system calls around foreign code. A SIGPIPE that was pending before stays pending; `errno`
/// is left as the guarded code left it; it does not wait.
///
/// # Errors
///
/// Those of `pthread_sigmask` (or `sigaction`), which have none here unless a sandbox forbids
/// the call. The thread is not protected then.
///
/// # Limits
///
/// What breaks the protection of a thread:
/// * guarded code that unblocks SIGPIPE, or a foreign guard that is dropped inside ours or
///   outlives it and restores its own mask. Every *new* guard asks the kernel again and
///   protects, and a socket's send carries its flag; but a plain pipe write of this crate counts
///   on the guard that the thread has;
/// * `siglongjmp` out of it, which restores an older mask;
/// * `ppoll`, `pselect` and `epoll_pwait` with a mask that lets SIGPIPE through, while a signal
///   that *foreign* code raised is pending (this crate's own calls take theirs back at once).
///
/// What it cannot do:
/// * protect another thread: one that the guarded code starts inherits the blocked mask, but
///   nobody takes back what it raises;
/// * follow a task that wakes up on another thread after an `.await`. [`Guard`] is not `Send`, so
///   the compiler refuses one that is held across an `.await` in a spawned task;
/// * keep children out of it: a process that is started inside inherits the blocked mask
///   (std's `Command` resets the disposition, not the mask). A forked child has an empty queue
///   of its own;
/// * distinguish its SIGPIPE from one that was sent to the process (`kill`) meanwhile: it takes
///   back at most one. Where a host has SIGPIPE blocked and one pending on the *process*, one that
///   foreign code raises under the guard stays beside it;
/// * keep `errno` on a Unix that this crate does not know.
///
/// `mem::forget` leaves the thread blocked, which is safe until somebody unblocks it. So does a
/// sandbox that forbids to take back the signal that came (`sigtimedwait`).
///
/// # Platforms
///
/// On Apple, NetBSD and RTEMS, which direct SIGPIPE at the *process*, a thread's mask does not
/// help. There, and where the build refuses `thread_mask`, the first guard of the process puts a
/// handler that does nothing in place of the default action, and the last one takes it out, by way
/// of `SIG_IGN`. The price:
/// * a poll, sleep or timed receive of another thread may return EINTR;
/// * a SIGPIPE of the host's own that is pending is discarded when the handler goes;
/// * a child that another thread starts in that instant may begin with SIGPIPE ignored (std's
///   `Command` puts it right);
/// * a host that changes the disposition in that instant can be overwritten;
/// * a host's own handler is left in place, and runs;
/// * the library must not be unloaded while a guard lives;
/// * of two copies of this crate in one process, the second relies on the first one's handler.
///
/// On OpenBSD, which has no `sigtimedwait`, the end of a guard may block if another thread of the
/// host calls `sigwait` for SIGPIPE at the same moment.
///
/// Where no SIGPIPE exists it does nothing.
pub fn guard() -> io::Result<Guard> {
    sys::guard::enter()?;
    Ok(Guard { not_send: PhantomData })
}

/// Protects this thread from SIGPIPE while it lives: see [`guard`].
#[must_use = "the protection ends when the guard is dropped: bind it, `let _guard = …`"]
pub struct Guard {
    /// A guard belongs to its thread.
    not_send: PhantomData<*mut ()>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        sys::guard::leave();
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Guard { not_send: _ } = self;
        f.debug_struct("Guard").finish()
    }
}

/// Runs `f` under a [`guard`].
///
/// ```
/// use std::io::Write;
///
/// let (reader, mut writer) = std::io::pipe()?; // std's own: a write to it may kill
/// drop(reader);
/// let error = epipe::sigpipe::suppressed(|| writer.write(b"x"))?.unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// As [`guard`]; `f` was not run then.
pub fn suppressed<T>(f: impl FnOnce() -> T) -> io::Result<T> {
    let _guard = guard()?;
    Ok(f())
}
