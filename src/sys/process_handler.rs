//! `process_handler`: a counted handler that does nothing, in place of the default action.
//!
//! For systems that direct SIGPIPE at the process, where a thread's mask does not help (XNU and
//! NetBSD: `psignal`; RTEMS: fifo.c `kill`). It is a handler, not `SIG_IGN`: exec resets a handler,
//! and it cannot be confused with the host's own `SIG_IGN`.
//!
//! To remove the handler is dangerous while a signal is in flight to another thread:
//! * If `SIG_DFL` directly follows the handler, the signal kills the process.
//! * On NetBSD, `SIG_IGN` in between discards the signal, under the lock that delivery holds
//!   (kern_sig.c `sigaction1`).
//! * XNU has no such lock (kern_sig.c, the same in xnu-6153 and xnu-7195). `setsigvec` stores the
//!   action while `issignal_locked` and then `postsig_locked` read it. A thread between the two
//!   takes SIG_IGN, the number 1, for a handler's address and jumps there. And a signal that is
//!   posted just before `p_sigignore` is set stays marked, and kills under SIG_DFL.
//!
//! So on Apple the handler stays once a SIGPIPE may be in flight. If none is in flight, SIG_DFL may
//! follow directly on every system.
//!
//! No system can compare and swap a disposition. So one thread of this crate changes it at a time,
//! with all signals blocked but SIGPIPE and those of a fault. Another waits, for three system
//! calls. The handler of a fault, or of a debugger's trap, does not wait for its own thread. A
//! forked child does not wait for a thread that it does not have.
//!
//! `sigpipe::ignore`, `restore_default` and `disposition` are also here. They report this handler
//! as the default, and wait for their turn.

#![allow(unsafe_code, reason = "sigaction takes pointers and a handler's address")]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use libc::{SIG_DFL, SIG_IGN, SIGPIPE, c_int, sighandler_t};

use super::signal::with_signals_blocked;
use super::threads::{Before, Here, INDEX_BITS, Slot, is_any_guarded};
use super::{Disposition, errno, guard};

/// The thread that may change the disposition: its slot (index plus one) in the low bits, its
/// process above them. 0 if there is none.
static TURN: AtomicUsize = AtomicUsize::new(0);

/// The guards of threads that found no slot.
static WITHOUT_SLOT: AtomicUsize = AtomicUsize::new(0);

/// A guarded call may have raised a SIGPIPE, and no call reports its arrival. On Apple this stays
/// set; elsewhere until the signal is discarded.
static MAY_BE_IN_FLIGHT: AtomicBool = AtomicBool::new(false);

/// The handler is recognised by its address. It uses TURN so that no linker merges it with another
/// empty function.
extern "C" fn do_nothing(_: c_int) {
    std::hint::black_box(&raw const TURN);
}

// SA_RESTART: calls of other threads continue. SA_ONSTACK: the stack of a host's thread may be too
// small for a handler (Go requires the flag). The libc crate has neither for QNX. Not SA_NODEFER:
// many signals at once would fill the stack.
#[cfg(not(target_os = "nto"))]
const FLAGS: c_int = libc::SA_RESTART | libc::SA_ONSTACK;
#[cfg(target_os = "nto")]
const FLAGS: c_int = 0;

/// A guard of this thread.
pub(crate) struct HandlerGuard {
    here: Here,
    slot: Option<&'static Slot>,
}

impl HandlerGuard {
    /// Around foreign code, which may raise.
    pub(super) fn enter() -> io::Result<HandlerGuard> {
        let held = HandlerGuard::begin()?;
        MAY_BE_IN_FLIGHT.store(true, SeqCst);
        Ok(held)
    }

    fn begin() -> io::Result<HandlerGuard> {
        let held = HandlerGuard::join();
        // This guard counts now. Only a thread that already has the turn can still take the handler
        // out.
        wait(held.here);
        // Asked each time: a host may have set the default again.
        if current()? == SIG_DFL {
            held.in_turn(|| if current()? == SIG_DFL { set(handler(), FLAGS) } else { Ok(()) })?;
        }
        Ok(held)
    }

    /// Counts this guard. It does not change the disposition.
    fn join() -> HandlerGuard {
        let here = Here::now();
        let slot = Slot::enter(here, Before { blocked: false, pending_in: 0 });
        if slot.is_none() {
            WITHOUT_SLOT.fetch_add(1, SeqCst);
        }
        HandlerGuard { here, slot }
    }

    /// Runs `f` while no other thread changes the disposition.
    fn in_turn<T>(&self, f: impl FnOnce() -> T) -> T {
        match self.slot {
            Some(slot) => with_signals_blocked(|| in_turn(self.here, slot, f)),
            // Without a slot there is no turn: another thread may change the disposition meanwhile.
            None => f(),
        }
    }
}

impl Drop for HandlerGuard {
    fn drop(&mut self) {
        let _errno = errno::Keep::new();
        let Some(slot) = self.slot else {
            // The handler goes when a thread with a slot leaves.
            WITHOUT_SLOT.fetch_sub(1, SeqCst);
            return;
        };
        if slot.leave_unless_last() {
            return;
        }
        // Asked again: if a handler has forked since, this is the child.
        let here = Here::now();
        with_signals_blocked(|| {
            if in_turn(here, slot, || leave_last(here, slot)) {
                slot.free();
            }
        });
    }
}

