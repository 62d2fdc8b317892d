//! Calls of this crate from a signal handler and in a forked child, at every instruction of another
//! call of this crate. The same in storms of alarms, while threads write.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use epipe::raw;
use epipe::sigpipe::{Disposition, disposition, guard, ignore, suppressed};

use crate::Scene;
use crate::guards::MASKS_THE_THREAD;
use crate::handlers::{
    FORKS, IS_LEFT_IGNORED, LEFT_IGNORED, alarms, exit_well, expect, fork, fork_in_handler,
};
use crate::rows::socket_raises;
use crate::single_step::{AtStep, Then, single_step, step};
use crate::suites::is_suite;
use crate::support::{
    self, broken_pipe, descriptors, dispose, foreign_write, is_blocked, is_pending,
    is_signal_blocked, mask, raise_at_process, raise_at_thread, set_handler, take_pending,
    unix_pair,
};

// ----------------------------------------------------------------------------- the calls ----

/// Opened before the first step.
static BROKEN: OnceLock<OwnedFd> = OnceLock::new();
static HEALTHY: OnceLock<(std::io::PipeReader, std::io::PipeWriter)> = OnceLock::new();

fn broken() -> BorrowedFd<'static> {
    BROKEN.get().expect("opened").as_fd()
}

fn expect_epipe<T>(answer: &std::io::Result<T>, what: &str) {
    let is_epipe = |error: &std::io::Error| error.raw_os_error() == Some(libc::EPIPE);
    expect(answer.as_ref().is_err_and(is_epipe), what);
}

fn write_to_broken() {
    expect_epipe(&raw::write(broken(), b"x"), "raw::write does not report EPIPE");
}

fn write_to_healthy() {
    let written = raw::write(&HEALTHY.get().expect("opened").1, b"x");
    expect(matches!(written, Ok(1)), "a write to a healthy pipe fails");
}

fn bare_guard() {
    let guard = guard();
    expect(guard.is_ok(), "no guard");
}

fn guarded_write() {
    let guard = guard();
    expect(guard.is_ok(), "no guard");
    write_to_broken();
}

fn suppressed_write() {
    let answer = suppressed(|| foreign_write(broken(), b"x"));
    expect(answer.is_ok(), "no guard");
    expect_epipe(&answer.unwrap(), "a foreign write does not report EPIPE");
}

fn ask_disposition() {
    expect(matches!(disposition(), Ok(Disposition::Default)), "the default is not found");
}

fn ignore_it() {
    expect(matches!(ignore(), Ok(Disposition::Default)), "the default is not found");
}

/// The calls that a handler or a child makes.
fn use_all() {
    write_to_broken();
    bare_guard();
    suppressed_write();
}

// ------------------------------------------------------------------------------ the host ----

/// Whether the host has SIGPIPE blocked, and one pending on this thread. A forked child has none:
/// its queue is empty.
static HAS_PENDING: AtomicBool = AtomicBool::new(false);

fn begin(has_pending: bool) {
    HAS_PENDING.store(has_pending, Ordering::Relaxed);
    dispose(libc::SIG_DFL);
    if has_pending {
        mask(libc::SIG_BLOCK);
        raise_at_thread();
    }
}

/// Expects the state at the beginning, except the disposition that the call has set.
fn expect_as_it_began(is_blocked_by_host: bool, then: libc::sighandler_t) {
    expect(is_blocked() == is_blocked_by_host, "the mask of SIGPIPE has changed");
    let has_pending = HAS_PENDING.load(Ordering::Relaxed);
    expect(is_pending() == has_pending, "the pending SIGPIPE has changed");
    // On Apple's systems a handler may stay in the default's place.
    let is_default = cfg!(kernel = "apple") && matches!(disposition(), Ok(Disposition::Default));
    let is_then = support::disposition() == then || then == libc::SIG_DFL && is_default;
    expect(is_then, "SIGPIPE's disposition is not the expected one");
    if has_pending {
        expect(take_pending() && !take_pending(), "more than one SIGPIPE is pending");
    }
    mask(libc::SIG_UNBLOCK);
}

// ----------------------------------------------------------------------------- the forks ----

/// Whether this process is a child that has returned from the handler.
static IS_CHILD: AtomicBool = AtomicBool::new(false);

