//! `process_handler`, on systems that direct SIGPIPE at the process, and where a build forces it.
//!
//! Linux directs SIGPIPE at the thread. So these scenes raise it at the process, while another
//! thread is busy and takes it.

use std::hint::spin_loop;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::thread::JoinHandleExt;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use epipe::raw;
use epipe::sigpipe::{Disposition, disposition, guard, ignore};

use crate::Scene;
use crate::guards::{GOES_BACK, HANDLER_STAYS, MASKS_THE_THREAD, assert_default};
use crate::support::{
    self, assert_epipe, broken_pipe, dispose, foreign_write, hosts_handler, is_pending, mask,
    raise_at_process, set_handler,
};

const ROUNDS: usize = 200;

/// Runs `round` while another thread is busy. Only that thread does not block SIGPIPE, so a signal
/// raised at the process goes to it.
fn with_a_busy_thread(round: impl Fn()) {
    static DONE: AtomicBool = AtomicBool::new(false);
    static BUSY: AtomicBool = AtomicBool::new(false);
    let busy = thread::spawn(|| {
        mask(libc::SIG_UNBLOCK);
        BUSY.store(true, Ordering::Release);
        while !DONE.load(Ordering::Acquire) {
            spin_loop();
        }
    });
    while !BUSY.load(Ordering::Acquire) {
        thread::yield_now();
    }
    mask(libc::SIG_BLOCK);
    for _ in 0..ROUNDS {
        round();
    }
    DONE.store(true, Ordering::Release);
    busy.join().unwrap();
}

/// Ignores SIGPIPE repeatedly by `ignore_it`, beside a thread that enters and leaves guards.
/// `ignore_it` gets that thread. The disposition that it sets must outlast the guards that began
/// before.
fn ignore_stays(ignore_it: fn(&JoinHandle<()>)) {
    static DONE: AtomicBool = AtomicBool::new(false);
    static GUARDS: AtomicUsize = AtomicUsize::new(0);
    let other = thread::spawn(|| {
        while !DONE.load(Ordering::Acquire) {
            drop(guard().unwrap());
            GUARDS.fetch_add(1, Ordering::AcqRel);
        }
    });
    // Long enough that a lost SIG_IGN is nearly always seen.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        dispose(libc::SIG_DFL);
        ignore_it(&other);
        let seen = GUARDS.load(Ordering::Acquire);
        while GUARDS.load(Ordering::Acquire) < seen + 3 {
            thread::sleep(Duration::from_micros(1)); // a yield may last for much longer
        }
        assert_eq!(support::disposition(), libc::SIG_IGN);
    }
    DONE.store(true, Ordering::Release);
    other.join().unwrap();
}

/// Replaces standard input by a descriptor.
fn put_in_the_place_of_stdin(fd: OwnedFd) {
    // SAFETY: both are descriptors. dup2 closes the old one.
    assert_eq!(unsafe { libc::dup2(fd.as_raw_fd(), 0) }, 0);
}

/// A host with a small alternate stack, above memory without access. SIGPIPE and SIGALRM come
/// together, and the handler of SIGALRM needs the thread's own stack.
fn on_a_small_stack() {
    extern "C" fn needs_a_stack(_: libc::c_int) {
        std::hint::black_box([0_u8; 64 << 10]);
    }

    const FORBIDDEN: usize = 1 << 20;
    const SMALL: usize = 32 << 10;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANON;
    // SAFETY: the mapping is new, and stays until the process ends. The sets and the stack are
    // valid for the calls.
    unsafe {
        let low = libc::mmap(null_mut(), FORBIDDEN + SMALL, libc::PROT_NONE, flags, -1, 0);
        assert_ne!(low, libc::MAP_FAILED);
        let mut stack: libc::stack_t = std::mem::zeroed();
        stack.ss_sp = low.byte_add(FORBIDDEN).cast();
        stack.ss_size = SMALL;
        assert_eq!(
            libc::mprotect(stack.ss_sp.cast(), SMALL, libc::PROT_READ | libc::PROT_WRITE),
            0
        );
        assert_eq!(libc::sigaltstack(&stack, null_mut()), 0);
        set_handler(libc::SIGALRM, needs_a_stack as extern "C" fn(libc::c_int) as usize, 0);
        let mut both: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut both);
        for signal in [libc::SIGPIPE, libc::SIGALRM] {
            libc::sigaddset(&mut both, signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &both, null_mut());
        for signal in [libc::SIGPIPE, libc::SIGALRM] {
            libc::pthread_kill(libc::pthread_self(), signal);
        }
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &both, null_mut());
    }
}

