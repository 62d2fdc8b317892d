//! A handler of SIGPIPE that records who raised it: thread and instruction pointers, into slots
//! that stand ready.
//!
//! In the handler there is no allocation, no lock and no symbol: it may interrupt anything, also a
//! panic that holds std's backtrace lock and prints to a broken stderr. It has no alternate stack:
//! there an unwinder may not find its way back.

#![allow(unsafe_code, reason = "sigaction takes pointers and a handler's address")]

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use cfg_if::cfg_if;
use libc::{SIG_DFL, SIG_IGN, sighandler_t, siginfo_t};

use super::{errno, signal};

/// How many signals are kept; more are counted.
const SLOTS: usize = 128;
/// How many frames of each.
const FRAMES: usize = 64;
/// As long as Linux keeps a thread's name, with its end.
const NAME: usize = 16;

/// One signal.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    /// `pthread_self()`.
    pub(crate) thread: usize,
    name: [u8; NAME],
    frames: [usize; FRAMES],
    count: usize,
}

impl Recording {
    const EMPTY: Recording =
        Recording { thread: 0, name: [0; NAME], frames: [0; FRAMES], count: 0 };

    /// The thread's name, where the system tells it (Linux; its first 15 bytes).
    pub(crate) fn name(&self) -> &[u8] {
        let end = self.name.iter().position(|byte| *byte == 0);
        &self.name[..end.unwrap_or(NAME)]
    }

    /// The instruction pointers, from the call that raised it outwards.
    pub(crate) fn frames(&self) -> &[usize] {
        &self.frames[..self.count]
    }
}

struct Slot {
    full: AtomicBool,
    recording: UnsafeCell<Recording>,
}

// SAFETY: who has taken the slot's number writes it, once; others read it after `full` is set.
unsafe impl Sync for Slot {}

static RECORDED: [Slot; SLOTS] =
    [const { Slot { full: AtomicBool::new(false), recording: UnsafeCell::new(Recording::EMPTY) } };
        SLOTS];
/// The number of signals that have come; the next one's slot.
static NEXT: AtomicUsize = AtomicUsize::new(0);
/// There is a recorder.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// The slots are open. A handler says first that it is there and then looks; who closes them does
/// so first and then waits until no handler is there.
static OPEN: AtomicBool = AtomicBool::new(false);
/// How many handlers are there.
static HANDLERS: AtomicUsize = AtomicUsize::new(0);
/// The handler that was there, or no handler's number; and whether it takes three arguments.
static FORMER: AtomicUsize = AtomicUsize::new(0);
static FORMER_TAKES_INFO: AtomicBool = AtomicBool::new(false);

// QNX has neither flag in libc.
#[cfg(not(target_os = "nto"))]
const RESTART: i64 = libc::SA_RESTART as i64;
#[cfg(target_os = "nto")]
const RESTART: i64 = 0;
#[cfg(not(target_os = "nto"))]
const ON_STACK: i64 = libc::SA_ONSTACK as i64;
#[cfg(target_os = "nto")]
const ON_STACK: i64 = 0;
const TAKES_INFO: i64 = libc::SA_SIGINFO as i64;

/// Records SIGPIPEs while it lives. There is one at a time.
pub(crate) struct Recorder {
    /// What was there.
    former: libc::sigaction,
}

impl Recorder {
    /// `None`: there is one already.
    pub(crate) fn begin() -> io::Result<Option<Recorder>> {
        if TAKEN.swap(true, Ordering::Acquire) {
            return Ok(None);
        }
        for slot in &RECORDED {
            slot.full.store(false, Ordering::Relaxed);
        }
        NEXT.store(0, Ordering::Relaxed);
        // The first time an unwinder may load its library and take locks.
        trace(0, |_| {});

        OPEN.store(true, Ordering::SeqCst);
        match put_in() {
            Ok(former) => Ok(Some(Recorder { former })),
            Err(error) => {
                close();
                Err(error)
            }
        }
    }

    /// Whether SIGPIPE is blocked on this thread: then nothing is recorded here.
    pub(crate) fn is_blind() -> io::Result<bool> {
        signal::is_blocked()
    }

    /// How many have come that could not be kept.
    pub(crate) fn missed(&self) -> usize {
        NEXT.load(Ordering::Relaxed).saturating_sub(SLOTS)
    }

    /// Those that have been kept, in the order in which they came.
    pub(crate) fn recordings(&self) -> Vec<Recording> {
        let come = NEXT.load(Ordering::Relaxed).min(SLOTS);
        RECORDED[..come]
            .iter()
            .map(|slot| {
                // Another thread's handler is about to fill it.
                while !slot.full.load(Ordering::Acquire) {
                    thread::yield_now();
                }
                // SAFETY: a full slot is written no more while this recorder lives.
                unsafe { (*slot.recording.get()).clone() }
            })
            .collect()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        put_back(&self.former);
        close();
    }
}

