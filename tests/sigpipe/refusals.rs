//! Techniques that the running system refuses. A seccomp filter plays an old kernel, a sandbox, or
//! a network stack without the flag.

use std::fs::OpenOptions;
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use epipe::NoSigpipe;
use epipe::io::PipeWriter;
use epipe::net::TcpStream;
use epipe::raw;
use epipe::verify::Technique;

use crate::Scene;
use crate::exotic::WAYS;
use crate::guards::MASKS_THE_THREAD;
use crate::ignored_flags::{has_send_flag, has_write_flag};
use crate::rows::socket_raises;
use crate::seccomp::{
    Bit, DEADLY, NO_FILTERS, Which, allow_only, can_filter_sockets, filter, refuse_write_flag,
    refusing,
};
use crate::sockets::socket_writes;
use crate::suites::begins_with_verify;
use crate::support::{
    assert_epipe, broken_pipe, broken_stream, eventfd, file, foreign_write, is_pending, mask,
    raise_at_thread, spell, take_pending, tcp_pair, without_descriptors,
};

/// Both calls of the send family that this crate makes, `With` or `Without` MSG_NOSIGNAL.
fn filter_sends(which: fn(Bit) -> Which, action: u32) {
    filter(libc::SYS_sendto, which((3, libc::MSG_NOSIGNAL)), action);
    filter(libc::SYS_sendmsg, which((2, libc::MSG_NOSIGNAL)), action);
}

pub fn refuse_send_flag(error: libc::c_int) {
    filter_sends(Which::With, refusing(error));
}

fn pipe_writes() {
    for _ in 0..3 {
        assert_epipe(PipeWriter::from(broken_pipe()).write(b"x"));
        assert_epipe(PipeWriter::from(broken_pipe()).write_vectored(&[IoSlice::new(b"x")]));
        assert_epipe(raw::write(broken_pipe(), b"x"));
    }
}

pub fn scenes() -> Vec<Scene> {
    let mut scenes = Vec::new();
    for (name, error) in [
        ("EOPNOTSUPP", libc::EOPNOTSUPP),
        ("ENOSYS", libc::ENOSYS),
        ("EINVAL", libc::EINVAL),
        ("EPERM", libc::EPERM),
        ("EACCES", libc::EACCES),
    ] {
        scenes.push(Scene::survives(format!("refused: pwritev2 answers {name}"), move || {
            refuse_write_flag(error);
            pipe_writes();
        }));
    }
    for (name, error) in [
        ("EOPNOTSUPP", libc::EOPNOTSUPP),
        ("ENOPROTOOPT", libc::ENOPROTOOPT),
        ("EINVAL", libc::EINVAL),
        ("ENOSYS", libc::ENOSYS),
    ] {
        scenes.push(Scene::survives(format!("refused: MSG_NOSIGNAL answers {name}"), move || {
            refuse_send_flag(error);
            socket_writes();
        }));
    }
    scenes.extend([
        Scene::dies("refused: control", || {
            refuse_write_flag(libc::ENOSYS);
            let _ = foreign_write(broken_pipe(), b"x");
        }),
        Scene::dies("a file that a pipe replaces: control", || {
            let file = file(0);
            replace(&file, broken_pipe());
            let _ = foreign_write(&file, b"x");
        }),
        Scene::dies("refused: MSG_NOSIGNAL: control", || {
            refuse_send_flag(libc::EINVAL);
            let _ = socket2::Socket::from(broken_stream()).send(b"x");
        })
        .control_only_if(socket_raises(|| tcp_pair("127.0.0.1:0"))),
        Scene::survives("refused: both at once", || {
            refuse_write_flag(libc::ENOSYS);
            refuse_send_flag(libc::EINVAL);
            pipe_writes();
            socket_writes();
        }),
        Scene::survives("refused: the bytes arrive all the same", || {
            refuse_write_flag(libc::ENOSYS);
            refuse_send_flag(libc::EINVAL);
            let (mut reader, mut writer) = epipe::io::pipe().unwrap();
            writer.write_all(b"once").unwrap();
            drop(writer);
            assert_eq!(io::read_to_string(&mut reader).unwrap(), "once");
            let (ours, theirs) = tcp_pair("127.0.0.1:0").unwrap();
            TcpStream::from(ours).write_all(b"once").unwrap();
            assert_eq!(io::read_to_string(std::net::TcpStream::from(theirs)).unwrap(), "once");
        }),
        Scene::survives("refused: no descriptor for the private question", || {
            refuse_write_flag(libc::ENOSYS);
            refuse_send_flag(libc::EINVAL);
            let (mut pipe, mut stream) =
                (PipeWriter::from(broken_pipe()), TcpStream::from(broken_stream()));
            without_descriptors(|| {
                assert_epipe(pipe.write(b"x"));
                assert_epipe(stream.write(b"x"));
            });
            assert_epipe(pipe.write(b"x"));
            assert_epipe(stream.write(b"x"));
            // Now the probe succeeds, and its answer is remembered.
            filter(libc::SYS_pwritev2, Which::All, DEADLY);
            filter_sends(Which::With, DEADLY);
            assert_epipe(pipe.write(b"x"));
            assert_epipe(stream.write(b"x"));
        }),
    ]);
    for (name, number) in
        [("rt_sigpending", libc::SYS_rt_sigpending), ("rt_sigtimedwait", libc::SYS_rt_sigtimedwait)]
    {
        for error in [libc::EPERM, libc::ENOSYS, 0] {
            // A signal that cannot be taken back stays blocked.
            scenes.push(Scene::survives(
                format!("refused: {name} answers {error}, under every guard"),
                move || {
                    filter(number, Which::All, refusing(error));
                    refuse_write_flag(libc::ENOSYS);
                    refuse_send_flag(libc::EINVAL);
                    let answers = [
                        PipeWriter::from(broken_pipe()).write(b"x"),
                        TcpStream::from(broken_stream()).write(b"x"),
                        raw::sendfile(broken_stream(), file(8), 0, None),
                    ];
                    for answer in answers {
                        assert_eq!(spell(&answer), "EPIPE");
                    }
                    if error != 0 || number != libc::SYS_rt_sigpending {
                        let guarded = || drop(foreign_write(broken_pipe(), b"x"));
                        epipe::sigpipe::suppressed(guarded).unwrap();
                    }
                },
            ));
        }
    }
    scenes.extend(late());
    scenes.extend(remembered());
    scenes.extend(with_the_technique());
    let can_be_played = can_filter_sockets();
    scenes.into_iter().map(|scene| scene.only_where(can_be_played, NO_FILTERS)).collect()
}

