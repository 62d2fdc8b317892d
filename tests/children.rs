//! `sigpipe::default_in_child`: what a child inherits, and what it begins with under it.

#![allow(missing_docs, reason = "a test")]
#![allow(unsafe_code, reason = "pre_exec is unsafe, and the signals are libc's")]
#![cfg(sigpipe)]

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};

use epipe::sigpipe::default_in_child;

/// A child that sends itself the signal.
fn raises() -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "kill -PIPE $$"]);
    shell
}

fn is_killed(status: ExitStatus) -> bool {
    status.signal() == Some(libc::SIGPIPE)
}

#[test]
fn a_blocked_mask_is_inherited_and_emptied() {
    // Blocks the signal as a guard does. It stays blocked, which is safe: libtest gives each test
    // its own thread.
    //
    // SAFETY: sigemptyset initialises the set before its use, and the set is valid.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGPIPE);
        assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()), 0);
    }
    assert!(raises().status().unwrap().success(), "the child inherits the mask");
    let mut child = raises();
    assert!(is_killed(default_in_child(&mut child).status().unwrap()));
}

#[test]
fn an_ignored_signal_is_inherited_and_put_to_the_default() {
    let ignores = || {
        let mut child = raises();
        // SAFETY: signal may be called between fork and exec.
        unsafe {
            child.pre_exec(|| {
                libc::signal(libc::SIGPIPE, libc::SIG_IGN);
                Ok(())
            })
        };
        child
    };
    assert!(ignores().status().unwrap().success());
    let mut child = ignores();
    assert!(is_killed(default_in_child(&mut child).status().unwrap()));
}
