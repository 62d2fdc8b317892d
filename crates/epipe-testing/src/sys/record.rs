//! A SIGPIPE handler that records the thread and its instruction pointers in static slots.
//!
//! The handler does not allocate, lock or look up symbols: it may interrupt any code, also a panic
//! that holds std's backtrace lock and prints to a broken stderr. It uses no alternate stack: an
//! unwinder may not find the way back from there.

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

/// Signals kept. More are only counted.
const SLOTS: usize = 128;
/// Frames kept of each signal.
const FRAMES: usize = 64;
/// The length of a thread's name on Linux, with the final zero.
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

    /// The first 15 bytes of the thread's name. Empty if the system does not report it.
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

// SAFETY: one handler call takes the slot's number and writes it, once. Other threads read it only
// after `full` is set.
unsafe impl Sync for Slot {}

static RECORDED: [Slot; SLOTS] =
    [const { Slot { full: AtomicBool::new(false), recording: UnsafeCell::new(Recording::EMPTY) } };
        SLOTS];
/// The number of signals so far, which is also the next signal's slot.
static NEXT: AtomicUsize = AtomicUsize::new(0);
/// Whether a recorder exists.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// The slots are open. A handler first counts itself in `HANDLERS` and then reads this. `close`
/// first clears this and then waits until `HANDLERS` is zero.
static OPEN: AtomicBool = AtomicBool::new(false);
/// The number of handlers that run now.
static HANDLERS: AtomicUsize = AtomicUsize::new(0);
/// The former handler, or SIG_DFL or SIG_IGN.
static FORMER: AtomicUsize = AtomicUsize::new(0);
/// Whether the former handler takes three arguments.
static FORMER_TAKES_INFO: AtomicBool = AtomicBool::new(false);

// libc has neither flag for QNX.
#[cfg(not(target_os = "nto"))]
const RESTART: i64 = libc::SA_RESTART as i64;
#[cfg(target_os = "nto")]
const RESTART: i64 = 0;
#[cfg(not(target_os = "nto"))]
const ON_STACK: i64 = libc::SA_ONSTACK as i64;
#[cfg(target_os = "nto")]
const ON_STACK: i64 = 0;
const TAKES_INFO: i64 = libc::SA_SIGINFO as i64;

/// Records SIGPIPEs while it lives. Only one can exist at a time.
pub(crate) struct Recorder {
    /// The former action.
    former: libc::sigaction,
}

impl Recorder {
    /// `None`: a recorder already exists.
    pub(crate) fn begin() -> io::Result<Option<Recorder>> {
        if TAKEN.swap(true, Ordering::Acquire) {
            return Ok(None);
        }
        for slot in &RECORDED {
            slot.full.store(false, Ordering::Relaxed);
        }
        NEXT.store(0, Ordering::Relaxed);
        // The first call of an unwinder may load its library and take locks.
        trace(0, |_| {});

        OPEN.store(true, Ordering::SeqCst);
        match install() {
            Ok(former) => Ok(Some(Recorder { former })),
            Err(error) => {
                close();
                Err(error)
            }
        }
    }

    /// Whether SIGPIPE is blocked on this thread, so that no signal would be recorded here.
    pub(crate) fn is_blind() -> io::Result<bool> {
        signal::is_blocked()
    }

    pub(crate) fn missed(&self) -> usize {
        NEXT.load(Ordering::Relaxed).saturating_sub(SLOTS)
    }

    /// The signals kept, in the order in which they came.
    pub(crate) fn recordings(&self) -> Vec<Recording> {
        let come = NEXT.load(Ordering::Relaxed).min(SLOTS);
        RECORDED[..come]
            .iter()
            .map(|slot| {
                // Another thread's handler is filling it.
                while !slot.full.load(Ordering::Acquire) {
                    thread::yield_now();
                }
                // SAFETY: while this recorder lives, no handler writes to a full slot.
                unsafe { (*slot.recording.get()).clone() }
            })
            .collect()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        restore(&self.former);
        close();
    }
}

/// Installs the handler, and returns the former action.
fn install() -> io::Result<libc::sigaction> {
    let mut former = signal::action()?;
    // Other code found the handler of an earlier watch, and has put it back since.
    if former.sa_sigaction == handler() {
        former = signal::plain(SIG_DFL, 0);
    }
    let flags = former.sa_flags as i64;
    FORMER.store(former.sa_sigaction, Ordering::Relaxed);
    FORMER_TAKES_INFO.store(flags & TAKES_INFO != 0, Ordering::Relaxed);
    // A former handler's mask and flags stay, except for its alternate stack.
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

/// Restores the former action. If another handler was installed meanwhile, that one stays.
fn restore(former: &libc::sigaction) {
    if !signal::action().is_ok_and(|found| found.sa_sigaction == handler()) {
        return;
    }
    // SIG_IGN first: it discards a signal that is still on its way to another thread. The default
    // action would kill there. If SIG_IGN fails, the handler stays.
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
            // SAFETY: no other call has this number, and no thread reads before the slot is full.
            fill(unsafe { &mut *slot.recording.get() }, context as usize);
            slot.full.store(true, Ordering::Release);
        }
    }
    HANDLERS.fetch_sub(1, Ordering::SeqCst);
    pass_on(signal, info, context);
}

fn fill(recording: &mut Recording, context: usize) {
    // SAFETY: the call has no arguments and cannot fail.
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

/// Reports the instruction pointers above the place on the stack where the kernel has put
/// `context`. The frames below are those of the handler and the trampoline.
#[inline(never)]
fn trace(context: usize, mut report: impl FnMut(usize)) {
    // SAFETY: the omitted lock protects symbols and the unwinding of other threads. This only walks
    // the stack of its own thread (`_Unwind_Backtrace`).
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            if frame.sp() as usize > context {
                report(frame.ip() as usize);
            }
            true
        });
    }
}

cfg_if! {
    if #[cfg(any(target_os = "android", target_os = "linux"))] {
        fn name() -> [u8; NAME] {
            let mut name = [0; NAME];
            // SAFETY: the kernel writes at most 16 bytes, with the final zero.
            unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
            name
        }
    } else {
        fn name() -> [u8; NAME] {
            [0; NAME]
        }
    }
}

/// Calls the former handler as the kernel would.
fn pass_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let former = FORMER.load(Ordering::Relaxed);
    if !is_handler(former as sighandler_t) {
        return;
    }
    if FORMER_TAKES_INFO.load(Ordering::Relaxed) {
        // SAFETY: with SA_SIGINFO, sigaction returned a function of three arguments.
        let handle = unsafe {
            mem::transmute::<usize, extern "C" fn(c_int, *mut siginfo_t, *mut c_void)>(former)
        };
        handle(signal, info, context);
    } else {
        // SAFETY: without SA_SIGINFO, sigaction returned a function of one argument.
        let handle = unsafe { mem::transmute::<usize, extern "C" fn(c_int)>(former) };
        handle(signal);
    }
}
