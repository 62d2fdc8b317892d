//! The threads that are under a guard: a table of atomics.
//!
//! Signal handlers also enter guards, at any instruction of another guard, and so do forked
//! children. A lock could stay held there. A thread-local could allocate at its first use, in a
//! library that dlopen has loaded. So the table uses neither.
//!
//! Only a slot's thread changes it, and the handlers that interrupt that thread. A handler leaves
//! as often as it enters. Another thread may take over a slot whose thread no longer exists.

#![allow(unsafe_code, reason = "pthread_self, getpid and gettid are libc's")]

#[cfg(all(any(target_os = "android", target_os = "linux"), not(forced)))]
use std::io::Error;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use super::guard::MASKS_THE_THREAD;

/// The state in which a guard found its thread.
#[derive(Clone, Copy)]
pub(super) struct Before {
    /// Whether SIGPIPE was already blocked.
    pub(super) blocked: bool,
    /// The process in which a SIGPIPE was already pending, on the thread or the process; 0 if there
    /// was none. That signal is the host's, and stays. (Only a blocked signal can be pending.) The
    /// process is kept because the queue of a forked child is empty.
    pub(super) pending_in: usize,
}

/// The guards of one thread.
pub(super) struct Slot {
    /// The [`Here::thread`] of its thread; 0 while there is none.
    owner: AtomicUsize,
    /// The [`Here::number`] of its thread; 0 while there is none.
    number: AtomicUsize,
    /// The process that claimed the slot.
    process: AtomicUsize,
    /// [`Before::pending_in`] of the first guard.
    pending_in: AtomicUsize,
    /// [`FREE`], or the bits [`BUSY`] and [`BLOCKED`] and the number of guards times [`ONE`].
    state: AtomicUsize,
}

const FREE: usize = 0;
/// The thread is about to claim the slot or to give it up. Guards counted meanwhile belong to a
/// signal handler that interrupts the thread there.
const BUSY: usize = 1;
/// [`Before::blocked`] of the first guard.
const BLOCKED: usize = 2;
const ONE: usize = 4;

/// The number of bits that hold the index of a slot, plus one.
pub(super) const INDEX_BITS: u32 = 10;

/// A thread that finds no slot is still protected: see `thread_mask::MaskGuard::enter`.
const SLOTS: usize = (1 << INDEX_BITS) - 1;

static TABLE: [Slot; SLOTS] = [const {
    Slot {
        owner: AtomicUsize::new(0),
        number: AtomicUsize::new(0),
        process: AtomicUsize::new(0),
        pending_in: AtomicUsize::new(0),
        state: AtomicUsize::new(FREE),
    }
}; SLOTS];

/// No slot from this one on was ever claimed.
static USED: AtomicUsize = AtomicUsize::new(0);

/// The slots that were ever claimed.
fn used() -> &'static [Slot] {
    &TABLE[..USED.load(SeqCst).min(SLOTS)]
}

/// This thread of this process.
#[derive(Clone, Copy)]
pub(super) struct Here {
    /// `pthread_self`. It is cheap, but a new thread may have the value of an ended one, and a
    /// forked child keeps the parent's.
    thread: usize,
    /// Asked before the thread's number. If a handler forks in between, the child's thread has the
    /// parent's process here, and so never counts as ended.
    pub(super) process: usize,
    /// Distinguishes threads with the same `pthread_self`. It is the thread's number where the
    /// guard is a mask and the system has thread numbers, otherwise the process's.
    number: usize,
}

impl Here {
    pub(super) fn now() -> Here {
        let process = this_process();
        let number = if MASKS_THE_THREAD { thread_number() } else { None };
        Here { thread: this_thread(), process, number: number.unwrap_or(process) }
    }

