use std::mem;

use ::tokio::runtime::Builder;

use crate::sigpipe::guard;

/// Puts each thread that the runtime starts under a guard: what writes there reports a vanished
/// peer as an error, never as a signal.
///
/// For streams that are not of this crate: a client that opens its own, `tokio::fs`. It is
/// [`Builder::on_thread_start`] with a [`guard`](crate::sigpipe::guard()) that is never dropped.
/// The thread that calls `block_on` is not started by the runtime. It needs
/// [`suppressed`](crate::sigpipe::suppressed):
///
/// ```
/// # #[cfg(unix)]
/// # fn main() -> std::io::Result<()> {
/// let mut builder = tokio::runtime::Builder::new_current_thread();
/// let runtime = epipe::tokio::guard_threads(&mut builder).enable_all().build()?;
/// epipe::sigpipe::suppressed(|| runtime.block_on(async { Ok(()) }))?
/// # }
/// # #[cfg(not(unix))]
/// # fn main() {}
/// ```
///
/// | what writes | `guard_threads` | `suppressed` around `block_on` | both | built inside `suppressed` |
/// |---|---|---|---|---|
/// | the future of `block_on` | killed | safe | safe | killed |
/// | a task of a current_thread runtime | killed | safe | safe | killed |
/// | a task of a multi-thread runtime | safe | killed | safe | safe |
/// | a blocking thread that the future of `block_on` starts | safe | safe | safe | killed |
/// | a blocking thread that a task of a multi-thread runtime starts | safe | killed | safe | safe |
///
/// This was seen on Linux, where a new thread inherits the blocked signals of the one that starts
/// it. tokio chooses the thread for each task and each `spawn_blocking`, so only *both* is safe for
/// a runtime that has them. On Apple and NetBSD a guard protects the whole process while it lasts,
/// and nothing is inherited. What is built inside one is not protected later on NetBSD. On Apple it
/// is: the guard's handler stays.
///
/// # Limits
///
/// * A later `on_thread_start` replaces it. One of your own may call
///   `mem::forget(guard())` itself.
/// * Where a sandbox forbids to block a signal, the threads are not protected; `suppressed` reports
///   the error.
/// * Processes that these threads start have SIGPIPE blocked: see
///   [`default_in_child`](crate::sigpipe::default_in_child).
/// * On Apple and NetBSD the guard's handler stays in the process.
pub fn guard_threads(builder: &mut Builder) -> &mut Builder {
    builder.on_thread_start(|| mem::forget(guard()))
}
