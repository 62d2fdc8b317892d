use std::mem;

use ::tokio::runtime::Builder;

use crate::sigpipe::guard;

/// Puts each thread that the runtime starts under a guard: no SIGPIPE kills there.
///
/// Use it for streams of other crates: a client that opens its own sockets, or `tokio::fs`. It
/// calls [`Builder::on_thread_start`] with a [`guard`](crate::sigpipe::guard()) that is never
/// dropped. The runtime does not start the thread that calls `block_on`. That thread needs
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
/// The columns: this function alone, `suppressed` around `block_on` alone, both, and a runtime that
/// was built inside `suppressed`.
///
/// | the writer | `guard_threads` | `suppressed` | both | built inside |
/// |---|---|---|---|---|
/// | the future of `block_on` | killed | safe | safe | killed |
/// | a task of a current_thread runtime | killed | safe | safe | killed |
/// | a task of a multi-thread runtime | safe | killed | safe | safe |
/// | a blocking thread that the future of `block_on` starts | safe | safe | safe | killed |
/// | a blocking thread that a task of a multi-thread runtime starts | safe | killed | safe | safe |
///
/// This was seen on Linux, where a new thread inherits the blocked signals of the thread that
/// starts it. tokio chooses the thread for each task and each `spawn_blocking`. So only *both* is
/// safe for a runtime that has them.
///
/// On Apple and NetBSD nothing is inherited: a guard protects the whole process while it lasts. A
/// runtime that was built inside one has no protection later on NetBSD. On Apple it stays
/// protected, because the guard's handler stays.
///
/// # Limits
///
/// * A later `on_thread_start` replaces this one. Yours may call `mem::forget(guard())` too.
/// * If a sandbox forbids to block a signal, the threads are not protected. `suppressed` reports
///   that error.
/// * Processes that these threads start have SIGPIPE blocked: see
///   [`default_in_child`](crate::sigpipe::default_in_child).
/// * On Apple and NetBSD the guard's handler stays in the process.
pub fn guard_threads(builder: &mut Builder) -> &mut Builder {
    builder.on_thread_start(|| mem::forget(guard()))
}