    /// Whether this is the first thread of its process, if that is known. In a forked child the
    /// first thread is the one that forked. No other thread of the table exists there.
    fn is_first_thread(self) -> Option<bool> {
        cfg_if::cfg_if! {
            if #[cfg(all(forced, raised_at_process))] {
                // SAFETY: gettid(2): it takes nothing and cannot fail.
                Some(unsafe { libc::syscall(libc::SYS_gettid) as usize } == self.process)
            } else if #[cfg(target_vendor = "apple")] {
                // SAFETY: pthread_main_np(3): it takes nothing and cannot fail.
                Some(unsafe { libc::pthread_main_np() } == 1)
            } else if #[cfg(target_os = "netbsd")] {
                // The first thread has the process's number (since 10: kern_proc.c
                // `proc_alloc_lwpid`), or 1.
                // SAFETY: _lwp_self(2): it takes nothing and cannot fail.
                let number = unsafe { libc::_lwp_self() as usize };
                Some(number == 1 || number == self.process)
            } else {
                thread_number().map(|number| number == self.process)
            }
        }
    }
}

fn this_thread() -> usize {
    // SAFETY: POSIX: it takes nothing and cannot fail.
    unsafe { libc::pthread_self() as usize }
}

pub(super) fn this_process() -> usize {
    // SAFETY: POSIX: it takes nothing and cannot fail.
    unsafe { libc::getpid() as usize }
}

fn thread_number() -> Option<usize> {
    #[cfg(all(any(target_os = "android", target_os = "linux"), not(forced)))]
    // SAFETY: gettid(2): it takes nothing and cannot fail.
    return Some(unsafe { libc::syscall(libc::SYS_gettid) as usize });
    #[cfg(any(forced, not(any(target_os = "android", target_os = "linux"))))]
    None
}

