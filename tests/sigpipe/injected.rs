//! One call on a healthy connection fails once, with each error. A seccomp filter asks another
//! thread, which makes the call fail. The caller gets the error that std's caller gets, and only
//! the reported bytes arrive.
//!
//! The flags are already in use then. So an error of a socket belongs to the caller, since some
//! errors are reported only once (`reports.rs`). A pipe has no such errors, but a descriptor
//! treated as a pipe may refuse a flag that pipes accept (eventfd). So a write there may also be
//! repeated without the flag. If the flags are known to be refused, the plain call is made once.

use std::fs::File;
use std::io::{self, Read};
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, OwnedFd};

use epipe::sigpipe::suppressed;
use libc::c_int;
use socket2::SockRef;

use crate::Scene;
use crate::differences::{Differences, comparable};
use crate::refusals::refuse_send_flag;
use crate::reports::writes;
use crate::rows::{Call, Pair, Row};
use crate::seccomp::{
    can_be_supervised, can_filter_sockets, fail_next, has_failed, refuse_write_flag, supervise,
};
use crate::suites::{is_suite, rejected};
use crate::support::{tcp_pair, wait};

/// Each error, and whether it may mean that a flag or a call is refused.
const ERRORS: [(c_int, bool); 15] = [
    (libc::EINVAL, true),
    (libc::EOPNOTSUPP, true),
    (libc::ENOPROTOOPT, true),
    (libc::ENOSYS, true),
    (libc::EPERM, true),
    (libc::EACCES, true),
    (libc::EIO, false),
    (libc::ENOSPC, false),
    (libc::ENOBUFS, false),
    (libc::EMSGSIZE, false),
    (libc::EAGAIN, false),
    (libc::EINTR, false),
    (libc::ECONNRESET, false),
    (libc::ETIMEDOUT, false),
    (libc::EHOSTUNREACH, false),
];

/// All system calls by which our types and std write here.
const CALLS: [libc::c_long; 6] = [
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendfile,
    libc::SYS_pwritev2,
    libc::SYS_write,
    libc::SYS_writev,
];

fn tcp() -> io::Result<(OwnedFd, OwnedFd)> {
    tcp_pair("127.0.0.1:0")
}

fn udp() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    ours.connect(theirs.local_addr()?)?;
    Ok((ours.into(), theirs.into()))
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    io::pipe().map(|(reader, writer)| (writer.into(), reader.into()))
}

/// A call on a new connection, which has worked once, and the other end.
fn healthy(pair: Pair, call: fn(OwnedFd) -> Call) -> (Call, File) {
    let (ours, theirs) = pair().unwrap();
    SockRef::from(&theirs).set_nonblocking(true).unwrap();
    let (mut call, theirs) = (call(ours), File::from(theirs));
    let written = suppressed(&mut call).unwrap();
    arrived(&written, &theirs);
    (call, theirs)
}

/// The count of bytes that have arrived.
fn arrived(written: &io::Result<u64>, mut theirs: &File) -> u64 {
    if written.is_ok() {
        wait(theirs.as_raw_fd(), libc::POLLIN);
    }
    let mut arrived = 0;
    while let Ok(len @ 1..) = theirs.read(&mut [0; 1000]) {
        arrived += len as u64;
    }
    arrived
}

/// Plays all errors in all calls. With `may_repeat`, a call may be repeated after an error that may
/// mean a refusal.
fn play(pair: Pair, may_repeat: bool, is_refused: bool, rows: Vec<Row>) {
    if is_refused {
        refuse_write_flag(libc::EOPNOTSUPP);
        refuse_send_flag(libc::EINVAL);
    }
    // Each call is made once before, so the first probes are done.
    let mut calls: Vec<_> = rows
        .into_iter()
        .map(|row| (row.name, healthy(pair, row.ours), healthy(pair, row.control)))
        .collect();
    let mut differences = Differences::default();
    supervise(&CALLS);
    for (error, may_be_refusal) in ERRORS {
        for (name, ours, std) in &mut calls {
            let what = format!("{name}, {}", io::Error::from_raw_os_error(error));
            let fail = |(call, theirs): &mut (Call, File)| {
                fail_next(error);
                let answer = call();
                let met_it = has_failed();
                let arrived = arrived(&answer, theirs);
                (comparable(answer), arrived, met_it)
            };
            let ours = fail(ours);
            differences.note_left(&what);
            let before = rejected();
            let std = match is_refused {
                false => suppressed(|| fail(std)).unwrap(),
                // std's flag is also refused.
                true => (comparable(Err(io::Error::from_raw_os_error(error))), 0, true),
            };
            // A library that rejects std's flag leaves no answer to compare with.
            if rejected() > before {
                continue;
            }
            match &ours {
                (Ok(written), arrived, true) if may_repeat && may_be_refusal => {
                    differences.same(what, written, arrived);
                }
                _ => differences.same(what, &ours, &std),
            }
        }
    }
    differences.assert_none();
}

pub fn scenes() -> Vec<Scene> {
    let can_be_played = can_be_supervised() && can_filter_sockets();
    // sendfile continues without the call if it is refused or interrupted (`copies.rs`).
    let sends = || writes().into_iter().filter(|row| row.name != "TcpStream::sendfile").collect();
    let of_pipes = ["raw::write", "PipeWriter::", "NoSigpipe::"];
    let is_of_pipes = move |row: &Row| of_pipes.iter().any(|begin| row.name.starts_with(begin));
    let mut scenes = Vec::new();
    for refused in [false, true] {
        let end = if refused { ", every flag is refused" } else { "" };
        scenes.extend([
            Scene::survives(format!("injected: TCP{end}"), move || {
                play(tcp, false, refused, sends());
            }),
            Scene::survives(format!("injected: UDP{end}"), move || {
                play(udp, false, refused, sends());
            }),
            Scene::survives(format!("injected: a pipe{end}"), move || {
                let rows = writes().into_iter().filter(is_of_pipes).collect();
                play(pipe, !refused, refused, rows);
            }),
        ]);
    }
    // Under a library that rejects the flag, a socket may refuse it, and the call is repeated.
    let can_be_played = can_be_played && !is_suite();
    scenes.into_iter().map(|scene| scene.only_if(can_be_played)).collect()
}
