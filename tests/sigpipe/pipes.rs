//! Pipes, FIFOs, children's ends, and calls that break in the middle.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use epipe::io::PipeWriter;
use epipe::net::TcpStream;
use epipe::raw;

use crate::Scene;
use crate::c_calls::splice_raises;
use crate::rows::{broken_child, pairs};
use crate::support::{
    Break, assert_epipe, broken_pipe, broken_stream, file, foreign_write, is_blocked, is_pending,
    slices, spell, tcp_pair,
};

/// A FIFO whose reader is gone.
pub fn broken_fifo() -> OwnedFd {
    let path = std::env::temp_dir().join(format!("epipe-fifo-{}", std::process::id()));
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: a NUL-terminated path.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
    let writer = OpenOptions::new().write(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    drop(reader);
    writer.into()
}

/// A connection with data to read, then its end.
fn readable_stream() -> std::net::TcpStream {
    let (ours, theirs) = tcp_pair("127.0.0.1:0").unwrap();
    foreign_write(theirs, b"record").unwrap();
    ours.into()
}

/// A pipe with data in it, then its end.
fn readable_pipe() -> io::PipeReader {
    let (ours, theirs) = io::pipe().unwrap();
    foreign_write(&theirs, b"record").unwrap();
    ours
}

pub fn scenes() -> Vec<Scene> {
    let mut scenes = pairs! {
        "pipe: write":
            PipeWriter::from(broken_pipe()).write(b"x"),
            control io::PipeWriter::from(broken_pipe()).write(b"x");
        "pipe: write by reference":
            (&PipeWriter::from(broken_pipe())).write(b"x"),
            control (&io::PipeWriter::from(broken_pipe())).write(b"x");
        "pipe: write_all":
            PipeWriter::from(broken_pipe()).write_all(b"x"),
            control io::PipeWriter::from(broken_pipe()).write_all(b"x");
        "pipe: write_fmt":
            write!(PipeWriter::from(broken_pipe()), "{}", 1),
            control write!(io::PipeWriter::from(broken_pipe()), "{}", 1);
        "pipe: write_vectored":
            PipeWriter::from(broken_pipe()).write_vectored(&slices()),
            control io::PipeWriter::from(broken_pipe()).write_vectored(&slices());
        "pipe: write_vectored by reference":
            (&PipeWriter::from(broken_pipe())).write_vectored(&slices()),
            control (&io::PipeWriter::from(broken_pipe())).write_vectored(&slices());
        "pipe: BufWriter":
            BufWriter::new(PipeWriter::from(broken_pipe())).write_all(&[0; 10_000]),
            control BufWriter::new(io::PipeWriter::from(broken_pipe())).write_all(&[0; 10_000]);
        "pipe: a clone's write":
            PipeWriter::from(broken_pipe()).try_clone().unwrap().write(b"x"),
            control io::PipeWriter::from(broken_pipe()).try_clone().unwrap().write(b"x");
        "pipe: io::pipe": {
            let (reader, mut writer) = epipe::io::pipe().unwrap();
            drop(reader);
            writer.write(b"x")
        },
            control {
                let (reader, mut writer) = io::pipe().unwrap();
                drop(reader);
                writer.write(b"x")
            };
        "pipe: From<std::io::PipeWriter>":
            PipeWriter::from(io::PipeWriter::from(broken_pipe())).write(b"x"),
            control io::PipeWriter::from(broken_pipe()).write(b"x");
        "pipe: larger than its buffer":
            PipeWriter::from(broken_pipe()).write(&[0; 1 << 20]),
            control io::PipeWriter::from(broken_pipe()).write(&[0; 1 << 20]);
        "pipe: raw::write":
            raw::write(broken_pipe(), b"x"),
            control foreign_write(broken_pipe(), b"x");
        "pipe: raw::write_vectored":
            raw::write_vectored(broken_pipe(), &slices()),
            control File::from(broken_pipe()).write_vectored(&slices());
        "fifo: write":
            PipeWriter::from(broken_fifo()).write(b"x"),
            control File::from(broken_fifo()).write(b"x");
        "fifo: raw::write":
            raw::write(broken_fifo(), b"x"),
            control foreign_write(broken_fifo(), b"x");
        "a child's stdin: write":
            PipeWriter::from(broken_child()).write(b"x"),
            control broken_child().write(b"x");
        "a child's stdin: write_vectored":
            PipeWriter::from(broken_child()).write_vectored(&slices()),
            control broken_child().write_vectored(&slices());
        "a child's stdin: io::copy from bytes":
            epipe::io::copy(&mut &b"x"[..], &mut broken_child()),
            control io::copy(&mut &b"x"[..], &mut broken_child());
        "pipe: io::copy from a file":
            epipe::io::copy(&mut file(100), &mut PipeWriter::from(broken_pipe())),
            control io::copy(&mut file(100), &mut io::PipeWriter::from(broken_pipe()));
        "pipe: io::copy by dyn": {
            let mut writer = PipeWriter::from(broken_pipe());
            epipe::io::copy(&mut file(100) as &mut dyn Read, &mut writer as &mut dyn Write)
        },
            control {
                let mut writer = io::PipeWriter::from(broken_pipe());
                io::copy(&mut file(100) as &mut dyn Read, &mut writer as &mut dyn Write)
            };
    };
    let from_a_socket = pairs! {
        "a child's stdin: io::copy from a socket":
            epipe::io::copy(&mut readable_stream(), &mut broken_child()),
            control io::copy(&mut readable_stream(), &mut broken_child());
        "pipe: io::copy from a socket":
            epipe::io::copy(&mut readable_stream(), &mut PipeWriter::from(broken_pipe())),
            control io::copy(&mut readable_stream(), &mut io::PipeWriter::from(broken_pipe()));
    };
    let is_as_on_linux = splice_raises();
    scenes.extend(
        from_a_socket
            .into_iter()
            .map(|scene| scene.only_where(is_as_on_linux, "splice differs here")),
    );
    let from_a_pipe = pairs! {
        "pipe: io::copy from a pipe":
            epipe::io::copy(&mut readable_pipe(), &mut PipeWriter::from(broken_pipe())),
            control io::copy(&mut readable_pipe(), &mut io::PipeWriter::from(broken_pipe()));
    };
    scenes.extend(from_a_pipe.into_iter().map(|scene| scene.control_only_if(is_as_on_linux)));
    scenes.extend(midway());
    scenes.extend(untouched());
    scenes.extend(contended());
    scenes
}

const LARGE: usize = 1 << 20;

/// Writes a megabyte into a pipe whose reader leaves after a tenth of it. On Linux such a write
/// raises, but reports the bytes that it has written. Elsewhere it reports EPIPE (XNU, NetBSD and
/// OpenBSD sys_pipe.c `pipe_write`), or raises nothing (FreeBSD's).
pub fn reader_leaves_midway(write: impl FnOnce(OwnedFd, &[u8]) -> io::Result<usize>) {
    let (mut reader, writer) = io::pipe().unwrap();
    let reading = thread::spawn(move || reader.read_exact(&mut vec![0; LARGE / 10]).unwrap());
    let written = write(writer.into(), &vec![0; LARGE]);
    reading.join().unwrap();
    match written {
        Ok(written) => assert!((LARGE / 10..LARGE).contains(&written), "{written}"),
        Err(_) => assert!(cfg!(not(kernel = "linux")) && spell(&written) == "EPIPE"),
    }
}

fn midway() -> Vec<Scene> {
    fn quiet() {
        assert!(!is_blocked() && !is_pending());
        crate::guards::assert_default();
    }
    /// Asserts that our write takes its signal back before the guard ends.
    fn under_guard(write: impl FnOnce(OwnedFd, &[u8]) -> io::Result<usize>) {
        let guard = epipe::sigpipe::guard().unwrap();
        reader_leaves_midway(write);
        assert!(!is_pending(), "the write left its SIGPIPE pending");
        drop(guard);
        quiet();
    }
    vec![
        Scene::survives("midway: pipe write", || {
            reader_leaves_midway(|fd, buf| PipeWriter::from(fd).write(buf));
            quiet();
        }),
        Scene::survives("midway: pipe write_vectored", || {
            reader_leaves_midway(|fd, buf| {
                let (a, b) = buf.split_at(10);
                PipeWriter::from(fd).write_vectored(&[IoSlice::new(a), IoSlice::new(b)])
            });
            quiet();
        }),
        Scene::survives("midway: raw::write", || {
            reader_leaves_midway(raw::write);
            quiet();
        }),
        Scene::survives("midway: pipe write under a guard", || {
            under_guard(|fd, buf| PipeWriter::from(fd).write(buf));
        }),
        Scene::survives("midway: pipe write_vectored under a guard", || {
            under_guard(|fd, buf| PipeWriter::from(fd).write_vectored(&[IoSlice::new(buf)]));
        }),
        Scene::survives("midway: a foreign write under a guard", || {
            reader_leaves_midway(|fd, buf| {
                epipe::sigpipe::suppressed(|| foreign_write(fd, buf)).unwrap()
            });
            quiet();
        }),
        Scene::dies("midway: control", || {
            reader_leaves_midway(foreign_write);
        })
        .control_only_if(cfg!(not(kernel = "freebsd"))),
    ]
}

/// Ends that are passed on reach a child unchanged.
fn untouched() -> Vec<Scene> {
    vec![Scene::survives("a pipe end that goes to a child works there", || {
        let (mut reader, writer) = epipe::io::pipe().unwrap();
        let mut child = Command::new("echo").arg("hello").stdout(writer).spawn().unwrap();
        let mut printed = String::new();
        reader.read_to_string(&mut printed).unwrap();
        assert_eq!(printed, "hello\n");
        assert!(child.wait().unwrap().success());

        let (reader, mut writer) = epipe::io::pipe().unwrap();
        let mut child = Command::new("cat").stdin(reader).stdout(Stdio::piped()).spawn().unwrap();
        writer.write_all(b"through").unwrap();
        drop(writer);
        let mut answer = String::new();
        let mut out = epipe::io::PipeReader::from(child.stdout.take().unwrap());
        out.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "through");
        assert!(child.wait().unwrap().success());
        assert!(out.as_fd().try_clone_to_owned().is_ok());
    })]
}