/// Runs `f` as a handler does. It must leave the thread unchanged.
fn leaving_the_mask(f: fn()) {
    let (was_blocked, was_pending) = (is_blocked(), is_pending());
    f();
    expect(is_blocked() == was_blocked, "a call in the handler changes the mask");
    // The call may take a signal that the stopped call has raised. If the host has one pending, the
    // stopped call may just have taken it. Its end shows that one is left. Our own handler of
    // SIGPIPE runs with the signal blocked: stopped there, it runs once more.
    let in_our_handler = !MASKS_THE_THREAD && was_blocked;
    let may_be_pending = was_pending || in_our_handler || HAS_PENDING.load(Ordering::Relaxed);
    expect(may_be_pending || !is_pending(), "a call in the handler leaves a SIGPIPE");
}

/// A fork is slow. Each round forks at other instructions, and together they cover every one.
/// `ci/soak` forks at every instruction in each round.
const ROUNDS: usize = 3;
static ROUND: AtomicUsize = AtomicUsize::new(0);
static STRIDE: AtomicUsize = AtomicUsize::new(ROUNDS);

fn is_in_turn() -> bool {
    // Without sigtimedwait, two calls take a pending signal, with all other signals blocked. Only
    // the handler of a trap could fork in between.
    let has_no_wait = cfg!(not(any(has_sigtimedwait, kernel = "linux")));
    if has_no_wait && MASKS_THE_THREAD && is_signal_blocked(libc::SIGALRM) {
        return false;
    }
    let stride = STRIDE.load(Ordering::Relaxed);
    step() % stride == ROUND.load(Ordering::Relaxed) % stride
}

/// A name, and the action at a step.
const AT_STEP: [(&str, AtStep); 5] = [
    ("raw::write", || calling(write_to_broken)),
    ("a guard", || calling(bare_guard)),
    ("suppressed", || calling(suppressed_write)),
    ("a fork whose child exits", || {
        if is_in_turn() && fork() {
            HAS_PENDING.store(false, Ordering::Relaxed);
            leaving_the_mask(use_all);
            exit_well();
        }
        Then::Step
    }),
    ("a fork whose child goes on", || {
        if !(is_in_turn() && fork()) {
            return Then::Step;
        }
        HAS_PENDING.store(false, Ordering::Relaxed);
        IS_CHILD.store(true, Ordering::Relaxed);
        Then::Run
    }),
];

fn calling(f: fn()) -> Then {
    leaving_the_mask(f);
    Then::Step
}

// ----------------------------------------------------------------- at every instruction ----

