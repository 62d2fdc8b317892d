//! The guard, and the process's disposition of the signal.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use epipe::io::PipeWriter;
use epipe::sigpipe::{
    Disposition, default_in_this_child, disposition, guard, ignore, restore_default, suppressed,
};

use crate::Scene;
use crate::support::{
    self, broken_pipe, dispose, foreign_write, hosts_handler, is_blocked, is_pending, mask,
    raise_at_process, raise_at_thread, spell, take_pending,
};

/// Whether the guard is a mask. Otherwise it is the process's handler.
pub const MASKS_THE_THREAD: bool = cfg!(not(any(raised_at_process, epipe_refused = "thread_mask")));

/// Whether a mask guard notices that a thread has ended and that a new one uses its place.
const KNOWS_THREADS: bool = cfg!(any(kernel = "android", kernel = "linux")) || !MASKS_THE_THREAD;
const NO_NUMBERS: &str = "a guard does not know thread numbers here";

/// A foreign write, which raises.
#[track_caller]
fn foreign_epipe() {
    assert_eq!(spell(&foreign_write(broken_pipe(), b"x")), "EPIPE");
}

/// Whether the end of a guard restores the default.
pub const GOES_BACK: bool = cfg!(not(kernel = "apple"));
pub const HANDLER_STAYS: &str = "a handler may stay here";

/// Asserts that the default action is in force. On Apple's systems a handler may stay in its place.
#[track_caller]
pub fn assert_default() {
    match cfg!(kernel = "apple") {
        true => assert_eq!(disposition().unwrap(), Disposition::Default),
        false => assert_eq!(support::disposition(), libc::SIG_DFL),
    }
}

/// Asserts that nothing is left behind, and that the default would kill again.
#[track_caller]
pub fn assert_restored() {
    assert!(!is_blocked(), "SIGPIPE is still blocked");
    assert!(!is_pending(), "a SIGPIPE is still pending");
    assert_default();
}

/// Removes the protection of a guard, whatever its technique: by `unblock`, or by the default
/// action of the process.
fn lose_the_guard(unblock: fn()) {
    unblock();
    if !MASKS_THE_THREAD {
        dispose(libc::SIG_DFL);
    }
}

/// Asserts that each of our writes to a pipe is protected, even after the guard lost its
/// protection.
fn our_writes_after(unblock: fn()) {
    for _ in 0..3 {
        lose_the_guard(unblock);
        assert_eq!(spell(&PipeWriter::from(broken_pipe()).write(b"x")), "EPIPE");
        lose_the_guard(unblock);
        assert_eq!(spell(&epipe::raw::write(broken_pipe(), b"x")), "EPIPE");
    }
}

fn reset_mask() {
    // SAFETY: sigemptyset initialises the set.
    unsafe {
        let mut nothing = std::mem::zeroed();
        libc::sigemptyset(&mut nothing);
        libc::sigprocmask(libc::SIG_SETMASK, &nothing, std::ptr::null_mut());
    }
}

/// Runs `play` in a forked child without exec, and ends as the child does.
fn in_a_fork(play: impl FnOnce()) {
    // SAFETY: this process's other threads, if any, wait. The child ends at once.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            let is_done = catch_unwind(AssertUnwindSafe(play)).is_ok();
            libc::_exit(i32::from(!is_done));
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
        if libc::WIFSIGNALED(status) {
            dispose(libc::SIG_DFL);
            mask(libc::SIG_UNBLOCK);
            libc::raise(libc::WTERMSIG(status));
        }
        assert_eq!(status, 0);
    }
}

/// Forks under a guard, with SIGPIPE ignored. The child runs `prepare`, then executes a shell that
/// sends itself the signal.
fn execute_in_a_fork(prepare: fn()) {
    dispose(libc::SIG_IGN);
    let _guard = guard().unwrap();
    in_a_fork(|| {
        prepare();
        let shell = [c"sh", c"-c", c"kill -PIPE $$"].map(|word| word.as_ptr());
        let words = [shell[0], shell[1], shell[2], std::ptr::null()];
        // SAFETY: each word ends with a zero, and the list with a null.
        unsafe { libc::execvp(words[0], words.as_ptr()) };
        panic!("the shell was not executed");
    });
}

