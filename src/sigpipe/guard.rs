use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::panic::{self, UnwindSafe};
use std::thread;

use crate::sys;

/// Keeps SIGPIPE from this thread until the returned [`Guard`] is dropped.
///
/// For foreign code that writes without this crate. Bind the guard to a name: `let _ = guard()?`
/// drops it at once. Guards nest, and may be dropped in any order. The last guard of the thread
/// restores what the first one found, also while a panic unwinds.
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
/// A guard blocks the signal on this thread. At its end it takes back a signal that came, and
/// unblocks. That is five system calls around foreign code; [`suppressed`] makes three. A SIGPIPE
/// that was pending before stays pending, and `errno` stays as the guarded code left it. A guard
/// does not wait, except as under *Platforms*.
///
/// # Errors
///
/// Those of `pthread_sigmask` (on Linux the raw `rt_sigprocmask`) or `sigaction`, which fail here
/// only if a sandbox forbids them. The thread is not protected then. A sandbox should also allow
/// `rt_sigpending`, `rt_sigtimedwait`, `getpid`, `gettid` and `tgkill`.
///
/// # Limits
///
/// These end the protection of foreign code on this thread. (Every write of this crate, and every
/// new guard, protects itself again.)
/// * Guarded code unblocks SIGPIPE, or a forked child resets its mask.
/// * A foreign guard is dropped inside ours or outlives it, and restores its own mask.
/// * `siglongjmp` leaves the guarded code, and restores an older mask.
/// * `ppoll`, `pselect` or `epoll_pwait` has a mask that lets SIGPIPE through, while a signal that
///   *foreign* code raised is pending. (This crate's own calls take theirs back at once.)
///
/// A guard cannot:
/// * protect a thread that already runs. A thread that the guarded code starts inherits the blocked
///   mask, which [protects it]. A SIGPIPE that it raises stays pending there;
/// * follow a task to another thread after an `.await`. [`Guard`] is not `Send`: the compiler
///   rejects a spawned task that holds one across an `.await`;
/// * keep its mask from child processes: std's `Command` resets the disposition, not the mask. A
///   forked child has an empty queue of its own;
/// * distinguish its SIGPIPE from one that was sent to the process (`kill`) meanwhile. It takes
///   back at most one;
/// * take back what foreign code raises, where a host has SIGPIPE blocked and one pending on the
///   *process*. The new signal stays beside the host's;
/// * leave a pending SIGPIPE of the *process* where it was. A write of this crate to a vanished
///   peer may move it to this thread;
/// * keep `errno` on a Unix that this crate does not know;
/// * keep `pthread_cancel` from ending the thread in the guard's drop, except on Linux and Android.
///   Elsewhere `sigtimedwait` and `sigwait` are cancellation points;
/// * end in any order while 1,023 other threads are under a guard. The guards of a thread must then
///   end in the reverse order, and a handler (see below) may stay longer. The same is true after
///   1,023 threads have ended under a forgotten guard, where a sandbox forbids `tgkill`;
/// * recognise a forked child that has its parent's process number: process 1 of a PID namespace,
///   which process 1 of another has cloned. It counts as the parent.
///
/// `mem::forget` leaves the signal blocked on the thread, which is safe until other code unblocks
/// it. The signal also stays blocked if one came and a sandbox forbids `sigtimedwait`.
///
/// [protects it]: crate::docs::bindings#threads-that-a-library-starts
///
/// # Signal handlers and forked children
///
/// `guard`, [`suppressed`], [`ignore`](super::ignore), [`disposition`](super::disposition) and
/// [`restore_default`](super::restore_default) are async-signal-safe. A signal handler may call
/// them at any point of the code that it interrupts, and so may a forked child. They wait for
/// nothing that the interrupted code holds, allocate nothing, and keep `errno`. They use no
/// thread-local, also in a library that `dlopen` has loaded. (On a Unix that this crate does not
/// know, they use one for `errno`.)
///
/// A child that is forked under a guard stays under it, and its guards end as in the parent. A
/// child that never uses this crate keeps the mask or the handler that it was forked with. After
/// `vfork`, call none of these: parent and child share their memory.
///
/// # Platforms
///
/// Apple, NetBSD and RTEMS direct SIGPIPE at the *process*, where a thread's mask does not help.
/// There the first guard of the process puts a handler that does nothing in place of the default
/// action. The last guard takes the handler out, by way of `SIG_IGN` if a SIGPIPE may be on its
/// way. Another thread that enters a guard then waits for three system calls, or longer if a thread
/// of higher priority keeps the leaving thread from running. A build that refuses `thread_mask`
/// does this on every system.
///
/// On Apple the handler stays after a guard around foreign code, and after a guarded write of this
/// crate that met a vanished peer. The signal may still be on its way to another thread, and XNU
/// has no safe way to discard it. From then on an unprotected write of the host fails with EPIPE,
/// where it would have ended the process. `exec` resets the handler, and so does the host's
/// `signal(SIGPIPE, SIG_DFL)`.
///
/// The handler has a price:
/// * A poll, sleep or timed receive of another thread may return EINTR.
/// * A pending SIGPIPE of the host is discarded when the handler goes.
/// * A child that another thread starts in the instant of `SIG_IGN` may begin with SIGPIPE ignored.
///   (std's `Command` resets it.)
/// * A host that changes the disposition in that instant can be overwritten.
/// * A host's own handler stays in place, and runs. One with `SA_RESETHAND` runs once; the next
///   SIGPIPE kills.
/// * A child that is forked while other threads are under a guard keeps the handler until its first
///   thread leaves a guard. It may keep it for good on a BSD other than NetBSD, where the build
///   refuses `thread_mask`.
/// * On OpenBSD, where the build refuses `thread_mask`, a SIGPIPE that another thread blocks stays
///   pending there. It kills when that thread unblocks it.
/// * Do not unload the library while a guard lives, or on Apple while the handler stays. The next
///   SIGPIPE would jump to where the handler was.
/// * Of two copies of this crate in one process, the second relies on the first one's handler. It
///   is unprotected when that handler goes.
///
/// Where no SIGPIPE exists, a guard does nothing.
#[doc(alias("SIGPIPE", "pthread_sigmask", "sigprocmask", "sigtimedwait", "sigwait"))]
pub fn guard() -> io::Result<Guard> {
    Ok(Guard { _held: sys::guard::enter()?, not_send: PhantomData })
}

