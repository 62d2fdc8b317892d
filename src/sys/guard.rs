//! The guard of this system, which is the last technique: `thread_mask` where
//! SIGPIPE goes to the thread that wrote, else `process_handler`.

use std::io;

/// [`run`] where the guard [`is_held`]: it is then a mask.
pub(super) use super::thread_mask::run_held;

use super::technique::Technique;
use super::{process_handler, thread_mask};

#[cfg(all(raised_at_process, epipe_refused = "process_handler"))]
compile_error!("epipe: `process_handler` is the only guard of this system and is refused");
#[cfg(all(epipe_refused = "thread_mask", epipe_refused = "process_handler"))]
compile_error!("epipe: every guard is refused (`thread_mask` and `process_handler`); leave one");

const MASKS_THE_THREAD: bool = cfg!(not(any(raised_at_process, epipe_refused = "thread_mask")));

pub(super) const TECHNIQUE: Technique =
    if MASKS_THE_THREAD { Technique::ThreadMask } else { Technique::ProcessHandler };

/// Begins to protect this thread. Nests.
pub(crate) fn enter() -> io::Result<()> {
    if MASKS_THE_THREAD { thread_mask::enter() } else { process_handler::enter() }
}

/// Ends what one `enter` began, in whatever order. Leaves `errno` alone.
pub(crate) fn leave() {
    if MASKS_THE_THREAD { thread_mask::leave() } else { process_handler::leave() }
}

/// Runs one system call of this crate that offers `len` bytes.
///
/// The call may have raised SIGPIPE where it reports EPIPE *or fewer than `len` bytes*: a pipe
/// whose reader leaves in the middle of a write raises, and reports what it had taken (Linux
/// fs/pipe.c `pipe_write`).
#[inline]
pub(super) fn run(len: usize, call: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
    if MASKS_THE_THREAD { thread_mask::run(len, call) } else { process_handler::run(call) }
}

/// Whether this thread is under a guard, so that a plain call is a protected one.
///
/// Never by `process_handler`: its count is the process's, and another thread may drop the last
/// guard in the middle of our call. So each call enters by itself.
#[inline]
pub(super) fn is_held() -> bool {
    MASKS_THE_THREAD && thread_mask::is_held()
}
