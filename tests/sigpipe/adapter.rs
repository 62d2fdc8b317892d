//! `NoSigpipe`: handles whose type cannot be replaced.

use std::fs::File;
use std::io::{self, IoSlice, Read, Seek, SeekFrom, Write, stderr, stdout};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::process::{Command, Stdio, Termination as _};
use std::sync::Arc;

use epipe::io::{BestEffort, PipeWriter};
use epipe::sigpipe::{guard, suppressed};
use epipe::{Adopt, Guarded, NoSigpipe};

use crate::Scene;
use crate::bad_input::same;
use crate::guards::{GOES_BACK, HANDLER_STAYS};
use crate::pipes::broken_fifo;
use crate::rows::{DATA, Row, broken_child, call, pairs, play_rows};
use crate::support::{
    Break, assert_epipe, broken_pipe, file, foreign_write, is_blocked, slices, spell, tcp_pair,
    unix_pair,
};

fn adopt<T: Adopt>(handle: T) -> NoSigpipe<T> {
    NoSigpipe::new(handle).unwrap()
}

/// A user's types that know nothing of this crate: one without a buffer, one with a buffer.
struct Foreign(std::net::TcpStream);
struct Buffered(io::BufWriter<File>);

impl Write for Foreign {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        foreign_write(&self.0, buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Buffered {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Writes before it reads, as a TLS stream may.
impl Read for Foreign {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.write(b"an alert")
    }
}

/// Writes out its buffer first.
impl Seek for Buffered {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

/// Like [`Foreign`], but its author has implemented `Adopt`.
struct Known(Foreign);

impl AsFd for Known {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}

impl Write for Known {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Adopt for Known {}

impl From<OwnedFd> for Foreign {
    fn from(fd: OwnedFd) -> Foreign {
        Foreign(fd.into())
    }
}

impl From<OwnedFd> for Known {
    fn from(fd: OwnedFd) -> Known {
        Known(fd.into())
    }
}

/// `Type: adapter => call`: adopts a descriptor as a `Type`, then makes the call.
macro_rules! ours {
    ($type:ty: $adapter:ident => $call:expr) => {
        |fd| {
            #[allow(unused_mut)]
            let mut $adapter = adopt(<$type>::from(fd));
            Box::new(move || ($call).map(|n| n as u64))
        }
    };
}

/// The same, under a guard.
macro_rules! guarded {
    ($type:ty: $adapter:ident => $call:expr) => {
        |fd| {
            let mut $adapter = Guarded::new(<$type>::from(fd));
            Box::new(move || ($call).map(|n| n as u64))
        }
    };
}

fn rows_of_any_stream() -> Vec<Row> {
    vec![
        Row {
            name: "NoSigpipe<socket2::Socket>: write",
            ours: ours!(socket2::Socket: s => s.write(DATA)),
            control: call!(socket2::Socket: s => s.write(DATA)),
        },
        Row {
            name: "NoSigpipe<socket2::Socket>: write_vectored by reference",
            ours: ours!(socket2::Socket: s => (&s).write_vectored(&slices())),
            control: call!(socket2::Socket: s => (&s).write_vectored(&slices())),
        },
        Row {
            name: "NoSigpipe<File>: write",
            ours: ours!(File: s => s.write(DATA)),
            control: call!(File: s => s.write(DATA)),
        },
        Row {
            name: "NoSigpipe<File>: write_vectored",
            ours: ours!(File: s => s.write_vectored(&slices())),
            control: call!(File: s => s.write_vectored(&slices())),
        },
        Row {
            name: "NoSigpipe<Arc<File>>: write by reference",
            ours: |fd| {
                let s = adopt(Arc::new(File::from(fd)));
                Box::new(move || (&s).write(DATA).map(|n| n as u64))
            },
            control: call!(File: s => (&s).write(DATA)),
        },
        Row {
            name: "NoSigpipe<OwnedFd>: write",
            ours: ours!(OwnedFd: s => s.write(DATA)),
            control: call!(OwnedFd: s => foreign_write(&s, DATA)),
        },
        Row {
            name: "NoSigpipe<OwnedFd>: write_vectored by reference",
            ours: ours!(OwnedFd: s => (&s).write_vectored(&slices())),
            control: call!(File: s => (&s).write_vectored(&slices())),
        },
        Row {
            name: "NoSigpipe<Arc<OwnedFd>>: write",
            ours: |fd| {
                let mut s = adopt(Arc::new(fd));
                Box::new(move || s.write(DATA).map(|n| n as u64))
            },
            control: call!(OwnedFd: s => foreign_write(&s, DATA)),
        },
        Row {
            name: "NoSigpipe<BorrowedFd>: write_all",
            ours: call!(OwnedFd: s => adopt(s.as_fd()).write_all(DATA).map(|()| 0)),
            control: call!(File: s => s.write_all(DATA).map(|()| 0)),
        },
        Row {
            name: "NoSigpipe<Box<Socket>>: write",
            ours: |fd| {
                let mut s = adopt(Box::new(socket2::Socket::from(fd)));
                Box::new(move || s.write(DATA).map(|n| n as u64))
            },
            control: call!(socket2::Socket: s => s.write(DATA)),
        },
        Row {
            name: "NoSigpipe<&Socket>: write_fmt",
            ours: call!(socket2::Socket: s => write!(adopt(&s), "{}", 1).map(|()| 0)),
            control: call!(socket2::Socket: s => write!(s, "{}", 1).map(|()| 0)),
        },
        Row {
            name: "NoSigpipe<&mut Socket>: write",
            ours: call!(socket2::Socket: s => adopt(&mut s).write(DATA)),
            control: call!(socket2::Socket: s => s.write(DATA)),
        },
        Row {
            name: "io::copy into NoSigpipe<File>",
            ours: ours!(File: s => io::copy(&mut &*DATA, &mut s)),
            control: call!(File: s => io::copy(&mut &*DATA, &mut s)),
        },
        Row {
            name: "io::copy from a file into NoSigpipe<File>",
            ours: ours!(File: s => io::copy(&mut file(100), &mut s)),
            control: call!(File: s => io::copy(&mut file(100), &mut s)),
        },
    ]
}

/// The rows whose control is std's own stream.
macro_rules! stream_rows {
    ($std:ty) => {
        [
            Row {
                name: "NoSigpipe<std stream>: write_vectored",
                ours: ours!($std: s => s.write_vectored(&slices())),
                control: call!($std: s => s.write_vectored(&slices())),
            },
            Row {
                name: "NoSigpipe<std stream>: write_vectored by reference",
                ours: ours!($std: s => (&s).write_vectored(&slices())),
                control: call!($std: s => (&s).write_vectored(&slices())),
            },
            Row {
                name: "NoSigpipe<std stream>: write_vectored after get_mut",
                ours: ours!($std: s => {
                    s.get_mut();
                    s.write_vectored(&slices())
                }),
                control: call!($std: s => s.write_vectored(&slices())),
            },
            Row {
                name: "NoSigpipe<&std stream>: write_vectored",
                ours: call!($std: s => adopt(&s).write_vectored(&slices())),
                control: call!($std: s => (&s).write_vectored(&slices())),
            },
            Row {
                name: "NoSigpipe<Arc<std stream>>: write_vectored",
                ours: |fd| {
                    let mut s = adopt(Arc::new(<$std>::from(fd)));
                    Box::new(move || s.write_vectored(&slices()).map(|n| n as u64))
                },
                control: call!($std: s => s.write_vectored(&slices())),
            },
            Row {
                name: "NoSigpipe<Box<std stream>>: write_vectored",
                ours: |fd| {
                    let mut s = adopt(Box::new(<$std>::from(fd)));
                    Box::new(move || s.write_vectored(&slices()).map(|n| n as u64))
                },
                control: call!($std: s => s.write_vectored(&slices())),
            },
        ]
    };
}

fn user_rows() -> Vec<Row> {
    vec![
        Row {
            name: "a type of the user's, guarded: write",
            ours: guarded!(Foreign: s => s.write(DATA)),
            control: call!(Foreign: s => s.write(DATA)),
        },
        Row {
            name: "a type of the user's, guarded: write_all",
            ours: guarded!(Foreign: s => s.write_all(DATA).map(|()| 0)),
            control: call!(Foreign: s => s.write_all(DATA).map(|()| 0)),
        },
        Row {
            name: "a type of the user's, guarded: write_vectored",
            ours: guarded!(Foreign: s => s.write_vectored(&slices())),
            control: call!(Foreign: s => s.write_vectored(&slices())),
        },
        Row {
            name: "a type of the user's, guarded: a read that writes",
            ours: guarded!(Foreign: s => s.read(&mut [0])),
            control: call!(Foreign: s => s.read(&mut [0])),
        },
        Row {
            name: "a type of the user's, adopted: write_vectored",
            ours: ours!(Known: s => s.write_vectored(&slices())),
            control: call!(Known: s => s.write_vectored(&slices())),
        },
    ]
}

pub fn scenes() -> Vec<Scene> {
    let tcp4 = || tcp_pair("127.0.0.1:0");
    let mut scenes = play_rows(tcp4, "tcp", Break::TCP, &rows_of_any_stream());
    scenes.extend(play_rows(tcp4, "tcp", Break::TCP, &stream_rows!(std::net::TcpStream)));
    scenes.extend(play_rows(tcp4, "tcp", Break::TCP, &user_rows()));
    scenes.extend(play_rows(unix_pair, "unix", Break::UNIX, &rows_of_any_stream()));
    scenes.extend(play_rows(
        unix_pair,
        "unix",
        Break::UNIX,
        &stream_rows!(std::os::unix::net::UnixStream),
    ));
    scenes.extend(pipes());
    // With a write flag: `refusals.rs`.
    #[cfg(all(fd_flag, not(epipe_refused = "fd_flag")))]
    scenes.extend(pairs! {
        "a file that a pipe replaces": {
            let mut file = NoSigpipe::new(file(0)).unwrap();
            assert_eq!(file.write(b"x").unwrap(), 1);
            crate::support::close_the_reader_of(file.as_raw_fd());
            assert_epipe(file.write_vectored(&[IoSlice::new(b"x")]));
            file.write(b"x")
        },
            control {
                let file = file(0);
                crate::support::close_the_reader_of(file.as_raw_fd());
                foreign_write(&file, b"x")
            };
    });
    scenes.extend(standard_output());
    scenes.extend(files());
    scenes.extend(adoption());
    scenes
}

fn pipes() -> Vec<Scene> {
    pairs! {
        "adapter: ChildStdin: write":
            adopt(broken_child()).write(b"x"),
            control broken_child().write(b"x");
        "adapter: ChildStdin: write_vectored by reference":
            (&adopt(broken_child())).write_vectored(&slices()),
            control (&broken_child()).write_vectored(&slices());
        "adapter: ChildStdin: write_all":
            adopt(broken_child()).write_all(b"x"),
            control broken_child().write_all(b"x");
        "adapter: ChildStdin: io::copy":
            io::copy(&mut file(100), &mut adopt(broken_child())),
            control io::copy(&mut file(100), &mut broken_child());
        "adapter: &mut ChildStdin: write": {
            let mut stdin = broken_child();
            adopt(&mut stdin).write(b"x")
        },
            control broken_child().write(b"x");
        "adapter: File on a FIFO: write":
            adopt(File::from(broken_fifo())).write(b"x"),
            control File::from(broken_fifo()).write(b"x");
        "adapter: File on a FIFO: write_vectored":
            adopt(File::from(broken_fifo())).write_vectored(&slices()),
            control File::from(broken_fifo()).write_vectored(&slices());
        "adapter: File on a FIFO: write_fmt":
            write!(adopt(File::from(broken_fifo())), "{}", 1),
            control write!(File::from(broken_fifo()), "{}", 1);
        "adapter: PipeWriter: write":
            adopt(io::PipeWriter::from(broken_pipe())).write(b"x"),
            control io::PipeWriter::from(broken_pipe()).write(b"x");
        "adapter: OwnedFd of a pipe: write":
            adopt(broken_pipe()).write(b"x"),
            control foreign_write(broken_pipe(), b"x");
        "adapter: BorrowedFd of a FIFO: write_vectored":
            adopt(broken_fifo().as_fd()).write_vectored(&slices()),
            control File::from(broken_fifo()).write_vectored(&slices());
        "adapter: a BufWriter of the user's, guarded: flush": {
            let mut buffered = Guarded::new(Buffered(io::BufWriter::new(broken_pipe().into())));
            buffered.write_all(b"kept").unwrap(); // not written yet
            let answer = buffered.flush();
            let _ = buffered.into_inner().0.into_parts(); // discards the buffer
            answer
        },
            control {
                let mut buffered = Buffered(io::BufWriter::new(broken_pipe().into()));
                buffered.write_all(b"kept").unwrap();
                buffered.flush()
            };
        "adapter: a BufWriter of the user's, guarded: a seek that writes": {
            let mut buffered = Guarded::new(Buffered(io::BufWriter::new(broken_pipe().into())));
            buffered.write_all(b"kept").unwrap();
            let answer = buffered.seek(SeekFrom::Start(0));
            let _ = buffered.into_inner().0.into_parts();
            answer
        },
            control {
                let mut buffered = Buffered(io::BufWriter::new(broken_pipe().into()));
                buffered.write_all(b"kept").unwrap();
                buffered.seek(SeekFrom::Start(0))
            };
        "adapter: a BufWriter of the user's, guarded: a drop that writes": {
            let mut buffered = Guarded::new(io::BufWriter::new(File::from(broken_pipe())));
            buffered.write_all(b"kept").unwrap();
            drop(buffered); // ignores the error
            adopt(broken_pipe()).write(b"x")
        },
            control {
                let mut buffered = io::BufWriter::new(File::from(broken_pipe()));
                buffered.write_all(b"kept").unwrap();
                drop(buffered);
                io::Result::Ok(0)
            };
        "adapter: a boxed writer, guarded: write": {
            let boxed: Box<dyn Write> = Box::new(File::from(broken_pipe()));
            Guarded::new(boxed).write(b"x")
        },
            control {
                let mut boxed: Box<dyn Write> = Box::new(File::from(broken_pipe()));
                boxed.write(b"x")
            };
        "adapter: dup2 puts a pipe in a socket's place": {
            let mut adapter = adopt(unix_pair().unwrap().0);
            redirect(&broken_pipe(), adapter.as_raw_fd());
            assert_epipe(adapter.write_vectored(&slices()));
            adapter.write(b"x")
        },
            control {
                let socket = unix_pair().unwrap().0;
                redirect(&broken_pipe(), socket.as_raw_fd());
                foreign_write(socket, b"x")
            };
        "adapter: get_mut puts a pipe in a file's place": {
            let mut adapter = adopt(file(0));
            adapter.write_all(b"x").unwrap();
            *adapter.get_mut() = File::from(broken_pipe());
            adapter.write(b"x")
        },
            control File::from(broken_pipe()).write(b"x");
        "adapter: get_mut puts a pipe in a socket's place": {
            let mut adapter = adopt(unix_pair().unwrap().0);
            adapter.write(b"x").unwrap_err();
            *adapter.get_mut() = broken_pipe();
            adapter.write(b"x")
        },
            control File::from(broken_pipe()).write(b"x");
    }
}

/// Replaces the descriptor `standard` by a copy of `fd`.
fn redirect(fd: &OwnedFd, standard: RawFd) {
    // SAFETY: both descriptors are open.
    assert_eq!(unsafe { libc::dup2(fd.as_raw_fd(), standard) }, standard);
}

/// std writes the buffered rest of standard output when `main` returns. A forgotten guard is still
/// in force then.
fn keep_guarded_to_the_end() {
    std::mem::forget(guard().unwrap());
}

fn standard_output() -> Vec<Scene> {
    fn lose_the_readers() {
        redirect(&broken_pipe(), 1);
        redirect(&broken_pipe(), 2);
    }
    let mut scenes = vec![
        Scene::survives("standard output: write and flush", || {
            lose_the_readers();
            let mut out = epipe::io::stdout();
            out.write_all(b"no line yet").unwrap();
            assert_epipe(out.flush());
            assert_epipe(writeln!(out, "a line"));
            assert_epipe((&out).write(b"a line\n"));
            keep_guarded_to_the_end();
        })
        .alone(),
        Scene::dies("standard output: write and flush: control", || {
            lose_the_readers();
            let _ = writeln!(stdout(), "a line");
        }),
        Scene::survives("standard output, locked: write", || {
            lose_the_readers();
            assert_epipe(epipe::io::stdout().lock().write_all(b"a line\n"));
            keep_guarded_to_the_end();
        })
        .alone(),
        Scene::dies("standard output, locked: write: control", || {
            lose_the_readers();
            let _ = stdout().lock().write_all(b"a line\n");
        }),
        Scene::dies("standard output: println!: control", || {
            lose_the_readers();
            println!("a line");
        }),
        Scene::dies(
            "standard output: what is kept is written when main returns: the limit",
            || {
                lose_the_readers();
                let mut out = epipe::io::stdout();
                out.write_all(b"no line yet").unwrap();
                assert_epipe(out.flush());
            },
        )
        .only_where(GOES_BACK, HANDLER_STAYS),
        Scene::survives("BestEffort: what a vanished reader cannot get", || {
            let mut log = BestEffort(PipeWriter::from(broken_pipe()));
            assert_eq!(log.write(b"four").unwrap(), 4);
            log.write_all(b"x").unwrap();
            writeln!(log, "a line").unwrap();
            lose_the_readers();
            let mut log = BestEffort(epipe::io::stdout());
            log.write_all(b"no line yet").unwrap();
            log.flush().unwrap();
            keep_guarded_to_the_end();
        })
        .alone(),
        Scene::dies("BestEffort: what a vanished reader cannot get: control", || {
            BestEffort(io::PipeWriter::from(broken_pipe())).write_all(b"x").unwrap();
        }),
        Scene::survives("BestEffort: a socket reports its reset first", || {
            let (ours, theirs) = tcp_pair("127.0.0.1:0").unwrap();
            Break::Rst.apply(ours.as_fd(), theirs).unwrap();
            let mut log = BestEffort(epipe::net::TcpStream::from(ours));
            (0..3).for_each(|_| log.write_all(b"x").unwrap());
        }),
        Scene::survives("BestEffort: other errors pass", || {
            let (reader, _writer) = io::pipe().unwrap();
            let mut log = BestEffort(File::from(OwnedFd::from(reader)));
            let error = log.write_all(b"x").unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EBADF));
        }),
        Scene::survives("end of main: a forgotten guard, print!", || {
            lose_the_readers();
            print!("no line yet");
            keep_guarded_to_the_end();
        })
        .alone(),
        Scene::dies("end of main: a forgotten guard, print!: control", || {
            lose_the_readers();
            print!("no line yet");
        }),
        Scene::survives("end of main: suppressed exit, print!", || {
            lose_the_readers();
            print!("no line yet");
            suppressed(|| std::process::exit(0)).unwrap()
        })
        .exits()
        // std unmaps the main thread's signal stack, while the handler may be about to run on it.
        .alone(),
        Scene::dies("end of main: suppressed exit, print!: control", || {
            lose_the_readers();
            print!("no line yet");
            std::process::exit(0);
        }),
        Scene::survives("end of main: a forgotten guard, an error returned", || {
            lose_the_readers();
            let answer = writeln!(epipe::io::stdout(), "a line");
            keep_guarded_to_the_end();
            answer.report();
        })
        .alone(),
        Scene::dies("end of main: a forgotten guard, an error returned: control", || {
            lose_the_readers();
            // `main` reports a returned error like this: it writes to standard error.
            Err::<(), _>(io::Error::from(io::ErrorKind::BrokenPipe)).report();
        }),
        Scene::survives("standard output keeps the order of print!", || {
            let (mut reader, writer) = io::pipe().unwrap();
            redirect(&writer.into(), 1);
            let mut out = epipe::io::stdout();
            print!("1");
            write!(out, "2").unwrap();
            print!("3");
            writeln!(&out, "4").unwrap();
            write!(epipe::io::stdout().lock(), "5").unwrap();
            println!("6");
            let mut written = [0; 8];
            reader.read_exact(&mut written).unwrap();
            assert_eq!(&written, b"1234\n56\n");
        }),
        Scene::survives("standard output: a lock holds no guard", || {
            let (reader, writer) = io::pipe().unwrap();
            redirect(&writer.into(), 1);
            let mut lock = epipe::io::stdout().lock();
            writeln!(lock, "a line").unwrap();
            assert!(!is_blocked(), "a child would inherit the mask");
            drop(lock);
            assert!(!epipe::io::stdout().is_terminal());
            drop(reader);
        }),
    ];
    scenes.extend(pairs! {
        "standard error: write": {
            lose_the_readers();
            epipe::io::stderr().write(b"x")
        },
            control {
                lose_the_readers();
                stderr().write(b"x")
            };
        "standard error, locked: write_fmt": {
            lose_the_readers();
            write!(epipe::io::stderr().lock(), "{}", 1)
        },
            control {
                lose_the_readers();
                write!(stderr().lock(), "{}", 1)
            };
        "standard output as a descriptor: write": {
            lose_the_readers();
            // SAFETY: descriptor 1 stays open.
            adopt(unsafe { BorrowedFd::borrow_raw(1) }).write(b"x")
        },
            control {
                lose_the_readers();
                // SAFETY: as above.
                foreign_write(unsafe { BorrowedFd::borrow_raw(1) }, b"x")
            };
    });
    scenes
}

fn files() -> Vec<Scene> {
    vec![
        Scene::survives("adapter: a regular file is read, written and sought", || {
            let mut adapter = adopt(file(0));
            adapter.write_all(b"one two").unwrap();
            assert_eq!(adapter.write_vectored(&slices()).unwrap(), 10);
            assert_eq!(adapter.seek(SeekFrom::Start(4)).unwrap(), 4);
            let mut rest = String::new();
            adapter.read_to_string(&mut rest).unwrap();
            assert_eq!(rest, "twoheaderbody");
        }),
        Scene::survives("adapter: other descriptors answer as they do by themselves", || {
            let kinds: &[fn() -> File] = &[
                || File::options().write(true).open("/dev/null").unwrap(),
                || File::open("/dev/null").unwrap(),
                || File::open("/").unwrap(),
                #[cfg(target_os = "linux")]
                || File::options().write(true).open("/dev/full").unwrap(),
                #[cfg(target_os = "linux")]
                || crate::support::eventfd().into(),
            ];
            for kind in kinds {
                for data in [&[1_u8; 8][..], &[1; 3], &[]] {
                    let (mut ours, mut std) = (adopt(kind()), kind());
                    same(ours.write(data), || std.write(data));
                    let data = [IoSlice::new(data)];
                    let (mut ours, mut std) = (adopt(kind()), kind());
                    same(ours.write_vectored(&data), || std.write_vectored(&data));
                    same(ours.write_vectored(&[]), || std.write_vectored(&[]));
                }
            }
        }),
    ]
}

fn adoption() -> Vec<Scene> {
    vec![
        Scene::survives("adapter: a closed descriptor is given back", || {
            let fd = unix_pair().unwrap().0.as_raw_fd(); // closed by now
            // SAFETY: deliberately broken: the descriptor is closed. The scene tests this misuse,
            // and opens no descriptor meanwhile.
            let error = NoSigpipe::new(unsafe { BorrowedFd::borrow_raw(fd) }).unwrap_err();
            assert_eq!(error.error().raw_os_error(), Some(libc::EBADF));
            assert!(format!("{error} {error:?}").contains("Bad file descriptor"));
            assert_eq!(error.into_inner().as_raw_fd(), fd);
            // SAFETY: as above.
            let error = NoSigpipe::new(unsafe { BorrowedFd::borrow_raw(fd) }).unwrap_err();
            assert_eq!(io::Error::from(error).raw_os_error(), Some(libc::EBADF));
        }),
        Scene::survives("adapter: get_mut puts a closed descriptor in its place", || {
            let mut adapter = adopt(file(0));
            let fd = unix_pair().unwrap().0.as_raw_fd();
            // SAFETY: as above. `forget` keeps the adapter from closing the number.
            *adapter.get_mut() = unsafe { File::from_raw_fd(fd) };
            let answers = [adapter.write(b"x"), adapter.write_vectored(&slices())];
            std::mem::forget(adapter);
            for answer in answers {
                assert_eq!(answer.unwrap_err().raw_os_error(), Some(libc::EBADF));
            }
        }),
        Scene::survives("adapter: a child gets its input and its end", || {
            let mut child =
                Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let mut stdin = adopt(child.stdin.take().unwrap());
            stdin.write_all(b"through").unwrap();
            drop(stdin);
            let mut answer = String::new();
            child.stdout.take().unwrap().read_to_string(&mut answer).unwrap();
            assert_eq!(answer, "through");
            assert!(child.wait().unwrap().success());
        }),
        Scene::survives("adapter: the handle comes back as it was", || {
            let adapter = adopt(broken_pipe());
            let fd = adapter.as_raw_fd();
            assert_eq!(adapter.get_ref().as_raw_fd(), fd);
            let back: OwnedFd = adapter.into();
            assert_eq!(adopt(back).into_inner().as_raw_fd(), fd);
            assert_eq!(spell(&adopt(broken_pipe()).write(b"x")), "EPIPE");
        }),
    ]
}

/// Scenes that seccomp filters check.
#[cfg(kernel = "linux")]
pub fn of_linux() -> Vec<Scene> {
    use crate::guards::MASKS_THE_THREAD;
    use crate::ignored_flags::{has_send_flag, has_write_flag};
    use crate::seccomp::{DEADLY, NO_FILTERS, Which, can_be_filtered, filter, refusing};

    let scenes = [
        // The write alone: the calls of a guard and of a flag are forbidden here.
        Scene::survives("adapter: a regular file is written to without a guard or a flag", || {
            let mut adapter = adopt(file(0));
            filter(libc::SYS_pwritev2, Which::All, refusing(libc::EPERM));
            filter(libc::SYS_rt_sigprocmask, Which::All, refusing(libc::EPERM));
            assert_eq!(adapter.write(b"x").unwrap(), 1);
            assert_eq!(adapter.write_vectored(&slices()).unwrap(), 10);
            // No guard can begin if the guard is the mask.
            let answer = adopt(io::pipe().unwrap().1).write(b"x");
            assert_eq!(answer.is_err(), MASKS_THE_THREAD);
        }),
        Scene::survives("adapter: a sandbox that forbids to ask what a descriptor is", || {
            for number in [libc::SYS_statx, libc::SYS_fstat] {
                filter(number, Which::All, refusing(libc::EACCES));
            }
            assert_epipe(adopt(File::from(broken_pipe())).write(b"x"));
            let (ours, theirs) = unix_pair().unwrap();
            Break::Closed.apply(ours.as_fd(), theirs).unwrap();
            assert_epipe(adopt(ours).write_vectored(&slices()));
            assert_eq!(adopt(file(0)).write(b"x").unwrap(), 1);
        }),
        Scene::survives("adapter: the kernel is asked once, and a pipe takes one call", || {
            let (_reader, writer) = io::pipe().unwrap();
            let mut pipe = adopt(writer);
            let (_peer, socket) = unix_pair().unwrap();
            let mut socket = adopt(socket);
            pipe.write_all(b"x").unwrap(); // a technique may probe the kernel at its first use
            filter(libc::SYS_rt_sigprocmask, Which::All, refusing(libc::EPERM));
            for number in [libc::SYS_statx, libc::SYS_fstat] {
                filter(number, Which::All, DEADLY);
            }
            pipe.write_all(b"x").unwrap();
            assert_eq!(pipe.write_vectored(&slices()).unwrap(), 10);
            socket.write_all(b"x").unwrap();
            assert_eq!(socket.write_vectored(&slices()).unwrap(), 10);
        })
        .only_where(has_write_flag() && has_send_flag(), "a flag is missing here"),
    ];
    let can = can_be_filtered();
    scenes.into_iter().map(|scene| scene.only_where(can, NO_FILTERS)).collect()
}
