use std::io;
use std::process::Command;

use crate::sys;

/// Ignores SIGPIPE in the process before `main` begins.
///
/// Like [`ignore`](super::ignore), at the earliest possible moment. Use it in a program where
/// something writes before the first line of `main`: initialisers of linked libraries, and threads
/// that they start. An [`ignore`](super::ignore) in `main` comes too late there. Also use it with
/// `#![no_main]`, where no Rust runtime ignores the signal, and with `-Zon-broken-pipe=inherit`.
/// (`-Zon-broken-pipe=kill` sets the default again at the start of `main`, after this.)
///
/// Call it once, in the program's own crate, outside of functions:
///
/// ```
/// # #![forbid(unsafe_code)]
/// epipe::sigpipe::ignore_before_main!();
///
/// fn main() {
///     assert_eq!(
///         epipe::sigpipe::disposition().unwrap(),
///         epipe::sigpipe::Disposition::Ignored
///     );
/// }
/// ```
///
/// # Platforms
///
/// * glibc, Android and FreeBSD: `.preinit_array`, before every initialiser.
/// * Other ELF systems: `.init_array.00000`. It runs before the program's other initialisers, and
///   after those of the libraries that the program loads.
/// * Apple: `__mod_init_func`, among the program's initialisers.
/// * Windows has no such signal, and no such macro.
///
/// It was run on Linux with glibc and with static musl. Elsewhere it was only type-checked.
///
/// # Limits
///
/// The macro places a function pointer in a section, which is unsafe code. `forbid(unsafe_code)`
/// does not see it, as it comes from this macro.
///
/// **Not for libraries.** The signal is the host's: a library would decide for every program that
/// links or loads it. (GNU ld rejects a shared library with a `.preinit_array`. LLD does not, and
/// glibc runs it.)
#[doc(alias("SIG_IGN", "init_array", "no_main", "constructor"))]
pub use crate::__ignore_before_main as ignore_before_main;

/// Makes a `Command` start its child with SIGPIPE at its default and an empty signal mask.
///
/// A child inherits an ignored signal, and the mask of the thread that starts it, also through
/// `exec`. std's `Command` resets the ignored SIGPIPE, unless the program is built with
/// `-Zon-broken-pipe`. It does not reset the mask: under a [`guard`](super::guard()), `yes | head`
/// in a child would not end. Code that calls `fork` calls [`default_in_this_child`] instead.
///
/// ```
/// use std::process::Command;
///
/// # let _guard = epipe::sigpipe::guard()?;
/// let mut command = Command::new("true");
/// let status = epipe::sigpipe::default_in_child(&mut command).status()?;
/// assert!(status.success());
/// # std::io::Result::Ok(())
/// ```
///
/// # Limits
///
/// The mask is emptied of every signal. The function adds a `pre_exec`, so std starts the child by
/// `fork` in place of `posix_spawn`.
#[doc(alias("SIG_DFL", "exec", "posix_spawn", "posix_spawnattr_setsigdefault"))]
pub fn default_in_child(command: &mut Command) -> &mut Command {
    sys::before_main::default_in_child(command);
    command
}

/// Gives a forked child the default disposition of SIGPIPE and an empty signal mask.
///
/// Like [`default_in_child`], which uses it, for code that calls `fork` without std's `Command`.
/// Call it in the child, before `exec`. It is async-signal-safe: it allocates nothing and takes no
/// lock. So the child of a process with threads may call it.
///
/// ```no_run
/// # unsafe fn fork() -> i32 { 0 }
/// # unsafe fn exec() {}
/// # unsafe fn exit_at_once(_: i32) {}
/// // SAFETY: the child calls only what is async-signal-safe.
/// unsafe {
///     if fork() == 0 {
///         if epipe::sigpipe::default_in_this_child().is_ok() {
///             exec(); // returns only if it fails
///         }
///         exit_at_once(127);
///     }
/// }
/// ```
///
/// # Errors
///
/// Those of `signal` and `sigprocmask`, which fail here only if a sandbox forbids them.
///
/// # Limits
///
/// It ends the protection of this process: a [`guard`](super::guard()) that the child has inherited
/// protects no more. Do not call it after `vfork`: POSIX allows only `exec` and `_exit` there.
#[doc(alias("SIG_DFL", "fork", "vfork", "pthread_atfork", "sigprocmask"))]
pub fn default_in_this_child() -> io::Result<()> {
    sys::before_main::default_in_this_child()
}