/// Protects this thread from SIGPIPE until it is dropped: see [`guard`].
///
/// A value may hold one for as long as its thread runs foreign code:
///
/// ```
/// use epipe::sigpipe::{self, Guard};
///
/// struct Session {
///     // ... handles of a C library, whose drop may write: they are dropped first
///     _guard: Guard,
/// }
///
/// let session = Session { _guard: sigpipe::guard()? };
/// drop(session);
/// # Ok::<(), std::io::Error>(())
/// ```
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

/// Runs `f` under a [`guard`]: no SIGPIPE that `f` raises kills.
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
/// Those of [`guard`]. `f` was not run then.
#[doc(alias("SIGPIPE", "pthread_sigmask"))]
pub fn suppressed<T>(f: impl FnOnce() -> T) -> io::Result<T> {
    sys::guard::around(f)
}

/// Runs `f` under a [`guard`] and catches its panic, for a function that C calls.
///
/// Like [`std::panic::catch_unwind`], and also safe where standard error has lost its reader. There
/// the message of a panic is a write that kills, before the panic can be caught.
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
/// The outer error is that of [`guard`]: `f` was not run. The inner one is the value of `f`'s
/// panic.
///
/// # Limits
///
/// The value that a panic carries is dropped outside the guard. A panic on another thread that
/// already runs is under no guard: give that thread its own.
pub fn catch_unwind<R>(f: impl FnOnce() -> R + UnwindSafe) -> io::Result<thread::Result<R>> {
    suppressed(|| panic::catch_unwind(f))
}