/// A filter that is installed after the flags were probed and have worked.
fn late() -> Vec<Scene> {
    let mut scenes = Vec::new();
    for (name, error) in [
        ("EOPNOTSUPP", libc::EOPNOTSUPP),
        ("ENOSYS", libc::ENOSYS),
        ("EPERM", libc::EPERM),
        ("EACCES", libc::EACCES),
    ] {
        scenes.push(Scene::survives(format!("refused late: pwritev2 answers {name}"), move || {
            let healthy = || {
                let (mut reader, mut pipe) = epipe::io::pipe().unwrap();
                assert_eq!(pipe.write(b"x").unwrap(), 1);
                assert_eq!(raw::write(&pipe, b"y").unwrap(), 1);
                drop(pipe);
                assert_eq!(io::read_to_string(&mut reader).unwrap(), "xy");
                let (ours, theirs) = tcp_pair("127.0.0.1:0").unwrap();
                assert_eq!(raw::write(&ours, b"x").unwrap(), 1);
                drop(ours);
                assert_eq!(io::read_to_string(std::net::TcpStream::from(theirs)).unwrap(), "x");
            };
            healthy();
            // The eventfd refuses the flag, so the probe runs.
            PipeWriter::from(eventfd()).write_all(&1_u64.to_ne_bytes()).unwrap();
            pipe_writes();
            refuse_write_flag(error);
            healthy();
            pipe_writes();
            assert_epipe(raw::write(broken_stream(), b"x"));
        }));
    }
    for (name, error) in [
        ("EOPNOTSUPP", libc::EOPNOTSUPP),
        ("ENOPROTOOPT", libc::ENOPROTOOPT),
        ("EINVAL", libc::EINVAL),
        ("ENOSYS", libc::ENOSYS),
    ] {
        let name = format!("refused late: MSG_NOSIGNAL answers {name}");
        scenes.push(Scene::survives(name, move || {
            let healthy = || {
                let (ours, theirs) = tcp_pair("127.0.0.1:0").unwrap();
                let mut stream = TcpStream::from(ours);
                assert_eq!(stream.write(b"x").unwrap(), 1);
                assert_eq!(stream.write_vectored(&[IoSlice::new(b"y")]).unwrap(), 1);
                drop(stream);
                assert_eq!(io::read_to_string(std::net::TcpStream::from(theirs)).unwrap(), "xy");
            };
            healthy();
            // The system's error for the port looks like a refusal, so the probe runs.
            let socket = epipe::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.send_to(b"x", "127.0.0.1:0").unwrap_err();
            socket_writes();
            refuse_send_flag(error);
            healthy();
            socket_writes();
            let own = socket.local_addr().unwrap();
            assert_eq!(socket.send_to(b"x", own).unwrap(), 1);
        }));
    }
    scenes
}

