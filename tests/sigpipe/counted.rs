//! Under a model of another kernel: the model counts which technique keeps the signal away. Without
//! these counts, a technique without effect would stay unnoticed: the next one, or the guard,
//! protects in its place.

use std::io::{self, Write, stderr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use epipe::io::PipeWriter;
use epipe::net::TcpStream;
use epipe::os::unix::net::UnixStream;
use epipe::sigpipe::guard;
use epipe::verify::Technique::{self, FdFlag, ProcessHandler, SendFlag, SocketOption, ThreadMask};
use epipe::{NoSigpipe, protection, raw};

use crate::Scene;
use crate::guards::MASKS_THE_THREAD;
use crate::pipes::set_flags;
use crate::rows::{Call, DATA, Pair, call};
use crate::scene::model;
use crate::support::{Break, disposition, file, foreign_write, slices, spell, tcp_pair, unix_pair};

/// The `struct counts` of `tests/kernels/model.c`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    raised: i32,
    dropped: i32,
    by_send_flag: i32,
    by_option: i32,
    by_fd_flag: i32,
    refused: i32,
}

/// The counts of the loaded model so far.
fn counts() -> Counts {
    // SAFETY: the model defines a function of this name and type. It returns a pointer to a
    // variable.
    unsafe {
        let function = libc::dlsym(libc::RTLD_DEFAULT, c"model_counts".as_ptr());
        assert!(!function.is_null(), "no model is loaded");
        *std::mem::transmute::<*mut libc::c_void, extern "C" fn() -> *const Counts>(function)()
    }
}

/// The kind of a write.
#[derive(Clone, Copy)]
enum To {
    Send,
    /// A call on an adopted socket that takes no flags.
    Adopted,
    /// To a descriptor of unknown kind.
    Any,
    /// The same, on a socket.
    AnySocket,
    /// A send on an inherited descriptor, which is never changed.
    SendInherited,
    /// Any other write to an inherited descriptor.
    Inherited,
}

fn is_xnu(kernel: &str) -> bool {
    kernel.starts_with("xnu")
}

/// The techniques that this kernel has for such a write, in order.
fn techniques(kernel: &str, to: To) -> Vec<Technique> {
    let send = (kernel != "xnu_6153", SendFlag);
    let option = (kernel != "openbsd", SocketOption);
    let fd_flag = (is_xnu(kernel) || kernel == "netbsd", FdFlag);
    let all = match to {
        To::Send => vec![send, option],
        To::Adopted => vec![option],
        To::Any => vec![fd_flag],
        To::AnySocket => vec![fd_flag, (fd_flag.0, SocketOption)],
        To::SendInherited => vec![send],
        To::Inherited => vec![],
    };
    let works = |(is_there, technique): (bool, Technique)| {
        let is_refused = match technique {
            SendFlag => cfg!(epipe_refused = "send_flag"),
            SocketOption => cfg!(epipe_refused = "socket_option"),
            _ => cfg!(epipe_refused = "fd_flag"),
        };
        (is_there && !is_refused).then_some(technique)
    };
    all.into_iter().filter_map(works).collect()
}

/// Makes one write to a vanished peer. The first technique protects, and no call is made that the
/// system refuses. Without a technique the guard protects. No other write enters the guard.
fn play(to: To, pair: Pair, broken: Break, make: fn(OwnedFd) -> Call) {
    let kernel = std::env::var("EPIPE_MODEL").unwrap();
    let (ours, theirs) = pair().unwrap();
    let (same, mut call) = (ours.try_clone().unwrap(), make(ours));
    broken.apply(same.as_fd(), theirs).unwrap();
    let before = counts();
    assert_eq!(before, Counts::default());
    assert_eq!(spell(&call()), "EPIPE");
    let mut expected = Counts::default();
    let is_socket = socket2::SockRef::from(&same).r#type().is_ok();
    let techniques = techniques(&kernel, to);
    match techniques.first() {
        Some(SendFlag) => expected.by_send_flag = 1,
        Some(FdFlag) if !is_socket => expected.by_fd_flag = 1,
        Some(_) => expected.by_option = 1,
        None => expected.raised = 1,
    }
    assert_eq!(counts(), expected);
    // On Apple's systems a needless guard is visible: it leaves a handler behind. The send flag
    // alone is not trusted there.
    let protects = |technique: &Technique| *technique != SendFlag || !is_xnu(&kernel);
    let is_guarded = !techniques.iter().any(protects);
    assert!(is_guarded || disposition() == libc::SIG_DFL);
}

