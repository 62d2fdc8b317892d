//! io_uring: which requests raise, and when. A request that does not complete at once finishes
//! later, on the thread that submitted it, whatever this thread does then.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;

use epipe::sigpipe::{guard, suppressed};
use epipe::verify::Technique;
use io_uring::squeue::{Entry, Flags};
use io_uring::{IoUring, opcode, types};

use crate::rows::DATA;
use crate::suites::asked_once;
use crate::support::{assert_epipe, broken_pipe, foreign_write, spell, unix_pair};
use crate::{Scene, has, masks_the_thread};

const LENGTH: u32 = DATA.len() as u32;

fn ring() -> IoUring {
    IoUring::new(4).unwrap()
}

fn submit(ring: &mut IoUring, entry: &Entry) {
    // SAFETY: the data that the entry names outlives the ring.
    unsafe { ring.submission().push(entry).unwrap() };
    ring.submit().unwrap();
}

fn answer(ring: &mut IoUring) -> io::Result<i32> {
    ring.submit_and_wait(1).unwrap();
    let answer = ring.completion().next().unwrap().result();
    if answer < 0 { Err(io::Error::from_raw_os_error(-answer)) } else { Ok(answer) }
}

fn write(fd: RawFd) -> Entry {
    opcode::Write::new(types::Fd(fd), DATA.as_ptr(), LENGTH).build()
}

fn writev(fd: RawFd) -> Entry {
    let iovec = libc::iovec { iov_base: DATA.as_ptr().cast_mut().cast(), iov_len: DATA.len() };
    opcode::Writev::new(types::Fd(fd), Box::leak(Box::new(iovec)) as *const _ as *const _, 1)
        .build()
}

fn send(fd: RawFd) -> Entry {
    opcode::Send::new(types::Fd(fd), DATA.as_ptr(), LENGTH).build()
}

fn write_by_a_worker(fd: RawFd) -> Entry {
    write(fd).flags(Flags::ASYNC)
}

fn broken_socket() -> OwnedFd {
    unix_pair().unwrap().0
}

/// Makes one request on a broken descriptor.
fn play(ring: IoUring, make: fn() -> OwnedFd, entry: fn(RawFd) -> Entry) -> io::Result<i32> {
    let (mut ring, fd) = (ring, make());
    submit(&mut ring, &entry(fd.as_raw_fd()));
    answer(&mut ring)
}

/// How a call is made.
type How = fn(&mut dyn FnMut());

fn bare(call: &mut dyn FnMut()) {
    call();
}

fn under_suppressed(call: &mut dyn FnMut()) {
    suppressed(call).unwrap();
}

/// Writes to a full pipe, whose reader leaves after the request was submitted.
fn play_late(mut ring: IoUring, submits: How, waits: How) {
    let (reader, writer) = io::pipe().unwrap();
    fill(&writer);
    let entry = write(writer.as_raw_fd());
    submits(&mut || submit(&mut ring, &entry));
    drop(reader);
    let mut answered = Ok(0);
    waits(&mut || answered = answer(&mut ring));
    assert_eq!(spell(&answered), "EPIPE");
}

fn fill(writer: &io::PipeWriter) {
    // SAFETY: the command takes an integer.
    let set = |flags: i32| unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, flags) };
    set(libc::O_NONBLOCK);
    while foreign_write(writer, &[0; 4096]).is_ok() {}
    set(0);
}

/// The kernel may finish such a write in any system call of the thread that submitted it.
fn late() -> [Scene; 5] {
    /// With this ring, only in calls that wait for an answer.
    fn deferred() -> IoUring {
        IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(4).unwrap()
    }
    let name = "io_uring, the reader leaves later";
    let deferring = "io_uring DEFER_TASKRUN, the reader leaves later";
    [
        Scene::survives(format!("{name}: a guard for the thread's life"), || {
            let _guard = guard().unwrap();
            play_late(ring(), bare, bare);
        }),
        Scene::dies(format!("{name}: control"), || play_late(ring(), bare, bare)),
        Scene::dies(format!("{name}: suppressed round each call: the limit"), || {
            play_late(ring(), under_suppressed, under_suppressed);
        }),
        Scene::survives(format!("{deferring}: suppressed round each call"), || {
            play_late(deferred(), under_suppressed, under_suppressed);
        }),
        Scene::dies(format!("{deferring}: suppressed round each call: control"), || {
            play_late(deferred(), under_suppressed, bare);
        }),
    ]
}

fn has_write_flag() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    asked_once(&ANSWER, || has(Technique::WriteFlag))
}

/// A sandbox may forbid io_uring. Linux 6.1 has all that the scenes need.
fn can_be_played() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    let mut builder = IoUring::<Entry>::builder();
    builder.setup_single_issuer().setup_defer_taskrun();
    asked_once(&ANSWER, || masks_the_thread() && builder.build(4).is_ok())
}

type Row = (&'static str, fn() -> OwnedFd, fn(RawFd) -> Entry, bool);

pub fn scenes() -> Vec<Scene> {
    const ROWS: [Row; 7] = [
        ("WRITE to a pipe", broken_pipe, write, true),
        ("WRITEV to a pipe", broken_pipe, writev, true),
        ("WRITE to a socket", broken_socket, write, true),
        ("WRITEV to a socket", broken_socket, writev, true),
        ("SEND", broken_socket, send, false),
        ("WRITE to a pipe by a worker of the kernel", broken_pipe, write_by_a_worker, false),
        ("WRITE to a socket by a worker of the kernel", broken_socket, write_by_a_worker, false),
    ];
    let mut scenes = Vec::new();
    for (name, make, entry, raises) in ROWS {
        let name = format!("io_uring: {name}, suppressed");
        scenes.push(Scene::survives(&name, move || {
            assert_epipe(suppressed(|| play(ring(), make, entry)).unwrap());
        }));
        let control = format!("{name}: control");
        let bare = move || assert_epipe(play(ring(), make, entry));
        scenes.push(match raises {
            true => Scene::dies(control, bare),
            false => Scene::survives(format!("{control} raises nothing"), bare),
        });
    }
    scenes.push(Scene::survives("io_uring: SQPOLL raises nothing", || {
        let ring = IoUring::builder().setup_sqpoll(10).build(4).unwrap();
        assert_epipe(play(ring, broken_pipe, write));
    }));
    scenes.push(
        Scene::survives("io_uring: WRITE to a pipe with RWF_NOSIGNAL", || {
            assert_epipe(play(ring(), broken_pipe, |fd| {
                let write = opcode::Write::new(types::Fd(fd), DATA.as_ptr(), LENGTH);
                write.rw_flags(0x100).build()
            }));
        })
        .only_where(has_write_flag(), "this system has no such flag"),
    );
    scenes.extend(late());
    let can = can_be_played();
    scenes
        .into_iter()
        .map(|scene| scene.only_where(can, "there is no io_uring here, or the guard is not a mask"))
        .collect()
}
