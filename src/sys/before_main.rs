//! Code that runs before `main`, and the state in which children begin.

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

            // Some ELF loaders know `.preinit_array`, which runs before the initialisers of all
            // libraries. On other ELF systems the number makes this the program's first
            // initialiser. On Apple it is one of them.
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

/// Lets a child begin with the default disposition and an empty mask.
pub(crate) fn default_in_child(command: &mut Command) {
    // SAFETY: the closure calls only what a signal handler may call (POSIX: signal, sigemptyset,
    // sigprocmask).
    unsafe { command.pre_exec(default_in_this_child) };
}

/// Sets the default disposition and an empty mask in a forked process.
pub(crate) fn default_in_this_child() -> io::Result<()> {
    #[cfg(target_os = "espidf")] // it starts no processes
    let is_done = true;
    #[cfg(not(target_os = "espidf"))]
    // SAFETY: the default is a valid disposition. `sigemptyset` initialises the set before its use.
    let is_done = unsafe {
        let mut nothing: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut nothing);
        libc::signal(libc::SIGPIPE, libc::SIG_DFL) != libc::SIG_ERR
            && libc::sigprocmask(libc::SIG_SETMASK, &nothing, std::ptr::null_mut()) == 0
    };
    if is_done { Ok(()) } else { Err(io::Error::last_os_error()) }
}
