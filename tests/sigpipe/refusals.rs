//! Rungs that the running system refuses: a seccomp filter plays the old kernel, the sandbox
//! and the stack that does not know the flag.

use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, OwnedFd};

use epipe::io::PipeWriter;
use epipe::net::TcpStream;
use epipe::raw;

use crate::Scene;
use crate::support::{Break, foreign_write, is_blocked, is_pending, spell, tcp_pair};

/// From here on the system call `number` fails with `error`; with `flag`, only where the
/// argument at that index carries that bit. Cannot be taken back.
fn refuse(number: libc::c_long, flag: Option<(usize, libc::c_int)>, error: libc::c_int) {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const JUMP_IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    let step = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };

    // struct seccomp_data: nr, arch, instruction pointer, args of 64 bits.
    let low_word = if cfg!(target_endian = "big") { 4 } else { 0 };
    let (index, bit) = flag.unwrap_or((0, 0));
    let mut program = [
        step(LOAD, 0, 0, 0),
        step(JUMP_IF_EQUAL, number as u32, 0, 4),
        step(LOAD, 16 + 8 * index as u32 + low_word, 0, 0),
        step(AND, bit as u32, 0, 0),
        // Without a flag the masked argument is 0 too: refuse; with one, 0 means it is not there.
        step(
            JUMP_IF_EQUAL,
            0,
            u8::from(flag.is_some()),
            u8::from(flag.is_none()),
        ),
        step(RETURN, libc::SECCOMP_RET_ERRNO | error as u32, 0, 0),
        step(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the program lives through the call, which copies it.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(
            libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program),
            0
        );
    }
}

fn refuse_write_flag(error: libc::c_int) {
    refuse(libc::SYS_pwritev2, None, error);
}

/// On the calls that `send` and `sendmsg` are.
fn refuse_send_flag(error: libc::c_int) {
    refuse(libc::SYS_sendto, Some((3, libc::MSG_NOSIGNAL)), error);
    refuse(libc::SYS_sendmsg, Some((2, libc::MSG_NOSIGNAL)), error);
}

fn broken_pipe() -> OwnedFd {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn broken_stream() -> OwnedFd {
    let (ours, theirs) = tcp_pair("127.0.0.1:0").unwrap();
    Break::RstRead.apply(ours.as_fd(), theirs).unwrap();
    ours
}

#[track_caller]
fn assert_epipe<T>(answer: io::Result<T>) {
    assert_eq!(spell(&answer), "EPIPE");
    assert!(!is_blocked() && !is_pending());
}

fn pipe_writes() {
    for _ in 0..3 {
        assert_epipe(PipeWriter::from(broken_pipe()).write(b"x"));
        assert_epipe(PipeWriter::from(broken_pipe()).write_vectored(&[IoSlice::new(b"x")]));
        assert_epipe(raw::write(broken_pipe(), b"x"));
    }
}

fn socket_writes() {
    for _ in 0..3 {
        let mut stream = TcpStream::from(broken_stream());
        assert_epipe(stream.write(b"x"));
        assert_epipe(stream.write_vectored(&[IoSlice::new(b"x"), IoSlice::new(b"y")]));
        assert_epipe(raw::send(&stream, b"x"));
    }
}

/// Runs `f` where no descriptor can be opened.
fn without_descriptors<T>(f: impl FnOnce() -> T) -> T {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the limit is valid for both calls.
    unsafe { assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0) };
    let none = libc::rlimit {
        rlim_cur: 0,
        ..limit
    };
    // SAFETY: as above.
    unsafe { assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &none), 0) };
    let answer = f();
    // SAFETY: as above.
    unsafe { assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0) };
    answer
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
        scenes.push(Scene::survives(
            format!("refused: pwritev2 answers {name}"),
            move || {
                refuse_write_flag(error);
                pipe_writes();
            },
        ));
    }
    for (name, error) in [
        ("EOPNOTSUPP", libc::EOPNOTSUPP),
        ("ENOPROTOOPT", libc::ENOPROTOOPT),
        ("EINVAL", libc::EINVAL),
        ("ENOSYS", libc::ENOSYS),
    ] {
        scenes.push(Scene::survives(
            format!("refused: MSG_NOSIGNAL answers {name}"),
            move || {
                refuse_send_flag(error);
                socket_writes();
            },
        ));
    }
    scenes.extend([
        Scene::dies("refused: control", || {
            refuse_write_flag(libc::ENOSYS);
            let _ = foreign_write(broken_pipe(), b"x");
        }),
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
            assert_eq!(
                io::read_to_string(std::net::TcpStream::from(theirs)).unwrap(),
                "once"
            );
        }),
        Scene::survives("refused: no descriptor for the private question", || {
            refuse_write_flag(libc::ENOSYS);
            refuse_send_flag(libc::EINVAL);
            let (mut pipe, mut stream) = (
                PipeWriter::from(broken_pipe()),
                TcpStream::from(broken_stream()),
            );
            without_descriptors(|| {
                assert_epipe(pipe.write(b"x"));
                assert_epipe(stream.write(b"x"));
            });
            assert_epipe(pipe.write(b"x"));
            assert_epipe(stream.write(b"x"));
        }),
        #[cfg(not(epipe_refused = "send_flag"))]
        Scene::survives(
            "EPERM on a send is a firewall's answer, not a refusal",
            || {
                refuse_send_flag(libc::EPERM);
                let error = TcpStream::from(broken_stream()).write(b"x").unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::EPERM));
            },
        ),
    ]);
    scenes
}