/// Runs `f` on a new thread that replaces one that forgot its guard. glibc and musl give it the
/// same stack, and with it the same pthread_self. Elsewhere it may have another.
fn in_the_place_of_one_that_forgot(f: impl FnOnce() + Send + 'static) {
    // SAFETY: pthread_self has no precondition.
    let this_thread = || unsafe { libc::pthread_self() as usize };
    let forgets = move || {
        std::mem::forget(guard().unwrap());
        this_thread()
    };
    let old = thread::spawn(forgets).join().unwrap();
    let new = thread::spawn(move || {
        f();
        this_thread()
    });
    let new = new.join().unwrap();
    assert!(new == old || cfg!(not(target_os = "linux")));
}

/// Starts more threads than there are slots, and each forgets its guard. Then two guards of this
/// thread end in the order in which they began.
fn forgotten_guards() {
    // All threads live at the same time, so each has its own slot.
    let all_are_here = Arc::new(Barrier::new(1100));
    let threads: Vec<_> = (0..1100)
        .map(|_| {
            let all_are_here = all_are_here.clone();
            let thread = thread::Builder::new().stack_size(64 << 10).spawn(move || {
                std::mem::forget(guard().unwrap());
                all_are_here.wait();
            });
            thread.unwrap()
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let first = guard().unwrap();
    let second = guard().unwrap();
    drop(first);
    assert!(is_blocked() || !MASKS_THE_THREAD);
    foreign_epipe();
    drop(second);
    assert!(!is_blocked());
}

/// Starts more threads than there are slots. All live at the same time, each under two guards.
fn many_guarded_threads() {
    let threads: Vec<_> = (0..1100)
        .map(|_| {
            let (release, released) = mpsc::channel::<()>();
            let (here, is_here) = mpsc::channel();
            let thread = thread::Builder::new().stack_size(64 << 10).spawn(move || {
                let outer = guard().unwrap();
                let inner = guard().unwrap();
                here.send(()).unwrap();
                let _ = released.recv();
                suppressed(foreign_epipe).unwrap();
                drop(inner);
                foreign_epipe();
                drop(outer);
                is_blocked()
            });
            is_here.recv().unwrap();
            (thread.unwrap(), release)
        })
        .collect();
    for (thread, release) in threads {
        drop(release);
        assert!(!thread.join().unwrap());
    }
    suppressed(foreign_epipe).unwrap();
    assert_restored();
}

/// A function that a binding exports to C: nothing may unwind out of it. Its thread is cancelled,
/// then drops a guard that has a signal to take back, before it reaches a cancellation point.
#[cfg(all(kernel = "linux", target_env = "gnu"))]
extern "C" fn cancelled(_: *mut libc::c_void) -> *mut libc::c_void {
    let _local = std::hint::black_box(vec![0_u8]);
    // SAFETY: pthread_self is this thread.
    assert_eq!(unsafe { libc::pthread_cancel(libc::pthread_self()) }, 0);
    suppressed(support::raise_at_thread).unwrap();
    std::ptr::null_mut()
}

pub fn scenes() -> Vec<Scene> {
    let mut scenes = vec![
        Scene::survives("suppressed: foreign code writes", || {
            suppressed(foreign_epipe).unwrap();
            assert_restored();
        }),
        Scene::dies("suppressed: foreign code writes: control", foreign_epipe),
        Scene::dies("after the guard the default is back", || {
            drop(guard().unwrap());
            foreign_epipe();
        })
        .only_where(GOES_BACK, HANDLER_STAYS),
        Scene::survives("nested guards", || {
            let outer = guard().unwrap();
            let inner = guard().unwrap();
            foreign_epipe();
            drop(inner);
            assert!(!is_pending(), "the inner guard left its signal");
            foreign_epipe();
            suppressed(foreign_epipe).unwrap();
            foreign_epipe();
            drop(outer);
            assert_restored();
        }),
        Scene::dies("after nested guards the default is back", || {
            let outer = guard().unwrap();
            drop(guard().unwrap());
            drop(outer);
            foreign_epipe();
        })
        .only_where(GOES_BACK, HANDLER_STAYS),
        Scene::survives("interleaved guards", || {
            let first = guard().unwrap();
            let second = guard().unwrap();
            foreign_epipe();
            drop(first);
            foreign_epipe();
            let third = guard().unwrap();
            foreign_epipe();
            drop(second);
            foreign_epipe();
            drop(third);
            assert_restored();
        }),
        Scene::dies("interleaved guards: control, two that restore their own masks", || {
            // The pattern of libpq and curl: each restores the mask that it found.
            let first_found = is_blocked();
            mask(libc::SIG_BLOCK);
            let second_found = is_blocked();
            mask(libc::SIG_BLOCK);
            assert!(!first_found && second_found);
            mask(libc::SIG_UNBLOCK); // the first one ends
            foreign_epipe();
        }),
        Scene::survives("a panic unwinds through a guard", || {
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                let _guard = guard().unwrap();
                foreign_epipe();
                panic!("as planned");
            }));
            assert!(panicked.is_err());
            assert_restored();
        }),
        Scene::dies("a panic unwinds through a guard: control", || {
            let _ = catch_unwind(|| foreign_epipe());
        }),
        Scene::survives("a closure that swallows the EPIPE", || {
            suppressed(|| drop(foreign_write(broken_pipe(), b"x"))).unwrap();
            assert_restored();
        }),
        Scene::survives("a closure that wraps the EPIPE", || {
            let answer = suppressed(|| {
                foreign_write(broken_pipe(), b"x")
                    .map_err(|error| io::Error::other(error.to_string()))
            });
            assert_eq!(answer.unwrap().unwrap_err().raw_os_error(), None);
            assert_restored();
        }),
        Scene::dies("a closure that swallows the EPIPE: control", || {
            drop(foreign_write(broken_pipe(), b"x"));
        }),
        Scene::dies("a closure that wraps the EPIPE: control", || {
            let _ = foreign_write(broken_pipe(), b"x").map_err(io::Error::other);
        }),
        Scene::survives("many EPIPEs under one guard", || {
            suppressed(|| (0..10).for_each(|_| foreign_epipe())).unwrap();
            assert_restored();
        }),
        Scene::survives("a guard under SIG_IGN leaves no trap", || {
            dispose(libc::SIG_IGN);
            mask(libc::SIG_BLOCK);
            suppressed(foreign_epipe).unwrap();
            assert_eq!(support::disposition(), libc::SIG_IGN);
            if MASKS_THE_THREAD {
                // Linux queues a signal that is blocked and ignored. It would strike here.
                dispose(libc::SIG_DFL);
                mask(libc::SIG_UNBLOCK);
            }
        }),
        Scene::dies("a guard under SIG_IGN leaves no trap: control", || {
            dispose(libc::SIG_IGN);
            mask(libc::SIG_BLOCK);
            foreign_epipe();
            dispose(libc::SIG_DFL);
            mask(libc::SIG_UNBLOCK);
        })
        .control_only_if(cfg!(kernel = "linux")), // other systems queue no ignored signal
        Scene::survives("SIG_IGN set inside the guard stays", || {
            suppressed(|| dispose(libc::SIG_IGN)).unwrap();
            assert_eq!(support::disposition(), libc::SIG_IGN);
            assert!(!is_blocked());
        }),
        Scene::survives("errno is left as the guarded code left it", || {
            let left = suppressed(|| {
                foreign_epipe();
                // SAFETY: -1 is not a descriptor, so close fails.
                unsafe { libc::close(-1) };
            });
            let errno = io::Error::last_os_error().raw_os_error();
            left.unwrap();
            assert_eq!(errno, Some(libc::EBADF));
        }),
        Scene::survives("foreign code unblocks inside: the next guard protects", || {
            let outer = guard().unwrap();
            mask(libc::SIG_UNBLOCK);
            suppressed(foreign_epipe).unwrap();
            drop(outer);
            assert_restored();
        }),
        Scene::survives("foreign code unblocks inside: our own pipe writes", || {
            let _guard = guard().unwrap();
            our_writes_after(|| mask(libc::SIG_UNBLOCK));
        })
        .alone(), // the signal of one write must not meet the default of the next
        Scene::dies("foreign code unblocks inside: control", || {
            let _guard = guard().unwrap();
            lose_the_guard(|| mask(libc::SIG_UNBLOCK));
            foreign_epipe();
        }),
        Scene::survives("a forked child resets its mask: our own pipe writes", || {
            let _guard = guard().unwrap();
            in_a_fork(|| our_writes_after(reset_mask));
        }),
        Scene::dies("a forked child resets its mask: control", || {
            let _guard = guard().unwrap();
            in_a_fork(|| {
                lose_the_guard(reset_mask);
                foreign_epipe();
            });
        }),
        Scene::survives("a guard outlives the closure in which it began", || {
            let guard = suppressed(|| guard().unwrap()).unwrap();
            foreign_epipe();
            drop(guard);
            assert_restored();
        }),
        Scene::survives("a guard is dropped in a closure that began under it", || {
            let outer = guard().unwrap();
            suppressed(|| {
                drop(outer);
                foreign_epipe();
            })
            .unwrap();
            assert_restored();
        }),
        Scene::survives("a new thread in the place of one that forgot its guard", || {
            in_the_place_of_one_that_forgot(|| {
                drop(guard().unwrap());
                assert!(!is_blocked() || !MASKS_THE_THREAD);
                std::mem::forget(guard().unwrap());
            });
            let host = thread::spawn(|| {
                mask(libc::SIG_BLOCK);
                suppressed(|| drop(guard().unwrap())).unwrap();
                assert!(is_blocked());
            });
            host.join().unwrap();
        })
        .only_where(KNOWS_THREADS, NO_NUMBERS),
        Scene::survives("a fork of a new thread in the place of one that forgot its guard", || {
            in_the_place_of_one_that_forgot(|| {
                in_a_fork(|| {
                    drop(guard().unwrap());
                    assert!(!is_blocked());
                });
            });
        })
        .only_where(KNOWS_THREADS, NO_NUMBERS),
        Scene::survives("the places of threads that have ended are taken over", forgotten_guards)
            .within(Duration::from_secs(120))
            .only_where(KNOWS_THREADS, NO_NUMBERS),
        Scene::survives("the places of threads that have ended are taken over in a fork", || {
            drop(guard().unwrap());
            in_a_fork(forgotten_guards);
        })
        .within(Duration::from_secs(120))
        .only_where(KNOWS_THREADS, NO_NUMBERS),
        Scene::survives(
            "a thread that writes to closed streams, while the first write asks",
            || {
                let pipe = broken_pipe();
                for _ in 0..20 {
                    in_a_fork(|| {
                        let pipe = pipe.as_fd().try_clone_to_owned().unwrap(); // above the streams
                        // SAFETY: nothing here uses the streams.
                        (0..3).for_each(|stream| unsafe {
                            libc::close(stream);
                        });
                        thread::spawn(|| {
                            loop {
                                // SAFETY: the byte is valid for the calls.
                                (1..3).for_each(|stream| unsafe {
                                    libc::write(stream, c"x".as_ptr().cast(), 1);
                                });
                            }
                        });
                        thread::yield_now();
                        assert_eq!(spell(&epipe::raw::write(pipe, b"x")), "EPIPE");
                    });
                }
            },
        ),
        Scene::survives("more threads under a guard than there are slots", many_guarded_threads)
            .within(Duration::from_secs(120)),
        #[cfg(all(kernel = "linux", target_env = "gnu"))]
        Scene::survives("a guard's end is no cancellation point", || {
            let none: *mut libc::c_void = std::ptr::null_mut();
            let (mut thread, mut answer) = (0, none);
            // SAFETY: the pointers are valid for the calls, or null where that is allowed.
            unsafe {
                let made = libc::pthread_create(&mut thread, none.cast(), cancelled, none);
                assert_eq!(made, 0);
                assert_eq!(libc::pthread_join(thread, &mut answer), 0);
            }
            assert!(answer.is_null(), "it ended before its return");
        }),
        Scene::survives("our own pipe write under a guard", || {
            let guard = guard().unwrap();
            assert_eq!(spell(&PipeWriter::from(broken_pipe()).write(b"x")), "EPIPE");
            assert!(!is_pending(), "our own signal is still pending");
            drop(guard);
            assert_restored();
        }),
        Scene::survives("pselect with an empty mask after our own EPIPE under a guard", || {
            let _guard = guard().unwrap();
            assert_eq!(spell(&PipeWriter::from(broken_pipe()).write(b"x")), "EPIPE");
            pselect_with_empty_mask();
        }),
        Scene::survives("a forgotten guard leaves the thread protected", || {
            std::mem::forget(guard().unwrap());
            foreign_epipe();
        }),
        Scene::survives("guards of other threads are their own", || {
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| (0..100).for_each(|_| suppressed(foreign_epipe).unwrap()));
                }
            });
            assert_restored();
        }),
        Scene::survives("ignore: over the default", || {
            assert_eq!(disposition().unwrap(), Disposition::Default);
            assert_eq!(ignore().unwrap(), Disposition::Default);
            assert_eq!(disposition().unwrap(), Disposition::Ignored);
            assert_eq!(ignore().unwrap(), Disposition::Ignored);
            assert_eq!(support::disposition(), libc::SIG_IGN);
            foreign_epipe();
        }),
        Scene::dies("ignore: control", || {
            assert_eq!(disposition().unwrap(), Disposition::Default);
            foreign_epipe();
        }),
        Scene::survives("ignore: a host's handler stays", || {
            dispose(hosts_handler());
            assert_eq!(disposition().unwrap(), Disposition::Handled);
            assert_eq!(ignore().unwrap(), Disposition::Handled);
            assert_eq!(support::disposition(), hosts_handler());
        }),
        Scene::survives("restore_default: over the ignored signal", || {
            dispose(libc::SIG_IGN);
            assert_eq!(restore_default().unwrap(), Disposition::Ignored);
            assert_eq!(support::disposition(), libc::SIG_DFL);
            assert_eq!(restore_default().unwrap(), Disposition::Default);
            assert_eq!(spell(&PipeWriter::from(broken_pipe()).write(b"x")), "EPIPE");
            assert_restored();
        }),
        Scene::dies("restore_default: what nothing protects kills", || {
            dispose(libc::SIG_IGN);
            restore_default().unwrap();
            foreign_epipe();
        }),
        Scene::survives("restore_default: what nothing protects kills: control", || {
            dispose(libc::SIG_IGN);
            foreign_epipe();
        }),
        Scene::survives("restore_default: a host's handler stays", || {
            dispose(hosts_handler());
            assert_eq!(restore_default().unwrap(), Disposition::Handled);
            assert_eq!(support::disposition(), hosts_handler());
        }),
        Scene::survives("restore_default: a guard that is alive protects", || {
            dispose(libc::SIG_IGN);
            let guard = guard().unwrap();
            restore_default().unwrap();
            foreign_epipe();
            drop(guard);
            assert_restored();
        }),
        Scene::dies("restore_default: a guard that is alive protects: control", || {
            dispose(libc::SIG_IGN);
            drop(guard().unwrap());
            restore_default().unwrap();
            foreign_epipe();
        })
        .only_where(GOES_BACK, HANDLER_STAYS),
        Scene::dies("default_in_this_child: a program that a fork executes", || {
            execute_in_a_fork(|| default_in_this_child().unwrap());
        }),
        Scene::survives("default_in_this_child: a program that a fork executes: control", || {
            execute_in_a_fork(|| ());
        }),
    ];
    if MASKS_THE_THREAD {
        scenes.extend(masks());
    }
    scenes
}