/// Takes the handler out, unless another thread needs it. Returns whether to free the slot.
fn leave_last(here: Here, slot: &Slot) -> bool {
    let is_to_be_freed = slot.give_up();
    let is_needed = is_any_guarded(here) || WITHOUT_SLOT.load(SeqCst) > 0;
    if is_needed || current().ok() != Some(handler()) {
        return is_to_be_freed;
    }
    // After an error the handler stays: with SIG_DFL a signal in flight could kill.
    let _ = match MAY_BE_IN_FLIGHT.load(SeqCst) {
        // Not by way of SIG_IGN, which a child forked in between would keep through exec.
        false => set(SIG_DFL, 0),
        true if cfg!(kernel = "apple") => Ok(()),
        true => set(SIG_IGN, 0).and_then(|()| {
            MAY_BE_IN_FLIGHT.store(false, SeqCst);
            set(SIG_DFL, 0)
        }),
    };
    is_to_be_freed
}

/// Runs `f` under a guard. An error means that no guard could be entered.
pub(super) fn around<T>(f: impl FnOnce() -> T) -> io::Result<T> {
    let _held = HandlerGuard::enter()?;
    Ok(f())
}

/// The same around one call of our own, which offers `len` bytes.
pub(super) fn run(
    len: usize,
    call: impl FnOnce() -> io::Result<usize>,
) -> io::Result<io::Result<usize>> {
    let _held = HandlerGuard::begin()?;
    let answer = call();
    // A call that returned a short count may have raised too.
    if answer.as_ref().map_or_else(errno::is_epipe, |done| *done < len) {
        MAY_BE_IN_FLIGHT.store(true, SeqCst);
    }
    Ok(answer)
}

/// Waits while another thread has the turn. Returns whether this thread has it: that happens in the
/// handler of a fault, which interrupts this thread's turn.
fn wait(here: Here) -> bool {
    loop {
        let turn = TURN.load(SeqCst);
        if turn == 0 {
            return false;
        }
        let (index, process) = (turn % (1 << INDEX_BITS) - 1, turn >> INDEX_BITS);
        if Slot::at(index).is_mine_as(process, here) {
            return true;
        }
        if process == here.process {
            std::thread::yield_now();
        } else {
            // A thread of the parent had the turn while this process was forked.
            let _ = TURN.compare_exchange(turn, 0, SeqCst, SeqCst);
        }
    }
}

/// Runs `f` in this thread's turn. In a handler that interrupts this turn, `f` runs at once.
fn in_turn<T>(here: Here, slot: &Slot, f: impl FnOnce() -> T) -> T {
    let turn = here.process << INDEX_BITS | (slot.index() + 1);
    while !wait(here) {
        if TURN.compare_exchange(0, turn, SeqCst, SeqCst).is_ok() {
            let answer = f();
            TURN.store(0, SeqCst);
            return answer;
        }
    }
    f()
}

/// What SIGPIPE does in this process. Our handler counts as the default.
pub(crate) fn disposition() -> io::Result<Disposition> {
    while_none_changes_it(find)
}

/// Ignores SIGPIPE where the disposition was the default. Returns what it found.
pub(crate) fn ignore() -> io::Result<Disposition> {
    while_none_changes_it(|| {
        let found = find()?;
        if found == Disposition::Default {
            set(SIG_IGN, 0)?;
        }
        Ok(found)
    })
}

/// Restores the default where SIGPIPE was ignored. Returns what it found.
pub(crate) fn restore_default() -> io::Result<Disposition> {
    while_none_changes_it(|| {
        let found = find()?;
        if found == Disposition::Ignored {
            match guard::MASKS_THE_THREAD {
                true => set(SIG_DFL, 0)?,
                // Guards of other threads rely on SIG_IGN, so the handler replaces it. The last
                // guard, which may be that of this call, takes the handler out.
                false => set(handler(), FLAGS)?,
            }
        }
        Ok(found)
    })
}

/// Runs `f` while no thread of this crate changes the disposition.
fn while_none_changes_it<T>(f: impl FnOnce() -> T) -> T {
    if guard::MASKS_THE_THREAD {
        return f(); // a mask changes no disposition
    }
    HandlerGuard::join().in_turn(f)
}

fn find() -> io::Result<Disposition> {
    Ok(match current()? {
        SIG_IGN => Disposition::Ignored,
        found if found == SIG_DFL || found == handler() => Disposition::Default,
        _ => Disposition::Handled,
    })
}

fn handler() -> sighandler_t {
    do_nothing as extern "C" fn(c_int) as usize as sighandler_t
}

/// The disposition that the system has now.
fn current() -> io::Result<sighandler_t> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action, sigaction only writes the old one, which is valid for the call.
    if unsafe { libc::sigaction(SIGPIPE, ptr::null(), action.as_mut_ptr()) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the successful call has written it.
    Ok(unsafe { action.assume_init() }.sa_sigaction)
}

fn set(disposition: sighandler_t, flags: c_int) -> io::Result<()> {
    // SAFETY: all zeros is a valid sigaction: the default action, no flags.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = disposition;
    action.sa_flags = flags as _;
    // No other handler may interrupt ours. Ours may run on a small alternate stack, and a handler
    // without SA_ONSTACK would run there too.
    // SAFETY: the set is valid for the call.
    unsafe { libc::sigfillset(&mut action.sa_mask) };
    // SAFETY: `action` is valid for the call. Its disposition is SIG_DFL, SIG_IGN, or a function
    // that exists as long as this code is loaded.
    if unsafe { libc::sigaction(SIGPIPE, &action, ptr::null_mut()) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
