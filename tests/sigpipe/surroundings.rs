//! Bad surroundings: no descriptors, closed standard streams, signals that were already blocked or
//! ignored, small stacks and files, sandboxes. A broken pipe or socket still reports EPIPE. A
//! healthy one takes its bytes. The thread's signals are left unchanged.

use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{OwnedFd, RawFd};
use std::thread;

use epipe::io::PipeWriter;
use epipe::net::TcpStream;
use epipe::{NoSigpipe, raw};
use libc::c_int;

use crate::Scene;
use crate::differences::{Differences, comparable};
use crate::exotic::{WAYS, plain};
use crate::guards::MASKS_THE_THREAD;
use crate::rows::{Call, call};
use crate::support::{
    broken_pipe, broken_stream, dispose, file, foreign_write, mask, mask_signal, raise_at_thread,
    spell, take_pending_signal, tcp_pair, without_descriptors,
};
#[cfg(not(kernel = "linux"))]
use crate::support::{is_blocked, is_pending};

#[cfg(kernel = "linux")]
use linux::can_be_asked;
#[cfg(kernel = "linux")]
pub use linux::scenes as of_linux;

// ----------------------------------------------------------------------------- what is played ----

/// A call that writes eight bytes.
type Row = (&'static str, fn(OwnedFd) -> Call);

const EIGHT: &[u8] = b"00000008";

/// Calls for descriptors of unknown kind. They try a pipe's technique first.
const OF_PIPES: [Row; 7] = [
    ("PipeWriter::write", call!(PipeWriter: it => it.write(EIGHT))),
    ("PipeWriter::write_vectored", call!(PipeWriter: it => it.write_vectored(&halves()))),
    ("raw::write", call!(OwnedFd: it => raw::write(&it, EIGHT))),
    ("raw::write_vectored", call!(OwnedFd: it => raw::write_vectored(&it, &halves()))),
    ("NoSigpipe::write", call!(OwnedFd: it => NoSigpipe::new(&it)?.write(EIGHT))),
    (
        "NoSigpipe::write_vectored",
        call!(OwnedFd: it => NoSigpipe::new(&it)?.write_vectored(&halves())),
    ),
    ("copy", |fd| copy_to(PipeWriter::from(fd))),
];

const OF_SOCKETS: &[Row] = &[
    ("TcpStream::write", call!(TcpStream: it => it.write(EIGHT))),
    ("TcpStream::write_vectored", call!(TcpStream: it => it.write_vectored(&halves()))),
    #[cfg(not(kernel = "apple"))] // ENOTCONN
    ("TcpStream::sendfile", |fd| {
        let (stream, file) = (TcpStream::from(fd), file(8));
        Box::new(move || stream.sendfile(&file, ..))
    }),
    ("raw::send", call!(OwnedFd: it => raw::send(&it, EIGHT))),
    ("raw::write to a socket", call!(OwnedFd: it => raw::write(&it, EIGHT))),
    ("NoSigpipe::write to a socket", call!(OwnedFd: it => NoSigpipe::new(&it)?.write(EIGHT))),
    ("copy to a socket", |fd| copy_to(TcpStream::from(fd))),
];

fn halves() -> [IoSlice<'static>; 2] {
    let (one, two) = EIGHT.split_at(4);
    [one, two].map(IoSlice::new)
}

fn copy_to(mut sink: impl Write + 'static) -> Call {
    let (mut reader, writer) = epipe::io::pipe().unwrap();
    foreign_write(writer, EIGHT).unwrap();
    Box::new(move || epipe::io::copy(&mut reader, &mut sink))
}

/// Healthy calls, each with the end where its bytes arrive, and then broken ones. All descriptors
/// are opened before a limit or a sandbox applies.
struct Calls {
    calls: Vec<(&'static str, Call, Option<File>)>,
    thread: Thread,
}

/// The expected results on a machine or in a sandbox that removes every protection.
#[derive(Default)]
struct Expected {
    /// Nothing protects, so every call fails with this error.
    error: Option<c_int>,
    /// A signal that cannot be taken back stays pending, and blocked.
    leaves_signal: bool,
}

impl Calls {
    fn new(of_pipes: &[Row], of_sockets: &[Row]) -> Calls {
        let thread = Thread::this();
        let mut calls = Vec::new();
        for (name, make) in of_pipes {
            let (reader, writer) = io::pipe().unwrap();
            calls.push((*name, make(writer.into()), Some(OwnedFd::from(reader).into())));
            calls.push((*name, make(broken_pipe()), None));
        }
        for (name, make) in of_sockets {
            let (ours, theirs) = tcp_pair("127.0.0.1:0").unwrap();
            calls.push((*name, make(ours), Some(theirs.into())));
            calls.push((*name, make(broken_stream()), None));
        }
        calls.sort_by_key(|(_, _, theirs)| theirs.is_none());
        Calls { calls, thread }
    }

    fn all() -> Calls {
        Calls::new(&OF_PIPES, OF_SOCKETS)
    }

    /// Plays all calls. Returns the failures, as the scene may have no stderr meanwhile.
    fn play(self, expected: Expected) -> Vec<String> {
        let left = Signals { is_blocked: true, is_pending: true };
        let mut before = self.thread.signals();
        let mut wrong = Vec::new();
        for (name, mut call, theirs) in self.calls {
            let mut answer = call();
            let after = self.thread.signals();
            if let (Ok(written), Some(mut theirs)) = (&answer, theirs.as_ref()) {
                let arrived = theirs.read(&mut [0; 9]).unwrap() as u64;
                if (*written, arrived) != (8, 8) {
                    answer = Err(io::Error::other(format!("{written} written, {arrived} arrived")));
                }
            }
            let is_broken = theirs.is_none();
            let should_be = match expected.error {
                Some(code) => spell(&Err::<(), _>(io::Error::from_raw_os_error(code))),
                None => if is_broken { "EPIPE" } else { "ok" }.to_owned(),
            };
            let may_be = after == before || is_broken && expected.leaves_signal && after == left;
            if spell(&answer) != should_be || !may_be {
                let which = if is_broken { "broken" } else { "healthy" };
                wrong.push(format!("{name}, {which}: {answer:?}, {before:?}, then {after:?}"));
            }
            before = after;
        }
        wrong
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Signals {
    is_blocked: bool,
    is_pending: bool,
}

#[cfg(kernel = "linux")]
use linux::Thread;

/// The signals of this thread, as the system reports them.
#[cfg(not(kernel = "linux"))]
struct Thread;

#[cfg(not(kernel = "linux"))]
impl Thread {
    fn this() -> Thread {
        Thread
    }

    fn signals(&self) -> Signals {
        Signals { is_blocked: is_blocked(), is_pending: is_pending() }
    }
}

#[track_caller]
fn assert_none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

// ------------------------------------------------------------------------- the surroundings ----

/// Runs `f` with the standard streams closed: descriptors opened then get their numbers.
fn without_standard_streams<T>(f: impl FnOnce() -> T) -> T {
    let streams: [RawFd; 3] = [0, 1, 2];
    // SAFETY: the command takes an integer. The closed streams are restored below.
    let kept = streams.map(|fd| unsafe {
        let kept = libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 100);
        assert!(kept >= 100);
        libc::close(fd);
        kept
    });
    let answer = f();
    for (fd, kept) in streams.into_iter().zip(kept) {
        // SAFETY: both are numbers of this process. dup2 closes a descriptor that was opened
        // meanwhile.
        assert_eq!(unsafe { libc::dup2(kept, fd) }, fd);
    }
    answer
}

/// States in which a host may have put SIGPIPE.
const SIGNALS: [(&str, fn()); 4] = [
    ("SIGPIPE is blocked", || mask(libc::SIG_BLOCK)),
    ("SIGPIPE is ignored", || dispose(libc::SIG_IGN)),
    // The last two only if the guard is a mask. The other guard takes back nothing, and discards a
    // pending signal when it restores the default action.
    ("SIGPIPE is blocked and ignored", || {
        mask(libc::SIG_BLOCK);
        dispose(libc::SIG_IGN);
    }),
    ("SIGPIPE is pending", || {
        mask(libc::SIG_BLOCK);
        raise_at_thread();
    }),
];

fn in_a_small_thread(f: impl FnOnce() -> Vec<String> + Send + 'static) -> Vec<String> {
    thread::Builder::new().stack_size(64 << 10).spawn(f).unwrap().join().unwrap()
}

type Play = Box<dyn Fn() -> Vec<String> + Send + Sync>;

fn surroundings() -> Vec<(&'static str, Play)> {
    let mut plays: Vec<(&str, Play)> = vec![
        ("nothing special", Box::new(|| Calls::all().play(Expected::default()))),
        (
            "no descriptor is left",
            Box::new(|| {
                let calls = Calls::all();
                without_descriptors(|| calls.play(Expected::default()))
            }),
        ),
        (
            "the standard streams are closed",
            Box::new(|| without_standard_streams(|| Calls::all().play(Expected::default()))),
        ),
        (
            "the standard streams are closed later",
            Box::new(|| {
                let calls = Calls::all();
                without_standard_streams(|| calls.play(Expected::default()))
            }),
        ),
        (
            "a stack of 64 KiB",
            Box::new(|| in_a_small_thread(|| Calls::all().play(Expected::default()))),
        ),
    ];
    let shown = if MASKS_THE_THREAD { SIGNALS.len() } else { 2 };
    for (name, begin) in SIGNALS.into_iter().take(shown) {
        plays.push((
            name,
            Box::new(move || {
                begin();
                Calls::all().play(Expected::default())
            }),
        ));
    }
    plays
}

// ------------------------------------------------------------------------------- small files ----

/// Makes two long writes to a file that takes less, in each of our ways and by the plain call.
/// `signal` is another signal that they may leave.
fn fill(signal: Option<c_int>) {
    let bytes = [7; 100_000];
    let (one, two) = bytes.split_at(10);
    let mut differences = Differences::default();
    for (name, is_vectored, way) in WAYS {
        let slices = [IoSlice::new(one), IoSlice::new(two)];
        let bufs = if is_vectored { &slices[..] } else { &slices[1..] };
        let twice = |write: &dyn Fn(OwnedFd) -> io::Result<usize>| {
            let file = OwnedFd::from(file(0));
            [(); 2].map(|()| {
                let answer = write(file.try_clone().unwrap());
                (comparable(answer.map(|count| count as u64)), signal.map(take_pending_signal))
            })
        };
        let ours = twice(&|fd| way(fd, bufs));
        differences.note_left(name);
        differences.same(name, &ours, &twice(&|fd| plain(fd, is_vectored, bufs)));
        // Not every system writes the part that fits.
        assert!(!matches!(ours[0].0, Ok(90_000..)), "the file took too much: {ours:?}");
    }
    differences.assert_none();
}

fn limit_files() {
    let limit = libc::rlimit { rlim_cur: 50_000, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the limit is valid for the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) }, 0);
}

fn small_files() -> Vec<Scene> {
    vec![
        Scene::survives("small files: a limit, SIGXFSZ is ignored", || {
            // SAFETY: SIG_IGN is a valid disposition.
            unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
            limit_files();
            fill(None);
        }),
        Scene::survives("small files: a limit, SIGXFSZ is blocked", || {
            mask_signal(libc::SIG_BLOCK, libc::SIGXFSZ);
            limit_files();
            fill(Some(libc::SIGXFSZ));
        }),
    ]
}

pub fn scenes() -> Vec<Scene> {
    let scene = |(name, play): (&str, Play)| {
        Scene::survives(format!("surroundings: {name}"), move || assert_none(play()))
            .only_where(can_be_asked(), "this system does not report a thread's mask")
    };
    surroundings().into_iter().map(scene).chain(small_files()).collect()
}

/// Elsewhere nothing forbids a thread to ask for its mask.
#[cfg(not(kernel = "linux"))]
fn can_be_asked() -> bool {
    true
}

/// Scenes that need a filter, a mount or /proc.
#[cfg(kernel = "linux")]
mod linux {
    use std::env;
    use std::ffi::CString;
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::fs::FileExt;
    use std::os::unix::process::CommandExt;
    use std::process::Command;
    use std::ptr::null;
    use std::sync::OnceLock;

    use libc::c_long;

    use super::*;
    use crate::ignored_flags::keeps_write_flag;
    use crate::refusals::refuse_send_flag;
    use crate::seccomp::{NO_FILTERS, Which, can_be_filtered, filter, refuse_write_flag, refusing};
    use crate::suites::asked_once;

    /// A thread's status file in /proc. Reading it needs no signal call, and no new descriptor.
    pub struct Thread(File);

    impl Thread {
        pub fn this() -> Thread {
            Thread(File::open("/proc/thread-self/status").unwrap())
        }

        pub fn signals(&self) -> Signals {
            let mut status = [0; 4096];
            let len = self.0.read_at(&mut status, 0).unwrap();
            let status = String::from_utf8_lossy(&status[..len]);
            let has = |name: &str| {
                let mut lines = status.lines();
                let mask = lines.find_map(|line| line.strip_prefix(name)).unwrap().trim();
                u64::from_str_radix(mask, 16).unwrap() & (1 << (libc::SIGPIPE - 1)) != 0
            };
            let is_pending = has("SigPnd:") || has("ShdPnd:");
            Signals { is_blocked: has("SigBlk:"), is_pending }
        }
    }

    /// Whether /proc has a thread's mask. It is read there because a sandbox may forbid the signal
    /// calls. gVisor's has no mask.
    pub fn can_be_asked() -> bool {
        let status = std::fs::read_to_string("/proc/thread-self/status");
        status.is_ok_and(|status| status.contains("SigBlk:"))
    }

    const FORBIDDEN: [(&str, c_long); 5] = [
        ("pipe2", libc::SYS_pipe2),
        ("rt_sigprocmask", libc::SYS_rt_sigprocmask),
        ("rt_sigtimedwait", libc::SYS_rt_sigtimedwait),
        ("rt_sigpending", libc::SYS_rt_sigpending),
        ("pwritev2", libc::SYS_pwritev2),
    ];

    /// A sandbox that forbids these calls before the first write. A write fails only if neither the
    /// flag nor the guard is left.
    fn sandbox(forbidden: &[c_long], broken_first: bool) {
        let is_there = |number| !forbidden.contains(&number);
        let has_flag = cfg!(not(epipe_refused = "write_flag"))
            && keeps_write_flag()
            && is_there(libc::SYS_pwritev2);
        // The other guard makes none of these calls.
        let masks = MASKS_THE_THREAD;
        let has_guard = !masks || is_there(libc::SYS_rt_sigprocmask);
        let takes_back = !masks || is_there(libc::SYS_rt_sigtimedwait);
        let of_sockets =
            OF_SOCKETS.iter().copied().filter(|(name, _)| name.starts_with("raw::write"));
        // The last row is the copy, which needs a guard.
        let mut calls = Calls::new(&OF_PIPES[..6], &of_sockets.collect::<Vec<_>>());
        if broken_first {
            calls.calls.reverse();
        }
        for number in forbidden {
            filter(*number, Which::All, refusing(libc::EPERM));
        }
        assert_none(calls.play(Expected {
            error: (!has_flag && !has_guard).then_some(libc::EPERM),
            leaves_signal: !has_flag && !takes_back,
        }));
    }

    fn sandboxes() -> Vec<Scene> {
        let mut scenes = Vec::new();
        let mut add = |what: String, forbidden: &[c_long]| {
            for (order, broken_first) in [("", false), (", the first write breaks", true)] {
                let forbidden = forbidden.to_vec();
                let play = move || sandbox(&forbidden, broken_first);
                scenes.push(Scene::survives(format!("sandbox: {what} forbidden{order}"), play));
            }
        };
        for (at, (first, one)) in FORBIDDEN.into_iter().enumerate() {
            add(format!("{first} is"), &[one]);
            for (second, other) in &FORBIDDEN[at + 1..] {
                add(format!("{first} and {second} are"), &[one, *other]);
            }
        }
        scenes.push(Scene::dies("sandbox: control", || {
            filter(libc::SYS_pwritev2, Which::All, refusing(libc::EPERM));
            filter(libc::SYS_rt_sigprocmask, Which::All, refusing(libc::EPERM));
            let _ = foreign_write(broken_pipe(), b"x");
        }));
        scenes
    }

    /// From here on, a small disk replaces the temporary directory of this process.
    fn small_disk() -> io::Result<()> {
        let directory = CString::new(env::temp_dir().into_os_string().into_vec())?;
        let (root, none, tmpfs) = (c"/".as_ptr(), c"none".as_ptr(), c"tmpfs".as_ptr());
        // SAFETY: all strings are C strings, valid for the calls. The mounts are visible only in
        // the new namespace.
        let is_mounted = unsafe {
            libc::unshare(libc::CLONE_NEWNS) == 0
                && libc::mount(none, root, none, libc::MS_REC | libc::MS_PRIVATE, null()) == 0
                && libc::mount(none, directory.as_ptr(), tmpfs, 0, c"size=64k".as_ptr().cast()) == 0
        };
        if is_mounted { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// A child asks, since the attempt changes its process.
    fn can_mount() -> bool {
        static ANSWER: OnceLock<bool> = OnceLock::new();
        asked_once(&ANSWER, || {
            let mut child = Command::new("true");
            // SAFETY: between fork and exec, `small_disk` makes system calls, and allocates a short
            // string.
            unsafe { child.pre_exec(small_disk) };
            child.status().is_ok_and(|status| status.success())
        })
    }

    pub fn scenes() -> Vec<Scene> {
        let can_be_played = can_be_filtered() && can_be_asked();
        let mut scenes = Vec::new();
        for (name, play) in surroundings() {
            let name = format!("surroundings: {name}, every flag is refused");
            scenes.push(Scene::survives(name, move || {
                refuse_write_flag(libc::EOPNOTSUPP);
                refuse_send_flag(libc::EINVAL);
                assert_none(play());
            }));
        }
        scenes.extend(sandboxes());
        scenes =
            scenes.into_iter().map(|scene| scene.only_where(can_be_played, NO_FILTERS)).collect();
        scenes.push(
            Scene::survives("small files: a full disk", || {
                small_disk().unwrap();
                fill(None);
            })
            .only_where(can_mount(), "no disk can be mounted here"),
        );
        scenes
    }
}
