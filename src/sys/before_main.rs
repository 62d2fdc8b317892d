//! What runs before `main`, and the state that children begin with.

#![allow(unsafe_code, reason = "between fork and exec only libc may be called")]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// See `sigpipe::ignore_before_main!`.
#[doc(hidden)]
#[macro_export]
macro_rules! __ignore_before_main {
    () => {
        const _: () = {
            extern "C" fn ignore() {
                // An error cannot be reported before `main`.
                let _ = $crate::sigpipe::ignore();
            }

            // `.preinit_array` runs before the initialisers of all libraries, where ELF's loader
            // knows it. On other ELF systems this is the first of the program's own, by its number;
            // on Apple one of them.
            #[used]
            #[cfg_attr(
                any(
                    target_os = "android",
                    target_os = "freebsd",
                    all(target_os = "linux", target_env = "gnu"),
                ),
                unsafe(link_section = ".preinit_array")
            )]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
            #[cfg_attr(
                not(any(
                    target_os = "android",
                    target_os = "freebsd",
                    all(target_os = "linux", target_env = "gnu"),
                    target_vendor = "apple",
                )),
                unsafe(link_section = ".init_array.00000")
            )]
            static IGNORE: extern "C" fn() = ignore;
        };
    };
}

/// Lets a child begin with the default disposition and nothing blocked.
pub(crate) fn default_in_child(command: &mut Command) {
    // SAFETY: the closure calls only what a signal handler may call (POSIX: signal, sigemptyset,
    // sigprocmask).
    unsafe { command.pre_exec(default_in_this_child) };
}

/// The default disposition, and nothing blocked, in a process that was forked.
pub(crate) fn default_in_this_child() -> io::Result<()> {
    #[cfg(target_os = "espidf")] // it starts no processes
    let is_done = true;
    #[cfg(not(target_os = "espidf"))]
    // SAFETY: the default is a valid disposition; a set is made empty before it is used.
    let is_done = unsafe {
        let mut nothing: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut nothing);
        libc::signal(libc::SIGPIPE, libc::SIG_DFL) != libc::SIG_ERR
            && libc::sigprocmask(libc::SIG_SETMASK, &nothing, std::ptr::null_mut()) == 0
    };
    if is_done { Ok(()) } else { Err(io::Error::last_os_error()) }
}
