//! `process_handler`, forced: for systems that direct SIGPIPE at the process.
//!
//! Linux directs it at the thread, so these scenes raise it at the process themselves, while
//! another thread is busy and takes it.

use std::hint::spin_loop;
use std::os::unix::thread::JoinHandleExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use epipe::sigpipe::{Disposition, disposition, guard, ignore};

use crate::Scene;
use crate::support::{
    self, broken_pipe, dispose, foreign_write, hosts_handler, is_pending, mask, raise_at_process,
};

const ROUNDS: usize = 200;

/// Runs `round` while another thread is busy, which alone does not block SIGPIPE: what is
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

/// Ignores SIGPIPE again and again beside a thread that enters and leaves guards, by `ignore_it`,
/// which is given that thread. What it has set must outlast the guards that began before.
fn ignore_stays(ignore_it: fn(&JoinHandle<()>)) {
    static DONE: AtomicBool = AtomicBool::new(false);
    static GUARDS: AtomicUsize = AtomicUsize::new(0);
    let other = thread::spawn(|| {
        while !DONE.load(Ordering::Acquire) {
            drop(guard().unwrap());
            GUARDS.fetch_add(1, Ordering::AcqRel);
        }
    });
    // Long enough to see nearly always that it is lost.
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

pub fn scenes() -> Vec<Scene> {
    if cfg!(not(epipe_refused = "thread_mask")) {
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
                    assert_eq!(support::disposition(), libc::SIG_DFL);
                },
            )
        })
        .collect();
    scenes.extend([
        Scene::dies("process_handler: control, removed straight to SIG_DFL", || {
            with_a_busy_thread(|| {
                dispose(hosts_handler());
                raise_at_process();
                dispose(libc::SIG_DFL);
            });
        }),
        Scene::survives("process_handler: a signal that nobody took is discarded", || {
            mask(libc::SIG_BLOCK);
            let guard = guard().unwrap();
            raise_at_process();
            assert!(is_pending());
            drop(guard);
            assert!(!is_pending());
            mask(libc::SIG_UNBLOCK);
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
            assert_eq!(support::disposition(), libc::SIG_DFL);
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
                // SAFETY: the handler is a function, and makes only calls that a handler may make.
                unsafe { libc::signal(libc::SIGALRM, ignore_it as *const () as usize) };
                ignore_stays(|other| {
                    // SAFETY: the thread is not joined yet. (musl's type is another one than
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
                // SAFETY: the child makes only calls that a signal handler may make.
                let child = unsafe { libc::fork() };
                if child == 0 {
                    drop(guard());
                    let is_ignored = support::disposition() == libc::SIG_IGN;
                    // SAFETY: nothing of this process is needed any more.
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
            assert_eq!(support::disposition(), libc::SIG_DFL);
        }),
        Scene::survives("process_handler: the default is replaced again under a guard", || {
            let outer = guard().unwrap();
            dispose(libc::SIG_DFL);
            let inner = guard().unwrap();
            foreign_write(broken_pipe(), b"x").unwrap_err();
            drop((outer, inner));
            assert_eq!(support::disposition(), libc::SIG_DFL);
        }),
    ]);
    scenes
}