/// A refusal is remembered: a call that must not be made again is then deadly.
fn remembered() -> Vec<Scene> {
    vec![
        Scene::survives("remembered: a refused write flag is not tried again", || {
            refuse_write_flag(libc::ENOSYS);
            pipe_writes();
            filter(libc::SYS_pwritev2, Which::All, DEADLY);
            pipe_writes();
        }),
        Scene::survives("remembered: a refused send flag is not tried again", || {
            refuse_send_flag(libc::EINVAL);
            socket_writes();
            filter_sends(Which::With, DEADLY);
            socket_writes();
        }),
    ]
}

/// Ends the scene with success, by one system call.
fn end() -> ! {
    // SAFETY: the process needs nothing more.
    unsafe { libc::_exit(0) }
}

/// Scenes that need the technique itself.
fn with_the_technique() -> Vec<Scene> {
    let mut scenes = Vec::new();
    {
        let with_the_flag = [
            Scene::survives("a healthy write to a socket is one call, with the flag", || {
                let (ours, _theirs) = tcp_pair("127.0.0.1:0").unwrap();
                let mut stream = TcpStream::from(ours);
                filter_sends(Which::Without, DEADLY);
                allow_only(&[libc::SYS_sendto, libc::SYS_sendmsg]);
                let slices = [IoSlice::new(b"x"), IoSlice::new(b"y")];
                assert_eq!(stream.write(b"xy").unwrap(), 2);
                assert_eq!(stream.write_vectored(&slices).unwrap(), 2);
                assert_eq!(raw::send(&stream, b"xy").unwrap(), 2);
                end()
            })
            .exits(),
            Scene::survives("EPERM on a send is a firewall's answer, not a refusal", || {
                refuse_send_flag(libc::EPERM);
                let error = TcpStream::from(broken_stream()).write(b"x").unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::EPERM));
            }),
            Scene::survives("remembered: what a caller's socket refuses is its own", || {
                let socket = epipe::net::UdpSocket::bind("127.0.0.1:0").unwrap();
                let error = socket.send_to(b"x", "127.0.0.1:0").unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
                filter_sends(Which::Without, DEADLY);
                socket_writes();
            }),
        ];
        scenes.extend(
            with_the_flag
                .map(|scene| scene.only_where(has_send_flag(), "there is no send flag here")),
        );
    }
    {
        let with_the_flag = [
            Scene::survives("a healthy write to a pipe is one call, with the flag", || {
                let (_reader, mut writer) = epipe::io::pipe().unwrap();
                allow_only(&[libc::SYS_pwritev2]);
                assert_eq!(writer.write(b"x").unwrap(), 1);
                assert_eq!(writer.write_vectored(&[IoSlice::new(b"x")]).unwrap(), 1);
                assert_eq!(raw::write(&writer, b"x").unwrap(), 1);
                end()
            })
            .exits(),
            Scene::survives("remembered: what an eventfd refuses is its own", || {
                let mut eventfd = PipeWriter::from(eventfd());
                for _ in 0..3 {
                    assert_eq!(eventfd.write(&1_u64.to_ne_bytes()).unwrap(), 8);
                }
                plain_writes_are_deadly_and_not_made();
            }),
            Scene::survives("a device that answers EINVAL to the flag alone", || {
                const ABOVE: libc::c_int = 64; // one bit, for the filter
                let null = OpenOptions::new().write(true).open("/dev/null").unwrap();
                assert_epipe(raw::write(broken_pipe(), b"x")); // the flag proves itself
                filter(libc::SYS_pwritev2, Which::With((0, ABOVE)), refusing(libc::EINVAL));
                for (name, _, way) in WAYS.into_iter().chain(WAYS) {
                    // SAFETY: fcntl makes a descriptor, which nothing else owns.
                    let device = unsafe {
                        let fd = libc::fcntl(null.as_raw_fd(), libc::F_DUPFD_CLOEXEC, ABOVE);
                        assert_eq!(fd, ABOVE);
                        OwnedFd::from_raw_fd(fd)
                    };
                    assert_eq!(spell(&way(device, &[IoSlice::new(b"x")])), "ok", "{name}");
                }
                plain_writes_are_deadly_and_not_made();
            }),
            Scene::survives("unproven: what could not be asked is asked another time", || {
                let uses_it = || epipe::protection().pipe_write().contains(&Technique::WriteFlag);
                let mut pipe = PipeWriter::from(broken_pipe());
                without_descriptors(|| assert_epipe(pipe.write(b"x")));
                assert!(!uses_it());
                assert_epipe(pipe.write(b"x"));
                assert!(uses_it());
                plain_writes_are_deadly_and_not_made();
            })
            .only_if(!begins_with_verify()),
            Scene::survives("unproven: a pending signal of the host's stays", || {
                mask(libc::SIG_BLOCK);
                raise_at_thread();
                assert_eq!(spell(&raw::write(broken_pipe(), b"x")), "EPIPE");
                assert!(take_pending() && !is_pending());
                mask(libc::SIG_UNBLOCK);
                assert_epipe(raw::write(broken_pipe(), b"x"));
                plain_writes_are_deadly_and_not_made();
            })
            .only_if(MASKS_THE_THREAD),
            Scene::survives("unproven: verify proves it before a sandbox", || {
                let pipe = broken_pipe();
                let _ = epipe::verify(); // it may find that another flag is ignored
                filter(libc::SYS_pipe2, Which::All, DEADLY);
                assert_epipe(raw::write(pipe, b"x"));
            }),
            Scene::survives("unproven: io::pipe proves it before a sandbox", || {
                let (_, mut writer) = epipe::io::pipe().unwrap();
                filter(libc::SYS_pipe2, Which::All, DEADLY);
                assert_epipe(writer.write(b"x"));
            }),
            Scene::survives("a file that a pipe replaces", || {
                let mut file = NoSigpipe::new(file(0)).unwrap();
                assert_eq!(file.write(b"x").unwrap(), 1);
                replace(&file, broken_pipe());
                assert_epipe(file.write(b"x"));
                assert_epipe(file.write_vectored(&[IoSlice::new(b"x")]));
            }),
        ];
        scenes.extend(
            with_the_flag
                .map(|scene| scene.only_where(has_write_flag(), "there is no write flag here")),
        );
    }
    if MASKS_THE_THREAD {
        scenes.extend([Scene::survives(
            "errno is left alone by a guard whose own calls fail",
            || {
                mask(libc::SIG_BLOCK);
                filter(libc::SYS_rt_sigtimedwait, Which::All, refusing(libc::EAGAIN));
                let left = epipe::sigpipe::suppressed(|| {
                    let _ = foreign_write(broken_pipe(), b"x");
                    // SAFETY: libc's pointer to this thread's errno is valid.
                    unsafe { *libc::__errno_location() = libc::EDOM };
                });
                let errno = io::Error::last_os_error().raw_os_error();
                left.unwrap();
                assert_eq!(errno, Some(libc::EDOM));
            },
        )]);
    }
    scenes
}

/// Replaces a descriptor's file by another one, as programs do that reopen their log.
fn replace(fd: &impl AsFd, by: impl AsFd) {
    // SAFETY: both descriptors are borrowed, so they are open.
    assert!(unsafe { libc::dup2(by.as_fd().as_raw_fd(), fd.as_fd().as_raw_fd()) } != -1);
}

/// Asserts that the write flag is still in use: a pipe is written to without `write` and `writev`.
fn plain_writes_are_deadly_and_not_made() {
    let mut pipe = PipeWriter::from(broken_pipe());
    filter(libc::SYS_write, Which::All, DEADLY);
    filter(libc::SYS_writev, Which::All, DEADLY);
    assert_epipe(pipe.write(b"x"));
    assert_epipe(pipe.write_vectored(&[IoSlice::new(b"x")]));
}