impl Slot {
    /// The slot of this thread, if it has one.
    pub(super) fn mine() -> Option<&'static Slot> {
        // The thread's number, a system call, is asked only if a slot is found.
        with_owner(this_thread()).filter(|slot| slot.is_mine(Here::now()))
    }

    /// Counts one more guard of this thread. The first guard also stores what it found. `None`: the
    /// table is full, or the owner of the slot is uncertain.
    pub(super) fn enter(here: Here, before: Before) -> Option<&'static Slot> {
        let found = with_owner(here.thread);
        if let Some(slot) = found.filter(|slot| slot.is_mine(here)) {
            // In a forked child the slot may belong to a thread that ended under a guard, and had
            // the `pthread_self` of the thread that forked. Then the signal is not blocked.
            let is_certain = before.blocked || slot.number.load(SeqCst) == here.number;
            if MASKS_THE_THREAD && !is_certain {
                return None;
            }
            slot.enter_again();
            return Some(slot);
        }
        // An earlier thread with this `pthread_self` has ended, so its slot is taken first. To find
        // other ended threads, the system must be asked about each, so these come last.
        let slot = found
            .filter(|slot| slot.claim(here, |_, _| true))
            .or_else(|| TABLE.iter().find(|slot| slot.claim(here, Slot::is_left_over)))
            .or_else(|| TABLE.iter().find(|slot| slot.claim(here, Slot::has_ended)))?;
        slot.process.store(here.process, SeqCst);
        slot.pending_in.store(before.pending_in, SeqCst);
        slot.state.store(if before.blocked { ONE | BLOCKED } else { ONE }, SeqCst);
        USED.fetch_max(slot.index() + 1, SeqCst);
        // Last: until here, a handler that interrupts this code finds no slot, and claims its own.
        slot.owner.store(here.thread, SeqCst);
        Some(slot)
    }

    /// Claims a slot that is free, or whose thread is gone. Two claimers compare and swap the same
    /// word: the state of a free slot, the number of another.
    fn claim(&self, here: Here, is_gone: fn(&Slot, Here) -> bool) -> bool {
        let (number, state) = (self.number.load(SeqCst), self.state.load(SeqCst));
        let is_claimed = if state == FREE {
            self.state.compare_exchange(FREE, BUSY, SeqCst, SeqCst).is_ok()
        } else {
            (number != 0 && state & BUSY == 0 && is_gone(self, here))
                && self.number.compare_exchange(number, here.number, SeqCst, SeqCst).is_ok()
        };
        if is_claimed {
            self.owner.store(0, SeqCst);
            self.state.store(BUSY, SeqCst);
            self.number.store(here.number, SeqCst);
        }
        is_claimed
    }

    pub(super) fn enter_again(&self) {
        self.state.store(self.state.load(SeqCst) + ONE, SeqCst);
    }

    /// Counts one guard less, unless it is the last one. Returns whether it did.
    pub(super) fn leave_unless_last(&self) -> bool {
        let state = self.state.load(SeqCst);
        let has_more = state >= 2 * ONE;
        if has_more {
            self.state.store(state - ONE, SeqCst);
        }
        has_more
    }

    /// Ends the count of the last guard. Returns whether the caller must free the slot. A handler
    /// gets `false` between `give_up` and `free`: the interrupted code frees the slot.
    pub(super) fn give_up(&self) -> bool {
        self.state.swap(BUSY, SeqCst) & BUSY == 0
    }

    pub(super) fn free(&self) {
        self.owner.store(0, SeqCst);
        self.number.store(0, SeqCst);
        self.state.store(FREE, SeqCst);
    }

    /// The state in which the first guard found the thread.
    pub(super) fn before(&self) -> Before {
        let blocked = self.state.load(SeqCst) & BLOCKED != 0;
        Before { blocked, pending_in: self.pending_in.load(SeqCst) }
    }

    /// Forgets that SIGPIPE was blocked: it was blocked by the guard of a closure, which ends now.
    pub(super) fn forget_blocked(&self) {
        self.state.store(self.state.load(SeqCst) & !BLOCKED, SeqCst);
    }

    /// Whether this thread is the slot's owner. A thread that forked has the same `pthread_self` in
    /// the child but another number, and is the first thread there. If that is unknown, the slot
    /// counts as this thread's.
    pub(super) fn is_mine(&self, here: Here) -> bool {
        self.owner.load(SeqCst) == here.thread
            && (self.number.load(SeqCst) == here.number || here.is_first_thread() != Some(false))
    }

    /// Whether this thread is the slot's owner, and claimed it under that number.
    pub(super) fn is_mine_as(&self, number: usize, here: Here) -> bool {
        self.number.load(SeqCst) == number && self.is_mine(here)
    }

    /// Whether, in a forked child, the slot belongs to a thread that was not forked. Always false
    /// where the guard is a mask: such a slot only takes up space there.
    fn is_left_over(&self, here: Here) -> bool {
        !MASKS_THE_THREAD
            && self.number.load(SeqCst) != here.number
            && self.owner.load(SeqCst) != here.thread
            && here.is_first_thread() == Some(true)
    }

    /// Whether the slot's thread has ended under a forgotten guard. Always false for a slot that a
    /// forked child has inherited: its thread may be the one that forked, under its old number.
    fn has_ended(&self, here: Here) -> bool {
        #[cfg(all(any(target_os = "android", target_os = "linux"), not(forced)))]
        if MASKS_THE_THREAD && self.process.load(SeqCst) == here.process {
            let (process, number) = (here.process, self.number.load(SeqCst));
            // SAFETY: tgkill(2): with signal 0 it sends none, and only checks that the thread
            // exists.
            let answer = unsafe { libc::syscall(libc::SYS_tgkill, process, number, 0) };
            // Only ESRCH counts: a sandbox may forbid the call.
            return answer == -1 && Error::last_os_error().raw_os_error() == Some(libc::ESRCH);
        }
        let _ = here;
        false
    }

    pub(super) fn index(&self) -> usize {
        (std::ptr::from_ref(self) as usize - TABLE.as_ptr() as usize) / size_of::<Slot>()
    }

    pub(super) fn at(index: usize) -> &'static Slot {
        &TABLE[index]
    }
}

fn with_owner(thread: usize) -> Option<&'static Slot> {
    used().iter().find(|slot| slot.owner.load(SeqCst) == thread)
}

/// Whether a thread of this process is under a guard. It may miss a thread that is about to enter.
pub(super) fn is_any_guarded(here: Here) -> bool {
    used().iter().any(|slot| slot.state.load(SeqCst) >= ONE && !slot.is_left_over(here))
}