/// Puts the handler before what is there, which is returned.
fn put_in() -> io::Result<libc::sigaction> {
    let mut former = signal::action()?;
    // Code that had found ours, of an earlier watch, has put it back since.
    if former.sa_sigaction == handler() {
        former = signal::plain(SIG_DFL, 0);
    }
    let flags = former.sa_flags as i64;
    FORMER.store(former.sa_sigaction, Ordering::Relaxed);
    FORMER_TAKES_INFO.store(flags & TAKES_INFO != 0, Ordering::Relaxed);
    // What a handler that was there asked for stays, but for its alternate stack.
    let (mut action, flags) = if is_handler(former.sa_sigaction) {
        (former, flags & !ON_STACK)
    } else {
        (signal::plain(SIG_DFL, 0), RESTART)
    };
    action.sa_sigaction = handler();
    action.sa_flags = (flags | TAKES_INFO) as _;
    signal::set_action(&action)?;
    Ok(former)
}

/// Puts back what was there, unless another handler was put in since: that one stays.
fn put_back(former: &libc::sigaction) {
    if !signal::action().is_ok_and(|found| found.sa_sigaction == handler()) {
        return;
    }
    // SIG_IGN discards a signal that is still on its way to another thread: the default would kill.
    // If that is refused, the handler stays.
    if former.sa_sigaction != SIG_DFL || signal::set_action(&signal::plain(SIG_IGN, 0)).is_ok() {
        let _ = signal::set_action(former);
    }
}

fn close() {
    OPEN.store(false, Ordering::SeqCst);
    while HANDLERS.load(Ordering::SeqCst) > 0 {
        thread::yield_now();
    }
    TAKEN.store(false, Ordering::Release);
}

fn is_handler(disposition: sighandler_t) -> bool {
    ![SIG_DFL, SIG_IGN].contains(&disposition)
}

fn handler() -> sighandler_t {
    record as extern "C" fn(c_int, *mut siginfo_t, *mut c_void) as usize as sighandler_t
}

extern "C" fn record(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let _errno = errno::Keep::new();
    HANDLERS.fetch_add(1, Ordering::SeqCst);
    if OPEN.load(Ordering::SeqCst) {
        if let Some(slot) = RECORDED.get(NEXT.fetch_add(1, Ordering::Relaxed)) {
            // SAFETY: the number is this call's alone, and nobody reads before the slot is full.
            fill(unsafe { &mut *slot.recording.get() }, context as usize);
            slot.full.store(true, Ordering::Release);
        }
    }
    HANDLERS.fetch_sub(1, Ordering::SeqCst);
    pass_on(signal, info, context);
}

fn fill(recording: &mut Recording, context: usize) {
    // SAFETY: it has no arguments.
    recording.thread = unsafe { libc::pthread_self() } as usize;
    recording.name = name();
    recording.count = 0;
    trace(context, |ip| {
        if let Some(frame) = recording.frames.get_mut(recording.count) {
            *frame = ip;
            recording.count += 1;
        }
    });
}

/// Tells the instruction pointers above the place on the stack where the kernel has put `context`:
/// what lies below is the handler's own, and the trampoline's.
#[inline(never)]
fn trace(context: usize, mut tell: impl FnMut(usize)) {
    // SAFETY: the lock that is missing keeps symbols and the unwinding of others apart; this only
    // walks the stack of its own thread (`_Unwind_Backtrace`).
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            if frame.sp() as usize > context {
                tell(frame.ip() as usize);
            }
            true
        });
    }
}

cfg_if! {
    if #[cfg(any(target_os = "android", target_os = "linux"))] {
        fn name() -> [u8; NAME] {
            let mut name = [0; NAME];
            // SAFETY: the call writes 16 bytes at most, with the end.
            unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
            name
        }
    } else {
        fn name() -> [u8; NAME] {
            [0; NAME]
        }
    }
}

/// A handler that was there is called as the kernel would.
fn pass_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let former = FORMER.load(Ordering::Relaxed);
    if !is_handler(former as sighandler_t) {
        return;
    }
    if FORMER_TAKES_INFO.load(Ordering::Relaxed) {
        // SAFETY: sigaction has told that this is a function of three arguments.
        let handle = unsafe {
            mem::transmute::<usize, extern "C" fn(c_int, *mut siginfo_t, *mut c_void)>(former)
        };
        handle(signal, info, context);
    } else {
        // SAFETY: sigaction has told that this is a function of one argument.
        let handle = unsafe { mem::transmute::<usize, extern "C" fn(c_int)>(former) };
        handle(signal);
    }
}
