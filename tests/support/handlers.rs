//! Help for tests in a signal handler and in a forked child. A panic allocates, which is forbidden
//! there, so [`expect`] writes a line and ends the process.

#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(unsafe_code, reason = "forks and signals have no safe form")]

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::single_step::step;
use crate::support::mask_signal;

/// Seconds after which a forked child that hangs is killed.
const PATIENCE: u32 = 10;

/// `assert!` without an allocation.
pub fn expect(holds: bool, what: &str) {
    if holds {
        return;
    }
    let mut line = [0; 200];
    let mut rest = &mut line[..];
    let _ = writeln!(rest, "{what} (at step {})", step());
    let len = 200 - rest.len();
    // SAFETY: the line is valid for the call. _exit runs no more code of this process.
    unsafe {
        libc::write(2, line.as_ptr().cast(), len);
        libc::_exit(1)
    }
}

pub fn exit_well() -> ! {
    // SAFETY: _exit runs no more code of this process.
    unsafe { libc::_exit(0) }
}

/// How many children have ended, with success or with SIGPIPE ignored.
pub static FORKS: AtomicUsize = AtomicUsize::new(0);

/// The exit status of a child in which SIGPIPE stayed ignored, and the number of such children.
pub const IS_LEFT_IGNORED: libc::c_int = 2;
pub static LEFT_IGNORED: AtomicUsize = AtomicUsize::new(0);

/// Forks. True in the child. The parent waits, and checks how the child ended.
pub fn fork() -> bool {
    // SAFETY: the child makes only async-signal-safe calls.
    is_child(unsafe { libc::fork() })
}

/// The same without libc's `fork`, which takes malloc's locks: the interrupted code may hold them.
pub fn fork_in_handler() -> bool {
    // SAFETY: as above.
    is_child(unsafe { libc::syscall(libc::SYS_fork) } as libc::pid_t)
}

fn is_child(pid: libc::pid_t) -> bool {
    expect(pid != -1, "fork has failed");
    if pid == 0 {
        alarms(libc::SIG_UNBLOCK);
        // SAFETY: the default action of SIGALRM is a valid disposition. It ends a child that hangs.
        unsafe {
            libc::signal(libc::SIGALRM, libc::SIG_DFL);
            libc::alarm(PATIENCE);
        }
        return true;
    }
    let mut status = 0;
    // SAFETY: the status is valid for the call.
    while unsafe { libc::waitpid(pid, &mut status, 0) } == -1 {}
    let is_killed_by = |signal| libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == signal;
    expect(!is_killed_by(libc::SIGALRM), "a forked child hangs");
    expect(!is_killed_by(libc::SIGPIPE), "SIGPIPE has killed a forked child");
    if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == IS_LEFT_IGNORED {
        LEFT_IGNORED.fetch_add(1, Ordering::Relaxed);
    } else {
        expect(status == 0, "a forked child has failed");
    }
    FORKS.fetch_add(1, Ordering::Relaxed);
    false
}

/// Blocks (`SIG_BLOCK`) or unblocks (`SIG_UNBLOCK`) SIGALRM on this thread.
pub fn alarms(how: libc::c_int) {
    mask_signal(how, libc::SIGALRM);
}