/// Sets a descriptor's flags, whatever they were.
pub fn set_flags(fd: BorrowedFd<'_>) {
    // SAFETY: the command takes an integer.
    assert_eq!(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, 0) }, 0);
}

/// Writes repeatedly while another thread sets the descriptor's flags. On NetBSD each F_SETFL
/// clears the descriptor's flag, also on a socket.
fn while_flags_are_set<W: AsFd + Sync>(broken: W, write: fn(&W) -> io::Result<usize>) {
    static DONE: AtomicBool = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !DONE.load(Ordering::Acquire) {
                set_flags(broken.as_fd());
            }
        });
        // Long enough that both meet, even on one processor.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(500) {
            drop(write(&broken));
        }
        DONE.store(true, Ordering::Release);
    });
}

fn contended() -> Vec<Scene> {
    vec![
        Scene::survives("pipe: its flags are set meanwhile", || {
            while_flags_are_set(PipeWriter::from(broken_pipe()), |mut pipe| pipe.write(b"x"));
        }),
        Scene::survives("socket: its flags are set meanwhile", || {
            while_flags_are_set(TcpStream::from(broken_stream()), |mut it| it.write(b"x"));
        }),
        Scene::survives("socket: its flags are set during an empty write", || {
            let (ours, theirs) = tcp_pair("127.0.0.1:0").unwrap();
            Break::Rst.apply(ours.as_fd(), theirs).unwrap();
            while_flags_are_set(TcpStream::from(ours), |mut it| it.write_vectored(&[]));
        }),
    ]
}
