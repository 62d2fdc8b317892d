//! Every system call that kills C code, under a guard. None of our types can replace these calls.

#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "the same for each: descriptors, buffers and structures are valid for the call"
)]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use epipe::sigpipe::suppressed;

use crate::Scene;
use crate::rows::{DATA, Row, call, pairs, play_rows};
use crate::support::{Break, assert_epipe, broken_pipe, foreign_write, tcp_pair, unix_pair};

#[cfg(kernel = "linux")]
pub use linux::{scenes as of_linux, splice_raises};

fn answer(returned: isize) -> io::Result<usize> {
    usize::try_from(returned).map_err(|_| io::Error::last_os_error())
}

fn iovec() -> libc::iovec {
    libc::iovec { iov_base: DATA.as_ptr().cast_mut().cast(), iov_len: DATA.len() }
}

fn message(iovec: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: all zeros is a valid msghdr.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = iovec;
    message.msg_iovlen = 1;
    message
}

fn writev(fd: &OwnedFd) -> io::Result<usize> {
    answer(unsafe { libc::writev(fd.as_raw_fd(), &iovec(), 1) })
}

fn send(fd: &OwnedFd) -> io::Result<usize> {
    answer(unsafe { libc::send(fd.as_raw_fd(), DATA.as_ptr().cast(), DATA.len(), 0) })
}

fn sendmsg(fd: &OwnedFd) -> io::Result<usize> {
    let mut iovec = iovec();
    answer(unsafe { libc::sendmsg(fd.as_raw_fd(), &message(&mut iovec), 0) })
}

macro_rules! row {
    ($name:literal, $call:path) => {
        Row {
            name: concat!("C ", $name, ", suppressed"),
            ours: call!(OwnedFd: fd => suppressed(|| $call(&fd)).unwrap()),
            control: call!(OwnedFd: fd => $call(&fd)),
        }
    };
}

fn play(rows: &[Row]) -> Vec<Scene> {
    let tcp4 = || tcp_pair("127.0.0.1:0");
    let mut scenes = play_rows(tcp4, "tcp", &[Break::RstRead, Break::FinRst], rows);
    scenes.extend(play_rows(unix_pair, "unix", &[Break::Closed], rows));
    scenes
}

pub fn scenes() -> Vec<Scene> {
    fn write(fd: &OwnedFd) -> io::Result<usize> {
        foreign_write(fd, DATA)
    }
    let mut scenes = play(&[
        row!("write", write),
        row!("writev", writev),
        row!("send", send),
        row!("sendmsg", sendmsg),
    ]);
    scenes.extend(pairs! {
        "pipe: C write, suppressed":
            suppressed(|| write(&broken_pipe())).unwrap(),
            control write(&broken_pipe());
        "pipe: C writev, suppressed":
            suppressed(|| writev(&broken_pipe())).unwrap(),
            control writev(&broken_pipe());
    });
    scenes
}

/// Elsewhere std and this crate copy by writes, which raise.
#[cfg(not(kernel = "linux"))]
pub fn splice_raises() -> bool {
    true
}

/// The calls that only Linux has, or that raise only there.
#[cfg(kernel = "linux")]
mod linux {
    use std::os::fd::RawFd;
    use std::ptr;
    use std::sync::OnceLock;

    use super::*;
    use crate::ignored_flags::has_write_flag;
    use crate::suites::asked_once;
    use crate::support::{file, raises, spell};

    /// The reading end of a pipe that holds data.
    fn full_pipe() -> OwnedFd {
        let (reader, writer) = io::pipe().unwrap();
        foreign_write(&writer, DATA).unwrap();
        reader.into()
    }

    fn pwritev2(fd: &OwnedFd) -> io::Result<usize> {
        let current: libc::c_long = -1;
        let fd = fd.as_raw_fd();
        let returned = unsafe {
            libc::syscall(libc::SYS_pwritev2, fd, &iovec(), 1 as libc::c_long, current, current, 0)
        };
        answer(returned as isize)
    }

    fn sendmmsg(fd: &OwnedFd) -> io::Result<usize> {
        let mut iovec = iovec();
        let mut message = libc::mmsghdr { msg_hdr: message(&mut iovec), msg_len: 0 };
        answer(unsafe { libc::sendmmsg(fd.as_raw_fd(), &mut message, 1, 0) } as isize)
    }

    fn sendfile(fd: &OwnedFd) -> io::Result<usize> {
        let file = file(100);
        answer(unsafe { libc::sendfile(fd.as_raw_fd(), file.as_raw_fd(), ptr::null_mut(), 100) })
    }

    fn splice(fd: &OwnedFd) -> io::Result<usize> {
        splice_from(full_pipe().as_raw_fd(), fd)
    }

    fn splice_from(from: RawFd, to: &OwnedFd) -> io::Result<usize> {
        let none = ptr::null_mut();
        answer(unsafe { libc::splice(from, none, to.as_raw_fd(), none, 100, 0) })
    }

    fn tee(fd: &OwnedFd) -> io::Result<usize> {
        answer(unsafe { libc::tee(full_pipe().as_raw_fd(), fd.as_raw_fd(), 100, 0) })
    }

    fn vmsplice(fd: &OwnedFd) -> io::Result<usize> {
        answer(unsafe { libc::vmsplice(fd.as_raw_fd(), &iovec(), 1, 0) })
    }

    pub fn scenes() -> Vec<Scene> {
        let mut rows =
            vec![row!("sendmmsg", sendmmsg), row!("sendfile", sendfile), row!("splice", splice)];
        // Emulators, old kernels and filters may lack pwritev2, which then cannot kill.
        if has_write_flag() {
            rows.push(row!("pwritev2", pwritev2));
        }
        let mut scenes = play(&rows);
        let by_splice = pairs! {
            "pipe: C sendfile, suppressed":
                suppressed(|| sendfile(&broken_pipe())).unwrap(),
                control sendfile(&broken_pipe());
            "pipe: C splice, suppressed":
                suppressed(|| splice(&broken_pipe())).unwrap(),
                control splice(&broken_pipe());
            "pipe: C tee, suppressed":
                suppressed(|| tee(&broken_pipe())).unwrap(),
                control tee(&broken_pipe());
        };
        let can_die = splice_raises();
        scenes.extend(by_splice.into_iter().map(|scene| scene.control_only_if(can_die)));
        let by_vmsplice = pairs! {
            "pipe: C vmsplice, suppressed":
                suppressed(|| vmsplice(&broken_pipe())).unwrap(),
                control vmsplice(&broken_pipe());
        };
        let can = has_vmsplice();
        scenes.extend(by_vmsplice.into_iter().map(|scene| scene.only_if(can)));
        scenes
    }

    /// Whether a splice into a pipe without a reader reports EPIPE and raises, as on Linux.
    /// gVisor's raises nothing, and answers EFAULT if the source is a socket.
    pub fn splice_raises() -> bool {
        static ANSWER: OnceLock<bool> = OnceLock::new();
        asked_once(&ANSWER, || {
            let (from, theirs) = unix_pair().unwrap();
            foreign_write(theirs, DATA).unwrap();
            let (from, to) = (from.as_raw_fd(), broken_pipe());
            let mut answer = Ok(0);
            let raised = raises(|| answer = splice_from(from, &to));
            raised && spell(&answer) == "EPIPE"
        })
    }

    /// gVisor has no vmsplice.
    fn has_vmsplice() -> bool {
        static ANSWER: OnceLock<bool> = OnceLock::new();
        asked_once(&ANSWER, || {
            let (_reader, writer) = io::pipe().unwrap();
            vmsplice(&writer.into()).is_ok()
        })
    }
}
