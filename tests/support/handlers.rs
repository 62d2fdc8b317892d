//! What a test does in a signal handler and in a forked child, where a panic, which allocates, may
//! not be: [`expect`] writes a line and ends the process.

#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(unsafe_code, reason = "forks and signals have no safe form")]

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::single_step::step;
use crate::support::mask_signal;

/// Seconds after which a forked child is killed, if it hangs.
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
    // SAFETY: the line is valid for the call, and nothing of this process is needed any more.
    unsafe {
        libc::write(2, line.as_ptr().cast(), len);
        libc::_exit(1)
    }
}

pub fn exit_well() -> ! {
    // SAFETY: nothing of this process is needed any more.
    unsafe { libc::_exit(0) }
}

/// How many children have ended, well or with SIGPIPE ignored.
pub static FORKS: AtomicUsize = AtomicUsize::new(0);

/// How a child exits in which SIGPIPE stayed ignored, and how many have.
pub const IS_LEFT_IGNORED: libc::c_int = 2;
pub static LEFT_IGNORED: AtomicUsize = AtomicUsize::new(0);

/// Forks; true in the child. The parent waits, and looks how the child has ended.
pub fn fork() -> bool {
    // SAFETY: the child makes only calls that a signal handler may make.
    is_child(unsafe { libc::fork() })
}

/// The same without libc, whose `fork` takes the locks of malloc: these a handler may have stopped.
pub fn fork_in_handler() -> bool {
    // SAFETY: as above.
    is_child(unsafe { libc::syscall(libc::SYS_fork) } as libc::pid_t)
}

fn is_child(pid: libc::pid_t) -> bool {
    expect(pid != -1, "no fork");
    if pid == 0 {
        alarms(libc::SIG_UNBLOCK);
        // SAFETY: the default action of SIGALRM is a valid one; it ends a child that hangs.
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
