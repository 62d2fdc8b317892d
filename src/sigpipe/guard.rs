use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::panic::{self, UnwindSafe};
use std::thread;

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
/// It blocks the signal on this thread, and takes back one that came before it unblocks: five
/// system calls around foreign code, [`suppressed`] three. A SIGPIPE that was pending before stays
/// pending; `errno` is left as the guarded code left it; it does not wait.
///
/// # Errors
///
/// Those of `pthread_sigmask` (on Linux the raw `rt_sigprocmask`) or `sigaction`, which have none
/// here unless a sandbox forbids the call. The thread is not protected then. A sandbox should allow
/// `rt_sigpending`, `rt_sigtimedwait`, `getpid`, `gettid` and `tgkill` as well.
///
/// # Limits
///
/// What breaks the protection of foreign code on a thread (every write of this crate protects
/// itself again, and so does every new guard):
/// * guarded code that unblocks SIGPIPE, a forked child that resets its mask, or a foreign guard
///   that is dropped inside ours or outlives it and restores its own mask;
/// * `siglongjmp` out of it, which restores an older mask;
/// * `ppoll`, `pselect` and `epoll_pwait` with a mask that lets SIGPIPE through, while a signal
///   that *foreign* code raised is pending (this crate's own calls take theirs back at once).
///
/// What it cannot do:
/// * protect a thread that runs already. One that the guarded code starts inherits the blocked
///   mask, which [protects it](crate::docs::bindings#threads-that-a-library-starts); what it raises stays
///   pending there;
/// * follow a task that wakes up on another thread after an `.await`. [`Guard`] is not `Send`, so
///   the compiler refuses one that is held across an `.await` in a spawned task;
/// * keep children out of it: a process that is started inside inherits the blocked mask
///   (std's `Command` resets the disposition, not the mask). A forked child has an empty queue
///   of its own;
/// * distinguish its SIGPIPE from one that was sent to the process (`kill`) meanwhile: it takes
///   back at most one. Where a host has SIGPIPE blocked and one pending on the *process*, one that
///   foreign code raises under the guard stays beside it;
/// * keep `errno` on a Unix that this crate does not know;
/// * keep `pthread_cancel` from ending the thread in the guard's drop, but on Linux and Android:
///   elsewhere `sigtimedwait` and `sigwait` are cancellation points;
/// * end in any order while 1,023 other threads are under a guard. There the guards of a thread
///   have to end in the reverse order, and a handler (see below) may stay a while longer. So it is
///   where a sandbox forbids `tgkill`, and 1,023 threads have ended under a forgotten guard;
/// * recognise a forked child that has the number of its parent, as process 1 of a PID namespace
///   that process 1 of another has cloned. It counts as the parent;
/// * leave a SIGPIPE of the *process* where it was: an own write to a vanished peer, in a host that
///   has one pending, may move it to this thread.
///
/// `mem::forget` leaves the thread blocked, which is safe until somebody unblocks it. So does a
/// sandbox that forbids to take back the signal that came (`sigtimedwait`).
///
/// # Signal handlers and forked children
///
/// `guard`, [`suppressed`], [`ignore`](super::ignore), [`disposition`](super::disposition) and
/// [`restore_default`](super::restore_default) are async-signal-safe: a signal handler may call
/// them, whatever it interrupts, and so may a forked child. They wait for nothing that the
/// interrupted code holds, allocate nothing and use no thread-local (but for `errno` on a Unix that
/// this crate does not know), also in a library that was loaded by `dlopen`. `errno` is kept.
///
/// A child that is forked under a guard goes on under it, and its guards end there as they do in
/// the parent. A child that never uses this crate keeps the mask or the handler that it was forked
/// with. After `vfork` none of this may be called: parent and child share their memory.
///
/// # Platforms
///
/// On Apple, NetBSD and RTEMS, which direct SIGPIPE at the *process*, a thread's mask does not
/// help. There, and where the build refuses `thread_mask`, the first guard of the process puts a
/// handler that does nothing in place of the default action, and the last one takes it out: by way
/// of `SIG_IGN`, if a SIGPIPE may be on its way. Another thread that enters waits for that: three
/// system calls, or longer if a thread of higher priority keeps the other from running.
///
/// On Apple the handler stays, once a guard was around foreign code or a guarded write of this
/// crate has met a vanished peer: the signal may still be on its way to another thread, and XNU has
/// no safe way to discard it. From then on a write of the host's own that nothing protects fails
/// with EPIPE, where it would have ended the process. `exec` resets it, and so does the host's
/// `signal(SIGPIPE, SIG_DFL)`.
///
/// The price:
/// * a poll, sleep or timed receive of another thread may return EINTR;
/// * a SIGPIPE of the host's own that is pending is discarded when the handler goes;
/// * a child that another thread starts in the instant of `SIG_IGN` may begin with SIGPIPE ignored
///   (std's `Command` puts it right);
/// * a host that changes the disposition in that instant can be overwritten;
/// * a host's own handler is left in place, and runs. One with `SA_RESETHAND` runs once; the next
///   SIGPIPE kills;
/// * a child that is forked while other threads are under a guard keeps the handler until its first
///   thread leaves a guard (maybe for good on a BSD other than NetBSD, where the build refuses
///   `thread_mask`);
/// * on OpenBSD, where the build refuses `thread_mask`, a SIGPIPE that is pending on another thread
///   which blocks it is not discarded, and kills when that thread unblocks it;
/// * the library must not be unloaded while a guard lives, nor while the handler stays (Apple): the
///   next SIGPIPE would jump to where it was;
/// * of two copies of this crate in one process, the second relies on the first one's handler, and
///   is unprotected when that goes.
///
/// Where no SIGPIPE exists it does nothing.
pub fn guard() -> io::Result<Guard> {
    Ok(Guard { _held: sys::guard::enter()?, not_send: PhantomData })
}

/// Protects this thread from SIGPIPE while it lives: see [`guard`].
#[must_use = "the protection ends when the guard is dropped: bind it, `let _guard = …`"]
pub struct Guard {
    _held: sys::guard::Held,
    /// A guard belongs to its thread.
    not_send: PhantomData<*mut ()>,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
    sys::guard::around(f)
}

/// Runs `f` under a [`guard`] and catches its panic: the entry of a function that C calls.
///
/// Like [`std::panic::catch_unwind`], and safe where standard error has lost its reader. There the
/// message of a panic is itself a write that kills, before the panic can be caught.
///
/// ```
/// use std::ffi::c_int;
///
/// fn answer() -> c_int {
///     42 // may panic
/// }
///
/// pub extern "C" fn library_answer() -> c_int {
///     match epipe::sigpipe::catch_unwind(answer) {
///         Ok(Ok(answer)) => answer,
///         Ok(Err(_panic)) => -1,
///         Err(_no_guard) => -2,
///     }
/// }
/// # assert_eq!(library_answer(), 42);
/// ```
///
/// # Errors
///
/// The outer one is [`guard`]'s: `f` was not run. The inner one is what `f` has panicked with.
///
/// # Limits
///
/// A value that the panic carries is dropped outside the guard. A panic on a thread that runs
/// already is under no guard: give that thread its own.
pub fn catch_unwind<R>(f: impl FnOnce() -> R + UnwindSafe) -> io::Result<thread::Result<R>> {
    suppressed(|| panic::catch_unwind(f))
}
