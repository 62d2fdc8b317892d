use std::io;
use std::process::Command;

use crate::sys;

/// Ignores SIGPIPE before `main` begins, in a program: [`ignore`](super::ignore), at the earliest
/// moment there is.
///
/// It is for programs in which something writes before the first line of `main`: initialisers of
/// libraries that are linked, and threads that these have started. A handler that is installed late
/// loses that race. It is also for `#![no_main]`, where no Rust runtime ignores the signal, and for
/// `-Zon-broken-pipe=inherit`. (`-Zon-broken-pipe=kill` puts the default back at the start of
/// `main`, after this.)
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
/// `.preinit_array` with glibc, on Android and FreeBSD: before every initialiser.
/// `.init_array.00000` on other ELF systems: before the program's other initialisers, after those
/// of the libraries that it loads. `__mod_init_func` on Apple: among the program's. Run on Linux
/// with glibc and static musl; elsewhere type-checked; not for Windows, which has no such signal.
///
/// # Limits
///
/// It places a function pointer in a section, which is unsafe code. `forbid(unsafe_code)` does not
/// see it, as it comes from this macro. **Not for libraries**: there it would decide for every
/// program that links or loads the library, and the signal is the host's. (GNU ld refuses a shared
/// library with a `.preinit_array`, LLD does not, and glibc runs it.)
pub use crate::__ignore_before_main as ignore_before_main;

/// Lets a child of this process begin with the default disposition of SIGPIPE and an empty signal
/// mask.
///
/// A child inherits an ignored signal and the mask of the thread that starts it, through `exec`
/// too. std's `Command` resets the ignored SIGPIPE (not in a program that is built with
/// `-Zon-broken-pipe`), but a thread under a [`guard`](super::guard()) passes its mask on: the
/// child's `yes | head` would not end. Code that forks by itself calls [`default_in_this_child`].
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
/// The mask is emptied of every signal. It is a `pre_exec`, with which std starts the child by
/// `fork` in place of `posix_spawn`.
pub fn default_in_child(command: &mut Command) -> &mut Command {
    sys::before_main::default_in_child(command);
    command
}

/// Gives this process the default disposition of SIGPIPE and an empty signal mask: for a child that
/// your own code has forked, before it executes a program.
///
/// Like [`default_in_child`], which calls it, for code that does not use std's `Command`.
///
/// It is async-signal-safe: it allocates nothing and takes no lock, so the child of a process with
/// threads may call it.
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
/// Those of `signal` and `sigprocmask`, which have none here unless a sandbox forbids them.
///
/// # Limits
///
/// It ends the protection of this process: a [`guard`](super::guard()) that was inherited protects
/// no more. After `vfork` it may not be called, for POSIX allows `exec` and `_exit` alone there.
pub fn default_in_this_child() -> io::Result<()> {
    sys::before_main::default_in_this_child()
}