/// A name, the call that is stopped, and the disposition that it leaves.
type Call = (&'static str, fn(), libc::sighandler_t);

const WRITE: Call = ("raw::write to a broken pipe", write_to_broken, libc::SIG_DFL);

const CALLS: [Call; 7] = [
    WRITE,
    ("a guard", bare_guard, libc::SIG_DFL),
    ("suppressed", suppressed_write, libc::SIG_DFL),
    ("raw::write to a healthy pipe", write_to_healthy, libc::SIG_DFL),
    ("raw::write under a guard", guarded_write, libc::SIG_DFL),
    ("ignore", ignore_it, libc::SIG_IGN),
    ("disposition", ask_disposition, libc::SIG_DFL),
];

/// Stops `call` at every instruction. In the first round it is the first call of this process.
fn stop_everywhere((_, call, then): Call, at_step: AtStep) {
    BROKEN.get_or_init(broken_pipe);
    HEALTHY.get_or_init(|| std::io::pipe().unwrap());
    let opened = descriptors();
    STRIDE.store(if is_soak() { 1 } else { ROUNDS }, Ordering::Relaxed);
    // An ignored signal does not stay pending, and the end of `process_handler` discards it. musl
    // is left out: its pthread_kill blocks even the signal of a step.
    let keeps_pending = MASKS_THE_THREAD && then == libc::SIG_DFL && cfg!(not(target_env = "musl"));
    // The first call of the process, then a later one, then a host that has a signal pending.
    for (round, has_pending) in [false, false, keeps_pending].into_iter().enumerate() {
        ROUND.store(round, Ordering::Relaxed);
        begin(has_pending);
        let steps = single_step(call, at_step);
        expect_as_it_began(has_pending, then);
        expect(descriptors() == opened, "a descriptor is left open");
        if IS_CHILD.load(Ordering::Relaxed) {
            exit_well();
        }
        assert!(steps > 100, "only {steps} steps");
    }
}

// ---------------------------------------------------------------------------- the storms ----

/// Alarms that interrupt threads which write all the time.
struct Storm {
    name: &'static str,
    at_alarm: fn(),
    /// Runs on the first thread in the meantime.
    meanwhile: fn(&Size),
    forks: bool,
}

impl Storm {
    fn is_sent(&self) -> bool {
        self.name.starts_with("SIGPIPE")
    }
}

/// The size of a storm. `ci/soak` makes it long.
struct Size {
    threads: usize,
    writes: usize,
    alarms: usize,
    forks: usize,
}

fn is_soak() -> bool {
    std::env::var_os("EPIPE_SOAK").is_some()
}

fn size() -> Size {
    if is_soak() {
        Size { threads: 8, writes: 2_000_000, alarms: 50_000, forks: 10_000 }
    } else {
        Size { threads: 3, writes: 40_000, alarms: 5000, forks: 300 }
    }
}

const STORMS: [Storm; 6] = [
    Storm { name: "raw::write", at_alarm: write_to_broken, meanwhile: |_| (), forks: false },
    Storm { name: "a guard", at_alarm: bare_guard, meanwhile: |_| (), forks: false },
    Storm { name: "suppressed", at_alarm: suppressed_write, meanwhile: |_| (), forks: false },
    Storm { name: "forks", at_alarm: use_all, meanwhile: fork_and_check, forks: true },
    Storm {
        name: "forks in the handler",
        at_alarm: fork_at_every_eighth,
        meanwhile: |_| (),
        forks: true,
    },
    Storm {
        name: "SIGPIPE sent to the process",
        at_alarm: use_all,
        meanwhile: send_to_the_process,
        forks: false,
    },
];

/// Forks and checks the child, in which the guards of other threads do not exist.
fn fork_and_check(size: &Size) {
    // A signal restarts a fork, which may then never end.
    alarms(libc::SIG_BLOCK);
    for _ in 0..size.forks {
        if fork() {
            use_all();
            if !MASKS_THE_THREAD && support::disposition() == libc::SIG_IGN {
                // SAFETY: the child needs nothing more of this process.
                unsafe { libc::_exit(IS_LEFT_IGNORED) }
            }
            expect_as_it_began(false, libc::SIG_DFL);
            exit_well();
        }
    }
    // To remove `process_handler`, a thread of the parent sets SIG_IGN for an instant. A child that
    // is forked in that instant keeps it: 2 of 1,200 did.
    let left_ignored = LEFT_IGNORED.load(Ordering::Relaxed);
    expect(left_ignored * 50 <= size.forks, "many children are left with SIGPIPE ignored");
    alarms(libc::SIG_UNBLOCK);
}

fn fork_at_every_eighth() {
    if ALARMS.load(Ordering::Relaxed).is_multiple_of(8) && fork_in_handler() {
        leaving_the_mask(use_all);
        exit_well();
    }
}

fn send_to_the_process(size: &Size) {
    (0..size.alarms).for_each(|_| raise_at_process());
}

static AT_ALARM: OnceLock<fn()> = OnceLock::new();
static ALARMS: AtomicUsize = AtomicUsize::new(0);
/// The count of threads that handle an alarm now.
static IN_HANDLER: AtomicUsize = AtomicUsize::new(0);

extern "C" fn alarmed(_: libc::c_int) {
    // SAFETY: libc's pointer to this thread's errno is valid. A handler must restore errno.
    let errno = unsafe { *libc::__errno_location() };
    IN_HANDLER.fetch_add(1, Ordering::SeqCst);
    AT_ALARM.get().expect("set")();
    IN_HANDLER.fetch_sub(1, Ordering::SeqCst);
    ALARMS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Sends SIGALRM to this process at this interval. 0 stops it.
fn alarm_every(microseconds: u16) {
    let every = libc::timeval { tv_sec: 0, tv_usec: microseconds.into() };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: the timer is valid for the call.
    assert_eq!(unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) }, 0);
}