/// The same beside a handler of SIGPIPE that other signals may interrupt. It must die.
fn dies_on_a_small_stack() {
    // SAFETY: the child ends at once.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            set_handler(libc::SIGPIPE, hosts_handler(), libc::SA_ONSTACK);
            on_a_small_stack();
            libc::_exit(0);
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
        assert!(libc::WIFSIGNALED(status), "{status}");
    }
}

pub fn scenes() -> Vec<Scene> {
    if MASKS_THE_THREAD {
        return Vec::new();
    }
    let mut scenes: Vec<Scene> = (1..=100)
        .map(|process| {
            Scene::survives(
                format!("process_handler: signals in flight, process {process}"),
                || {
                    with_a_busy_thread(|| {
                        let guard = guard().unwrap();
                        raise_at_process();
                        drop(guard);
                    });
                    assert_default();
                },
            )
        })
        .collect();
    scenes.extend([
        Scene::dies("process_handler: control, replaced by SIG_DFL at once", || {
            with_a_busy_thread(|| {
                dispose(hosts_handler());
                raise_at_process();
                dispose(libc::SIG_DFL);
            });
        }),
        Scene::survives("process_handler: a signal that was not taken is discarded", || {
            mask(libc::SIG_BLOCK);
            let guard = guard().unwrap();
            raise_at_process();
            assert!(is_pending());
            drop(guard);
            assert!(!is_pending());
            mask(libc::SIG_UNBLOCK);
        })
        .only_where(GOES_BACK, HANDLER_STAYS)
        .alone(),
        Scene::survives("process_handler: healthy writes never ignore the signal", || {
            static DONE: AtomicBool = AtomicBool::new(false);
            let (_reader, writer) = std::io::pipe().unwrap();
            // Every platform row that has a handler writes to standard input under a guard.
            put_in_the_place_of_stdin(writer.into());
            // The first write may probe the write flag, and raises for that.
            raw::write(std::io::stdin(), b"x").unwrap();
            let busy = thread::spawn(|| {
                for _ in 0..10_000 {
                    raw::write(std::io::stdin(), b"x").unwrap();
                }
                DONE.store(true, Ordering::Release);
            });
            // A child that is forked now would inherit SIG_IGN, and keep it through exec.
            while !DONE.load(Ordering::Acquire) {
                assert_ne!(support::disposition(), libc::SIG_IGN);
            }
            busy.join().unwrap();
            assert_default();
        }),
        Scene::survives("process_handler: it restarts calls, on the alternate stack", || {
            let _guard = guard().unwrap();
            let wanted = libc::SA_RESTART | libc::SA_ONSTACK;
            assert_eq!(support::action().sa_flags & wanted, wanted);
        }),
        Scene::survives("process_handler: disposition sees through it", || {
            let guard = guard().unwrap();
            assert_ne!(support::disposition(), libc::SIG_DFL);
            assert_eq!(disposition().unwrap(), Disposition::Default);
            drop(guard);
            assert_default();
            // A call under the guard may have raised.
            assert_eq!(support::disposition() == libc::SIG_DFL, GOES_BACK);
        }),
        Scene::survives("process_handler: ignore under a guard stays", || {
            let guard = guard().unwrap();
            assert_eq!(ignore().unwrap(), Disposition::Default);
            drop(guard);
            assert_eq!(support::disposition(), libc::SIG_IGN);
        }),
        Scene::survives("process_handler: ignore beside guards of another thread stays", || {
            ignore_stays(|_| {
                ignore().unwrap();
            });
        }),
        Scene::survives(
            "process_handler: ignore in a handler that interrupts a guard stays",
            || {
                extern "C" fn ignore_it(_: libc::c_int) {
                    let _ = ignore();
                }
                // SAFETY: the handler is a function, and makes only calls that are allowed in a
                // handler.
                unsafe { libc::signal(libc::SIGALRM, ignore_it as *const () as usize) };
                ignore_stays(|other| {
                    // SAFETY: the thread is not joined yet. (musl's pthread_t is another type than
                    // std's.)
                    let sent =
                        unsafe { libc::pthread_kill(other.as_pthread_t() as _, libc::SIGALRM) };
                    assert_eq!(sent, 0);
                });
            },
        ),
        Scene::survives("process_handler: a forked child keeps the host's SIG_IGN", || {
            dispose(libc::SIG_IGN);
            static DONE: AtomicBool = AtomicBool::new(false);
            let busy = thread::spawn(|| {
                while !DONE.load(Ordering::Acquire) {
                    drop(guard().unwrap());
                }
            });
            for _ in 0..ROUNDS {
                // SAFETY: the child makes only calls that are allowed in a signal handler.
                let child = unsafe { libc::fork() };
                if child == 0 {
                    drop(guard());
                    let is_ignored = support::disposition() == libc::SIG_IGN;
                    // SAFETY: the child needs nothing more of this process.
                    unsafe { libc::_exit(i32::from(!is_ignored)) }
                }
                let mut status = 0;
                // SAFETY: the status is valid for the call.
                assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
                assert_eq!(status, 0);
            }
            DONE.store(true, Ordering::Release);
            busy.join().unwrap();
        }),
        Scene::survives("process_handler: a host's handler is not touched", || {
            dispose(hosts_handler());
            drop(guard().unwrap());
            assert_eq!(support::disposition(), hosts_handler());

            dispose(libc::SIG_DFL);
            let guard = guard().unwrap();
            dispose(hosts_handler());
            drop(guard);
            assert_eq!(support::disposition(), hosts_handler());
        }),
        Scene::survives("process_handler: the last guard of the process removes it", || {
            let first = guard().unwrap();
            let second = guard().unwrap();
            drop(first);
            assert_ne!(support::disposition(), libc::SIG_DFL);
            drop(second);
            assert_default();
        }),
        Scene::survives("process_handler: it stays for a guard of another thread", || {
            let guard = guard().unwrap();
            thread::scope(|scope| {
                scope.spawn(|| drop(epipe::sigpipe::guard().unwrap()));
            });
            foreign_write(broken_pipe(), b"x").unwrap_err();
            drop(guard);
            assert_default();
        }),
        Scene::survives("process_handler: it goes unless a SIGPIPE may be in flight", || {
            // The guard protects descriptor 0, whose flags are never changed.
            let write = || raw::write(std::io::stdin(), b"x");
            let null = std::fs::File::options().write(true).open("/dev/null").unwrap();
            put_in_the_place_of_stdin(null.into());
            write().unwrap();
            assert_eq!(support::disposition(), libc::SIG_DFL);
            put_in_the_place_of_stdin(broken_pipe());
            assert_epipe(write());
            assert_default();
            assert_eq!(support::disposition() == libc::SIG_DFL, GOES_BACK);
        }),
        Scene::survives("process_handler: no other handler runs on its alternate stack", || {
            dies_on_a_small_stack();
            let _guard = guard().unwrap();
            on_a_small_stack();
        }),
        Scene::survives("process_handler: the default is replaced again under a guard", || {
            let outer = guard().unwrap();
            dispose(libc::SIG_DFL);
            let inner = guard().unwrap();
            foreign_write(broken_pipe(), b"x").unwrap_err();
            drop((outer, inner));
            assert_default();
        }),
    ]);
    scenes
}
