//! The guard of this system, which is the last technique: `thread_mask` where SIGPIPE goes to the
//! thread that wrote, otherwise `process_handler`.

use std::io;

use super::technique::Technique;
use super::{process_handler, thread_mask};

#[cfg(all(raised_at_process, epipe_refused = "process_handler"))]
compile_error!("epipe: `process_handler` is refused, and it is the only guard of this system");
#[cfg(all(epipe_refused = "thread_mask", epipe_refused = "process_handler"))]
compile_error!("epipe: every guard is refused (`thread_mask` and `process_handler`); leave one");

pub(super) const MASKS_THE_THREAD: bool =
    cfg!(not(any(raised_at_process, epipe_refused = "thread_mask")));

pub(super) const TECHNIQUE: Technique =
    if MASKS_THE_THREAD { Technique::ThreadMask } else { Technique::ProcessHandler };

/// A guard of this thread, which ends with its drop. It leaves `errno` unchanged.
#[allow(dead_code, reason = "a build makes one of them")]
pub(crate) enum Held {
    Mask(thread_mask::MaskGuard),
    Handler(process_handler::HandlerGuard),
}

/// Protects this thread until the guard is dropped. Guards nest, and may be dropped in any order.
pub(crate) fn enter() -> io::Result<Held> {
    if MASKS_THE_THREAD {
        thread_mask::MaskGuard::enter().map(Held::Mask)
    } else {
        process_handler::HandlerGuard::enter().map(Held::Handler)
    }
}

/// Runs `f` under a guard. An error means that no guard could be entered, and `f` was not run.
#[inline]
pub(crate) fn around<T>(f: impl FnOnce() -> T) -> io::Result<T> {
    if MASKS_THE_THREAD { thread_mask::around(f) } else { process_handler::around(f) }
}

/// The same around one system call of this crate that offers `len` bytes.
///
/// The call may have raised SIGPIPE if it reports EPIPE *or fewer than `len` bytes*. A pipe whose
/// reader leaves in the middle of a write raises, and reports the bytes that it had taken (Linux
/// fs/pipe.c `pipe_write`).
///
/// The outer error means that no guard could be entered. The inner one is the call's.
#[inline]
pub(super) fn run(
    len: usize,
    call: impl FnOnce() -> io::Result<usize>,
) -> io::Result<io::Result<usize>> {
    if MASKS_THE_THREAD { thread_mask::run(len, call) } else { process_handler::run(len, call) }
}