fn play_storm(storm: &'static Storm) {
    let size = size();
    BROKEN.get_or_init(broken_pipe);
    AT_ALARM.get_or_init(|| storm.at_alarm);
    // A SIGPIPE that is sent to the process rightly kills it. The exceptions: the handler of a
    // guard is always in place, or every thread blocks the signal.
    let is_sent = storm.is_sent();
    let guard = (is_sent && !MASKS_THE_THREAD).then(|| guard().unwrap());
    let is_blocked_by_host = is_sent && MASKS_THE_THREAD;
    if is_blocked_by_host {
        mask(libc::SIG_BLOCK);
    }
    let opened = descriptors();

    set_handler(libc::SIGALRM, alarmed as *const () as usize, libc::SA_RESTART);
    alarm_every(50);
    let forks = if storm.forks { size.forks } else { 0 };
    std::thread::scope(|scope| {
        let write = || {
            let mut left = size.writes / size.threads;
            while left > 0
                || ALARMS.load(Ordering::Relaxed) < size.alarms
                || FORKS.load(Ordering::Relaxed) < forks
            {
                write_to_broken();
                suppressed_write();
                left = left.saturating_sub(2);
            }
            expect(is_blocked() == is_blocked_by_host, "a thread's mask has changed");
            expect(is_blocked_by_host || !is_pending(), "a thread has a SIGPIPE pending");
        };
        let threads: Vec<_> = (0..size.threads).map(|_| scope.spawn(write)).collect();
        (storm.meanwhile)(&size);
        // A scope waits only for the closures: a thread that ends may still handle an alarm.
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    alarm_every(0);
    // A thread outside the storm may have begun to handle the last alarm.
    std::thread::sleep(Duration::from_millis(10));
    while IN_HANDLER.load(Ordering::SeqCst) > 0 {
        std::thread::yield_now();
    }

    drop(guard);
    // A guard cannot distinguish a sent signal from its own. It may have taken the sent one, and
    // left its own.
    while is_sent && take_pending() {}
    expect_as_it_began(is_blocked_by_host, libc::SIG_DFL);
    expect(descriptors() == opened, "a descriptor is left open");
}

/// `process_handler` counts the guards of all threads. A forked child has only one thread.
fn fork_beside_a_guard() {
    BROKEN.get_or_init(broken_pipe);
    let (end, ended) = mpsc::channel::<()>();
    let (begin, begun) = mpsc::channel();
    let other = std::thread::spawn(move || {
        let _guard = guard().unwrap();
        begin.send(()).unwrap();
        let _ = ended.recv();
    });
    begun.recv().unwrap();
    for is_guarded in [false, true] {
        let own = is_guarded.then(|| guard().unwrap());
        if fork() {
            use_all();
            drop(own);
            drop(guard());
            expect_as_it_began(false, libc::SIG_DFL);
            exit_well();
        }
    }
    drop(end);
    other.join().unwrap();
    expect_as_it_began(false, libc::SIG_DFL);
}

/// `process_handler` counts threads. On some systems the first thread of a forked child is unknown,
/// and the handler may stay there. The guard's docs state this limit.
const KNOWS_FIRST_THREAD: bool =
    MASKS_THE_THREAD || cfg!(any(kernel = "apple", kernel = "linux", kernel = "netbsd"));
const UNKNOWN_THREADS: &str = "a forked child may keep the handler here";

pub fn scenes() -> Vec<Scene> {
    let mut scenes = Vec::new();
    for call in CALLS {
        for (what, at_step) in AT_STEP {
            let name = format!("at every instruction of {}: {what}", call.0);
            scenes.push(Scene::survives(name, move || stop_everywhere(call, at_step)));
        }
    }
    #[cfg(kernel = "linux")]
    scenes.extend(with_the_flag_refused());
    // gVisor stops processes by the same means. Its sockets raise nothing, which identifies it.
    let can_be_stopped = socket_raises(unix_pair);
    let mut scenes: Vec<_> =
        scenes.into_iter().map(|scene| scene.only_if(can_be_stopped)).collect();
    for storm in &STORMS {
        let scene = Scene::survives(format!("storm: {}", storm.name), || play_storm(storm));
        let scene = if storm.is_sent() { scene.alone() } else { scene };
        scenes.push(scene.only_where(!storm.forks || KNOWS_FIRST_THREAD, UNKNOWN_THREADS));
    }
    let beside = Scene::survives("a fork beside a guard of another thread", fork_beside_a_guard);
    scenes.push(beside.only_where(KNOWS_FIRST_THREAD, UNKNOWN_THREADS));
    // Under a preloaded library these scenes would show nothing new.
    let is_played = !is_suite() && std::env::var_os("LD_PRELOAD").is_none();
    let timeout = Duration::from_secs(if is_soak() { 1500 } else { 60 });
    scenes.into_iter().map(|scene| scene.only_if(is_played).within(timeout)).collect()
}

/// The first call probes for the whole process whether the flag is refused.
#[cfg(kernel = "linux")]
fn with_the_flag_refused() -> Vec<Scene> {
    use crate::ignored_flags::has_write_flag;
    use crate::seccomp::{can_be_filtered, refuse_write_flag};

    let scene = |(what, at_step)| {
        let name = format!("at every instruction of {}, pwritev2 refused: {what}", WRITE.0);
        let scene = Scene::survives(name, move || {
            refuse_write_flag(libc::ENOSYS);
            stop_everywhere(WRITE, at_step);
        });
        scene.only_if(has_write_flag() && can_be_filtered())
    };
    AT_STEP.into_iter().map(scene).collect()
}