fn pipe_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    io::pipe().map(|(reader, writer)| (writer.into(), reader.into()))
}

fn tcp4() -> io::Result<(OwnedFd, OwnedFd)> {
    tcp_pair("127.0.0.1:0")
}

/// Makes a call while a descriptor replaces standard error.
fn as_stderr<T>(fd: &OwnedFd, call: impl FnOnce() -> T) -> T {
    let kept = stderr().as_fd().try_clone_to_owned().unwrap();
    // SAFETY: both are descriptors. The old one is kept, and restored below.
    unsafe { assert_eq!(libc::dup2(fd.as_raw_fd(), 2), 2) };
    let answer = call();
    // SAFETY: as above.
    unsafe { assert_eq!(libc::dup2(kept.as_raw_fd(), 2), 2) };
    answer
}

type Row = (&'static str, To, Pair, Break, fn(OwnedFd) -> Call);

fn rows() -> Vec<Row> {
    use Break::{Closed, OwnShutdown, Rst};
    vec![
        ("UnixStream::write", To::Send, unix_pair, Closed, call!(UnixStream: it => it.write(DATA))),
        (
            "UnixStream::write_vectored",
            To::Send,
            unix_pair,
            Closed,
            call!(UnixStream: it => it.write_vectored(&slices())),
        ),
        (
            "TcpStream::write_vectored of nothing",
            To::Adopted,
            tcp4,
            Rst,
            call!(TcpStream: it => it.write_vectored(&[])),
        ),
        (
            "TcpStream::write_vectored of nothing after F_SETFL",
            To::Adopted,
            tcp4,
            Rst,
            call!(TcpStream: it => {
                set_flags(it.as_fd());
                it.write_vectored(&[])
            }),
        ),
        (
            "a foreign write to a UnixStream",
            To::Adopted,
            unix_pair,
            Closed,
            call!(UnixStream: it => {
                let is_alone = protection().foreign_write().is_empty();
                let _guard = is_alone.then(|| guard().unwrap());
                foreign_write(&it, DATA)
            }),
        ),
        ("raw::send", To::Send, unix_pair, OwnShutdown, call!(OwnedFd: it => raw::send(&it, DATA))),
        (
            "raw::write to a socket",
            To::AnySocket,
            unix_pair,
            OwnShutdown,
            call!(OwnedFd: it => raw::write(&it, DATA)),
        ),
        (
            "raw::send to stderr",
            To::SendInherited,
            unix_pair,
            OwnShutdown,
            call!(OwnedFd: it => as_stderr(&it, || raw::send(stderr(), DATA))),
        ),
        (
            "an empty write to stderr, a socket",
            To::Inherited,
            tcp4,
            Rst,
            call!(OwnedFd: it => {
                as_stderr(&it, || NoSigpipe::new(stderr().as_fd())?.write_vectored(&[]))
            }),
        ),
        (
            "raw::write to stderr, a socket",
            To::Inherited,
            unix_pair,
            OwnShutdown,
            call!(OwnedFd: it => as_stderr(&it, || raw::write(stderr(), DATA))),
        ),
        (
            "raw::write to stderr, a pipe",
            To::Inherited,
            pipe_pair,
            Closed,
            call!(OwnedFd: it => as_stderr(&it, || raw::write(stderr(), DATA))),
        ),
        ("PipeWriter::write", To::Any, pipe_pair, Closed, call!(PipeWriter: it => it.write(DATA))),
        (
            "PipeWriter::write_vectored",
            To::Any,
            pipe_pair,
            Closed,
            call!(PipeWriter: it => it.write_vectored(&slices())),
        ),
    ]
}

/// Asserts that `protection` reports the techniques that protect.
fn as_protection_says() {
    let kernel = std::env::var("EPIPE_MODEL").unwrap();
    let last = if MASKS_THE_THREAD { ThreadMask } else { ProcessHandler };
    // On NetBSD any F_SETFL clears the socket option and the fd flag. Neither counts as a
    // technique.
    let alone = |to| {
        let mut all = techniques(&kernel, to);
        all.retain(|&technique| technique == SendFlag || kernel != "netbsd");
        all
    };
    let then_the_guard = |to| {
        let mut all = alone(to);
        all.push(last);
        all
    };
    let protection = protection();
    // Some of Apple's systems ignore the flag.
    let mut send = then_the_guard(To::Send);
    send.retain(|&technique| technique != SendFlag || !is_xnu(&kernel));
    assert_eq!(protection.socket_send(), send);
    assert_eq!(protection.foreign_write(), alone(To::Adopted));
    assert_eq!(protection.pipe_write(), then_the_guard(To::Any));
    assert_eq!(protection.sendfile(), then_the_guard(To::Adopted));
}

/// `sendfile` is the system's own where there is one. XNU's answers ENOTCONN, and none of them
/// raises. Elsewhere it is a send.
fn by_sendfile() {
    let kernel = std::env::var("EPIPE_MODEL").unwrap();
    let (ours, theirs) = unix_pair().unwrap();
    let stream = UnixStream::from(ours);
    drop(theirs);
    let error = stream.sendfile(&file(8), ..).unwrap_err();
    let answer = if is_xnu(&kernel) { libc::ENOTCONN } else { libc::EPIPE };
    assert_eq!(error.raw_os_error(), Some(answer));
    let expected = match techniques(&kernel, To::Send).first() {
        _ if is_xnu(&kernel) || kernel == "freebsd" => Counts::default(),
        Some(SendFlag) => Counts { by_send_flag: 1, ..Counts::default() },
        Some(_) => Counts { by_option: 1, ..Counts::default() },
        None => Counts { raised: 1, ..Counts::default() },
    };
    assert_eq!(counts(), expected);
}

/// A `sendfile` that a sandbox refuses does not change its length argument. Nothing was sent.
#[cfg(kernel = "apple")]
fn forbidden_sendfile() {
    use std::io::Read;

    use crate::support::file;

    // SAFETY: the model defines an int by this name, and no other thread uses it yet.
    unsafe {
        let switch = libc::dlsym(libc::RTLD_DEFAULT, c"model_forbids_sendfile".as_ptr());
        *switch.cast::<libc::c_int>() = 1;
    }
    let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let error = epipe::raw::sendfile(&ours, file(100), 0, None).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EPERM));
    let ours = UnixStream::from(ours);
    assert_eq!(ours.sendfile(&file(100), ..60).unwrap(), 60);
    drop(ours);
    assert_eq!(theirs.read_to_end(&mut Vec::new()).unwrap(), 60);
}

pub fn scenes() -> Vec<Scene> {
    let rows = rows().into_iter().map(|(name, to, pair, broken, make)| {
        Scene::survives(format!("counted: {name}"), move || play(to, pair, broken, make))
    });
    let std_sets_it = std::env::var_os("MODEL_STD_SETS_OPTION").is_some();
    let others = [
        Scene::survives("counted: sendfile", by_sendfile),
        Scene::survives("counted: as protection says", as_protection_says),
        #[cfg(kernel = "apple")]
        Scene::survives("counted: a forbidden sendfile has sent nothing", forbidden_sendfile),
    ];
    rows.chain(others)
        .map(|scene| scene.only_where(model().is_some(), "no model is loaded"))
        .map(|scene| scene.only_where(!std_sets_it, "new sockets already have the option"))
        .collect()
}
