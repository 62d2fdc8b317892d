//! `sigpipe::default_in_child`: what a child inherits, and what it begins with then.

#![allow(missing_docs, reason = "a test")]
#![allow(unsafe_code, reason = "pre_exec is unsafe, and signal is libc's")]
#![cfg(target_os = "linux")]

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};

use epipe::sigpipe::{default_in_child, guard};

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
    let _guard = guard().unwrap();
    assert!(
        raises().status().unwrap().success(),
        "std passes the mask on"
    );
    let mut child = raises();
    assert!(is_killed(default_in_child(&mut child).status().unwrap()));
}

#[test]
fn an_ignored_signal_is_inherited_and_put_to_the_default() {
    let ignores = || {
        let mut child = raises();
        // SAFETY: signal may be called there.
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
