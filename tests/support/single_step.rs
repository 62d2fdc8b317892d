//! Stops before every instruction of a piece of code, by the trap flag of the processor.
//!
//! The kernel clears the flag when it enters the SIGTRAP handler, so it does not stop in code that
//! the handler calls. One boundary is left out: after a system call the trap comes one instruction
//! late.

#![allow(unsafe_code, reason = "the trap flag, and a signal handler")]

use std::arch::asm;
use std::ffi::{c_int, c_void};
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::support::set_handler;

/// TF of EFLAGS.
const TRAP_FLAG: libc::greg_t = 1 << 8;

/// What happens after a step.
#[derive(Clone, Copy, PartialEq)]
pub enum Then {
    Step,
    /// The code continues without stops: for a forked child.
    Run,
}

/// The function that is called at each step. It must be async-signal-safe.
pub type AtStep = fn() -> Then;

static AT_STEP: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());
static STEPS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn trapped(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: libc's pointer to this thread's errno is valid. A handler must leave errno unchanged.
    let errno = unsafe { *libc::__errno_location() };
    // SAFETY: `single_step` has stored an `AtStep` before it set the flag.
    let at_step: AtStep = unsafe { mem::transmute(AT_STEP.load(Ordering::Relaxed)) };
    let then = at_step();
    STEPS.fetch_add(1, Ordering::Relaxed);
    if then == Then::Run {
        // SAFETY: the kernel gives a handler with SA_SIGINFO the context to which it returns.
        unsafe {
            let context = context.cast::<libc::ucontext_t>();
            (*context).uc_mcontext.gregs[libc::REG_EFL as usize] &= !TRAP_FLAG;
        }
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// The number of the current step.
pub fn step() -> usize {
    STEPS.load(Ordering::Relaxed)
}

/// Runs `code` on this thread, and calls `at_step` before every instruction. Returns the number of
/// steps. Only one thread may run this at a time.
pub fn single_step<T>(code: impl FnOnce() -> T, at_step: AtStep) -> usize {
    STEPS.store(0, Ordering::Relaxed);
    AT_STEP.store(at_step as *mut (), Ordering::Relaxed);
    set_handler(libc::SIGTRAP, trapped as *const () as usize, libc::SA_SIGINFO);
    // SAFETY: this sets one flag, whose handler is installed above. Without `nostack` the compiler
    // keeps nothing below the stack pointer.
    unsafe { asm!("pushfq", "or qword ptr [rsp], {flag}", "popfq", flag = const TRAP_FLAG) };
    let answer = code();
    // SAFETY: as above. This clears the flag.
    unsafe { asm!("pushfq", "and qword ptr [rsp], {mask}", "popfq", mask = const !TRAP_FLAG) };
    drop(answer);
    STEPS.load(Ordering::Relaxed)
}