fn pselect_with_empty_mask() {
    let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let none = std::ptr::null_mut();
    // SAFETY: there are no descriptors. The timeout and the mask are valid.
    unsafe {
        let mut empty = std::mem::zeroed();
        libc::sigemptyset(&mut empty);
        libc::pselect(0, none, none, none, &zero, &empty);
    }
}

/// The same for our own call, which knows that it has raised: one signal is left, not two.
fn pending_before_our_own(raise: fn()) {
    mask(libc::SIG_BLOCK);
    raise();
    #[cfg(has_sendfile)]
    {
        let (socket, peer) =
            epipe::socket2::Socket::pair(socket2::Domain::UNIX, socket2::Type::STREAM, None)
                .unwrap();
        drop(peer);
        // No flag covers sendfile: on Linux it raises.
        let sent = socket.sendfile(&support::file(10), 0, None);
        assert_eq!(spell(&sent), "EPIPE");
    }
    assert_eq!(spell(&PipeWriter::from(broken_pipe()).write(b"x")), "EPIPE");
    assert!(is_blocked() && take_pending(), "the host's signal is gone");
    assert!(!take_pending(), "ours is left too");
    mask(libc::SIG_UNBLOCK);
}

/// Scenes of the mask guard alone: the signals that it preserves, and its limits.
fn masks() -> Vec<Scene> {
    /// A host has blocked SIGPIPE and has one pending: afterwards exactly that one is pending.
    fn pending_before(raise: fn()) {
        mask(libc::SIG_BLOCK);
        raise();
        suppressed(foreign_epipe).unwrap();
        suppressed(|| {
            let _inner = guard().unwrap();
            PipeWriter::from(broken_pipe()).write(b"x").unwrap_err();
        })
        .unwrap();
        assert!(is_blocked() && is_pending());
        assert!(take_pending());
    }

    vec![
        Scene::survives("pending before, on the thread: stays pending", || {
            pending_before(raise_at_thread);
            assert!(!take_pending(), "our signal is pending besides the host's");
        }),
        Scene::survives("pending before, on the process: stays pending", || {
            pending_before(raise_at_process);
        })
        .alone(),
        Scene::survives("pending before, on the thread: our own is not added", || {
            pending_before_our_own(raise_at_thread);
        }),
        Scene::survives("pending before, on the process: our own is not added", || {
            pending_before_our_own(raise_at_process);
        })
        .alone(),
        Scene::dies("pending before, on the process: our own is not added: control", || {
            mask(libc::SIG_BLOCK);
            raise_at_process();
            foreign_epipe();
            assert!(take_pending());
            mask(libc::SIG_UNBLOCK);
        }),
        Scene::dies("pending before: it is the host's, and strikes when the host unblocks", || {
            mask(libc::SIG_BLOCK);
            raise_at_thread();
            suppressed(|| ()).unwrap();
            mask(libc::SIG_UNBLOCK);
        }),
        Scene::survives("blocked before: a foreign EPIPE does not strike later", || {
            mask(libc::SIG_BLOCK);
            suppressed(foreign_epipe).unwrap();
            assert!(is_blocked());
            mask(libc::SIG_UNBLOCK);
        }),
        Scene::dies("blocked before: control", || {
            mask(libc::SIG_BLOCK);
            foreign_epipe();
            mask(libc::SIG_UNBLOCK);
        }),
        Scene::survives("at most one is taken back: a second is the host's", || {
            mask(libc::SIG_BLOCK);
            let guard = guard().unwrap();
            foreign_epipe();
            raise_at_process();
            drop(guard);
            assert!(take_pending(), "the host's own signal is gone");
            assert!(!take_pending());
        })
        .alone(),
        Scene::dies("foreign code unblocks inside: without a new guard it kills", || {
            let _guard = guard().unwrap();
            mask(libc::SIG_UNBLOCK);
            foreign_epipe();
        }),
        Scene::dies("pselect with an empty mask: a foreign EPIPE under a guard kills", || {
            let _guard = guard().unwrap();
            foreign_epipe();
            pselect_with_empty_mask();
        }),
        Scene::survives("a guard blocks the signal on its own thread alone", || {
            let (ask, asked) = mpsc::channel::<()>();
            let other = thread::spawn(move || {
                asked.recv().unwrap();
                is_blocked()
            });
            let _guard = guard().unwrap();
            assert!(is_blocked());
            ask.send(()).unwrap();
            assert!(!other.join().unwrap());
        }),
    ]
}

/// Scenes in which tgkill is forbidden.
#[cfg(kernel = "linux")]
pub fn of_linux() -> Vec<Scene> {
    use crate::seccomp::{NO_FILTERS, Which, can_be_filtered, filter, refusing};

    /// From here on the process cannot look for a thread, and no thread can raise a signal at
    /// itself.
    fn forbid_tgkill() {
        filter(libc::SYS_tgkill, Which::All, refusing(libc::EPERM));
    }

    let scenes = [
        Scene::survives(
            "more threads under a guard than there are slots, tgkill forbidden",
            || {
                forbid_tgkill();
                many_guarded_threads();
            },
        )
        .within(Duration::from_secs(120)),
        Scene::survives("pending before, on the thread: tgkill is forbidden", || {
            pending_before_our_own(|| {
                raise_at_thread();
                forbid_tgkill();
            });
        })
        .only_where(MASKS_THE_THREAD, "the guard is not a mask"),
    ];
    let can = can_be_filtered();
    scenes.into_iter().map(|scene| scene.only_where(can, NO_FILTERS)).collect()
}
