//! A host loads a library by `dlopen`. A signal handler that has interrupted malloc calls it, for
//! the first time on that thread.

#![allow(missing_docs, reason = "a test")]
#![allow(unsafe_code, reason = "malloc has no safe form")]
#![cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]

use std::ffi::{CString, c_long};
use std::hint::black_box;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use epipe_testing::assert_survives;

#[path = "../../support/cargo.rs"]
mod cargo;
#[path = "../../support/handlers.rs"]
mod handlers;
#[path = "../../support/single_step.rs"]
mod single_step;
#[path = "../../support/mod.rs"]
mod support;

use handlers::{FORKS, exit_well, expect, fork_in_handler};
use single_step::{AtStep, Then, single_step, step};
use support::{broken_pipe, is_blocked, is_pending, load};

/// The library's function, and a descriptor of a broken pipe.
static CALL: OnceLock<(extern "C" fn(RawFd) -> c_long, RawFd)> = OnceLock::new();

fn call() {
    let (function, fd) = CALL.get().expect("set");
    expect(function(*fd) == libc::EPIPE.into(), "the call does not return EPIPE");
    expect(!is_blocked() && !is_pending(), "SIGPIPE is still blocked or pending");
}

/// Calls in a child of its own at each step: the child's thread has not called the library before.
fn call_in_a_child() -> Then {
    if fork_in_handler() {
        call();
        exit_well();
    }
    Then::Step
}

/// The step at which this process calls, and then goes on with malloc.
static AT: AtomicUsize = AtomicUsize::new(0);

fn call_at_one() -> Then {
    if step() < AT.load(Ordering::Relaxed) {
        return Then::Step;
    }
    call();
    Then::Run
}

/// A thread's first allocations make its cache and choose its arena, under locks.
fn allocate() {
    for size in [24, 2000] {
        // SAFETY: free takes what malloc returns.
        unsafe { libc::free(black_box(libc::malloc(size))) };
    }
}

fn called_inside_malloc(name: &str) {
    let library = CString::new(cargo::library("loaded").into_os_string().into_vec()).unwrap();
    assert_survives!(|| {
        let pipe = broken_pipe();
        let function = load(&library, &CString::new(name).unwrap());
        CALL.get_or_init(|| (function, pipe.as_raw_fd()));
        let in_a_new_thread =
            |at_step: AtStep| thread::spawn(move || single_step(allocate, at_step)).join().unwrap();
        let steps = in_a_new_thread(call_in_a_child);
        assert!(steps > 100 && FORKS.load(Ordering::Relaxed) == steps, "{steps} steps");
        for at in 0..steps {
            AT.store(at, Ordering::Relaxed);
            in_a_new_thread(call_at_one);
        }
    });
}

#[test]
fn raw_write_inside_malloc() {
    called_inside_malloc("raw_write");
}

#[test]
fn a_guard_inside_malloc() {
    called_inside_malloc("guarded_write");
}
