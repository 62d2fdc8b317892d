//! Systems that silently ignore a flag: a library loaded before libc strips the flag, or rejects it
//! in some calls. A seccomp filter rejects calls that bypass such a library.
//!
//! Besides scenes of their own, the whole proof is played again under each library: after
//! `verify()` if the flag is silently ignored, without it if an error shows the refusal. The write
//! flag is not trusted before it has kept a signal away, so it needs no `verify()`.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Barrier, OnceLock};

use epipe::io::PipeWriter;
use epipe::net::TcpStream;
use epipe::os::unix::net::UnixStream;
use epipe::verify::{Call, Error, Technique};
use epipe::{NoSigpipe, raw, verify};
use socket2::SockAddr;

use crate::Scene;
use crate::ignored_flag::Preload;
use crate::pipes::reader_leaves_midway;
use crate::rows::broken_child;
use crate::seccomp::{Which, can_be_filtered, filter, refusing};
use crate::sockets::socket_writes;
use crate::suites::{
    self, ERRORS, ON_TCP, PWRITEV2, asked_once, can_preload, rejected, rejecters, technique_of,
};
use crate::support::{
    Break, assert_epipe, broken_pipe, broken_stream, descriptors, eventfd, foreign_write,
    is_blocked, is_pending, spell, tcp_pair, without_descriptors,
};
use crate::sys::constant::RWF_NOSIGNAL;
use crate::sys::{call, probe};

/// Whether this machine keeps MSG_NOSIGNAL, and accepts it in every call. The probe is asked, not
/// the library's own state.
pub fn machine_keeps_send_flag() -> bool {
    asked_once(&SEND_FLAG, || {
        let unix = probe::broken_unix().unwrap();
        let (tcp, _listener) = probe::broken_tcp(Ipv4Addr::LOCALHOST.into()).unwrap();
        let accepts = |by| {
            [unix.as_fd(), tcp[0].as_fd()].into_iter().all(|socket| {
                spell(&probe::send(socket, by, probe::BYTE, None, libc::MSG_NOSIGNAL)) == "EPIPE"
            })
        };
        probe::SENDS.into_iter().all(accepts) && matches!(probe::send_flag(), Ok(None))
    })
}

/// The same for RWF_NOSIGNAL, which Linux has since 6.18.
fn machine_keeps_write_flag() -> bool {
    asked_once(&WRITE_FLAG, keeps_write_flag)
}

/// The same, asked now: for a scene. The probe goes first, since an ignored flag kills.
pub fn keeps_write_flag() -> bool {
    let is_honoured = || {
        let pipe = probe::broken_pipe().unwrap();
        let answer = call::pwritev2(pipe.as_fd(), &[IoSlice::new(b"x")], RWF_NOSIGNAL);
        spell(&answer) == "EPIPE"
    };
    matches!(probe::write_flag(), Ok(None)) && is_honoured()
}

/// Whether each probe of this build's `verify` has an answer here, and finds no flag that is
/// silently ignored.
pub fn machine_is_honest() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    asked_once(&ANSWER, || {
        (cfg!(epipe_refused = "send_flag") || matches!(probe::send_flag(), Ok(None)))
            && (cfg!(epipe_refused = "write_flag") || matches!(probe::write_flag(), Ok(None)))
    })
}

static SEND_FLAG: OnceLock<bool> = OnceLock::new();
static WRITE_FLAG: OnceLock<bool> = OnceLock::new();

pub fn has_send_flag() -> bool {
    cfg!(not(epipe_refused = "send_flag")) && machine_keeps_send_flag()
}

pub fn has_write_flag() -> bool {
    cfg!(not(epipe_refused = "write_flag")) && machine_keeps_write_flag()
}

/// Whether this build uses the flag of a technique, and the machine keeps it.
pub fn has(technique: Technique) -> bool {
    match technique {
        Technique::SendFlag => has_send_flag(),
        _ => has_write_flag(),
    }
}

/// Whether a preloaded library finds a flag of this technique that it can strip or reject.
pub fn can_affect(technique: Technique) -> bool {
    suites::can_affect(technique, has)
}

// ------------------------------------------------------------------------- the libraries ----

/// A library that silently strips the flag, the call that `verify` should name, a flagged write
/// that kills, and a write of this crate that survives after `verify`.
type Stripper = (Preload, Call, fn(), fn());

/// Without `verify`, the write of this crate kills.
fn strips(what: &str, definitions: &[&str], call: Call, ours: fn()) -> Stripper {
    (Preload::strips(what, definitions), call, ours, ours)
}

/// The write of this crate may have found the ignored flag already, so the control is the call.
fn strips_pwritev2(what: &str, on: &str, call: fn(), ours: fn()) -> Stripper {
    (Preload::strips(what, &[PWRITEV2, on]), Call::Pwritev2, call, ours)
}

/// The whole proof is played again under each of these.
fn strippers() -> Vec<Stripper> {
    let ours: [fn(); 7] = [write, write, send_to, two_slices, write, two_slices, pipe_write];
    let strippers = suites::strippers().into_iter().zip(ours);
    let control = |call, ours: fn()| match call {
        Call::Pwritev2 => pwritev2_on_a_pipe,
        _ => ours,
    };
    strippers.map(|((library, call), ours)| (library, call, control(call, ours), ours)).collect()
}

/// `verify` also finds these.
fn narrow_strippers() -> Vec<Stripper> {
    let address = "WHERE=address";
    vec![
        strips("sendto on TCP", &["ONLY=SENDTO", ON_TCP], Call::SendTo, send_to),
        strips("Unix", &["WHERE=kind==UNIX"], Call::Send, unix_write),
        strips("accepted", &["WHERE=accepted[fd]"], Call::Send, accepted_write),
        strips("non-blocking", &["WHERE=nonblocking(fd)"], Call::Send, nonblocking_write),
        strips("single", &["WHERE=len==1"], Call::Send, write),
        strips("long", &["WHERE=len>4096"], Call::Send, long_write),
        strips("one slice", &["ONLY=SENDMSG", "WHERE=slices==1"], Call::SendMsg, one_slice),
        strips("three slices", &["WHERE=slices>2"], Call::SendMsg, three_slices),
        strips("addresses", &[address], Call::SendTo, send_to),
        strips("sendmsg with one", &["ONLY=SENDMSG", address], Call::SendMsg, two_slices_to),
        strips_pwritev2("pwritev2 on TCP", ON_TCP, || pwritev2::<1>(broken_stream()), raw_write),
        strips_pwritev2(
            "pwritev2 on Unix",
            "WHERE=kind==UNIX",
            || pwritev2::<1>(broken_unix()),
            raw_unix_write,
        ),
        strips_pwritev2("pwritev2 on pipes", "WHERE=kind==PIPE", pwritev2_on_a_pipe, pipe_write),
        strips_pwritev2(
            "pwritev2 of slices",
            "WHERE=slices>1",
            || pwritev2::<2>(broken_pipe()),
            pipe_slices,
        ),
    ]
}

fn write() {
    let _ = TcpStream::from(broken_stream()).write(b"x");
}

fn long_write() {
    let _ = TcpStream::from(broken_stream()).write(&[0; 5000]);
}

fn nonblocking_write() {
    let mut stream = TcpStream::from(broken_stream());
    stream.set_nonblocking(true).unwrap();
    let _ = stream.write(b"x");
}

fn accepted_write() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, _) = listener.accept().unwrap();
    Break::RstRead.apply(ours.as_fd(), theirs.into()).unwrap();
    let _ = TcpStream::from(ours).write(b"x");
}

fn unix_write() {
    let _ = UnixStream::from(broken_unix()).write(b"x");
}

fn slices<const N: usize>() -> [IoSlice<'static>; N] {
    [IoSlice::new(b"x"); N]
}

fn one_slice() {
    let _ = TcpStream::from(broken_stream()).write_vectored(&slices::<1>());
}

fn two_slices() {
    let _ = TcpStream::from(broken_stream()).write_vectored(&slices::<2>());
}

fn three_slices() {
    let _ = TcpStream::from(broken_stream()).write_vectored(&slices::<3>());
}

/// TCP accepts an address, and ignores it.
fn anywhere() -> SockAddr {
    SocketAddr::from(([127, 0, 0, 1], 9)).into()
}

fn send_to() {
    let _ = raw::send_to(broken_stream(), b"x", &anywhere());
}

fn two_slices_to() {
    let _ = raw::send_to_vectored(broken_stream(), &slices::<2>(), &anywhere());
}

fn raw_write() {
    let _ = raw::write(broken_stream(), b"x");
}

fn raw_unix_write() {
    let _ = raw::write(broken_unix(), b"x");
}

/// The call that carries the flag, made directly.
fn pwritev2<const N: usize>(fd: OwnedFd) {
    let _ = call::pwritev2(fd.as_fd(), &slices::<N>(), RWF_NOSIGNAL);
}

fn pwritev2_on_a_pipe() {
    pwritev2::<1>(broken_pipe());
}

fn pipe_write() {
    let _ = PipeWriter::from(broken_pipe()).write(b"x");
}

fn pipe_slices() {
    let _ = PipeWriter::from(broken_pipe()).write_vectored(&slices::<2>());
}

fn broken_unix() -> OwnedFd {
    probe::broken_unix().unwrap()
}

// ------------------------------------------------------------------------ the scenes ----

pub fn scenes() -> Vec<Scene> {
    let mut scenes = Vec::new();
    for (library, call, kills, ours) in strippers().into_iter().chain(narrow_strippers()) {
        let control = Scene::dies(format!("library {}: control", library.name), kills);
        let named =
            Scene::survives(format!("library {}: verify names it", library.name), move || {
                names(call);
                ours();
            });
        let is_affected = can_affect(technique_of(call));
        scenes.extend([control, named].map(|scene| scene.under(&library).only_if(is_affected)));
    }
    for error in ERRORS {
        for (what, library) in rejecters(error) {
            let name = format!("library {}: failing calls are few", library.name);
            let scene = Scene::survives(name, move || failing_calls_are_few(what));
            scenes.push(scene.under(&library).only_if(can_affect(Technique::SendFlag)));
        }
    }
    for error in ["ENOSYS", "EOPNOTSUPP", "EPERM", "EACCES", "EINVAL"] {
        let library = Preload::rejects("pwritev2", error, &["ONLY=PWRITEV2"]);
        let name = format!("library {}: one call fails", library.name);
        let scene = Scene::survives(name, || {
            for _ in 0..50 {
                assert_epipe(PipeWriter::from(broken_pipe()).write(b"x"));
                assert_epipe(raw::write(broken_pipe(), b"x"));
            }
            // The call of the probe.
            assert_eq!(rejected(), 1);
        });
        scenes.push(scene.under(&library).only_if(can_affect(Technique::WriteFlag)));
    }
    let is_affected = can_affect(Technique::SendFlag);
    for error in ERRORS {
        let library = Preload::rejects("addresses", error, &["WHERE=address"]);
        let name = format!("library {}: datagrams arrive once", library.name);
        scenes.push(
            Scene::survives(name, datagrams_arrive_once).under(&library).only_if(is_affected),
        );
    }
    let all = Preload::strips("all", &[]);
    let more = [
        Scene::survives("library strips all: named after an honest answer", || {
            provoke_refusals();
            names(Call::Send);
            socket_writes();
        }),
        Scene::survives("library strips all: named where another question fails", || {
            filter(libc::SYS_pipe2, Which::All, refusing(libc::EPERM));
            names(Call::Send);
            socket_writes();
        })
        .only_if(can_be_filtered()),
    ];
    scenes.extend(more.map(|scene| scene.under(&all).only_if(is_affected)));
    let both = Preload::strips("sends and pwritev2", &["ONLY=31"]);
    let scene = Scene::survives("library strips sends and pwritev2: both are found", || {
        names(Call::Send);
        socket_writes();
        assert_epipe(PipeWriter::from(broken_pipe()).write(b"x"));
    });
    scenes.push(scene.under(&both).only_if(is_affected && can_affect(Technique::WriteFlag)));
    scenes.extend(unverified());
    scenes
}

/// A first write of this crate, and the same write without protection. Both go to a pipe whose
/// reader is gone.
type FirstWrite = (&'static str, fn() -> io::Result<usize>, fn() -> io::Result<usize>);

const FIRST_WRITES: [FirstWrite; 8] = [
    (
        "io::pipe",
        || {
            let (reader, mut writer) = epipe::io::pipe()?;
            drop(reader);
            writer.write(b"x")
        },
        || {
            let (reader, mut writer) = io::pipe()?;
            drop(reader);
            writer.write(b"x")
        },
    ),
    (
        "write_vectored",
        || PipeWriter::from(broken_pipe()).write_vectored(&slices::<2>()),
        || io::PipeWriter::from(broken_pipe()).write_vectored(&slices::<2>()),
    ),
    (
        "larger than the pipe",
        || PipeWriter::from(broken_pipe()).write(&[0; 1 << 20]),
        || io::PipeWriter::from(broken_pipe()).write(&[0; 1 << 20]),
    ),
    ("raw::write", || raw::write(broken_pipe(), b"x"), || foreign_write(broken_pipe(), b"x")),
    (
        "raw::write_vectored",
        || raw::write_vectored(broken_pipe(), &slices::<2>()),
        || File::from(broken_pipe()).write_vectored(&slices::<2>()),
    ),
    (
        "NoSigpipe<OwnedFd>: write",
        || NoSigpipe::new(broken_pipe())?.write(b"x"),
        || foreign_write(broken_pipe(), b"x"),
    ),
    (
        "NoSigpipe<ChildStdin>: write",
        || NoSigpipe::new(broken_child())?.write(b"x"),
        || broken_child().write(b"x"),
    ),
    (
        "NoSigpipe<ChildStdin>: write_vectored",
        || NoSigpipe::new(broken_child())?.write_vectored(&slices::<2>()),
        || broken_child().write_vectored(&slices::<2>()),
    ),
];

/// Scenes in which the write flag is silently ignored, and `verify` was not called.
fn unverified() -> Vec<Scene> {
    let mut scenes = Vec::new();
    for library in [Preload::strips("pwritev2", &[PWRITEV2]), suites::like_gvisor()] {
        let mut add = |scene: Scene| scenes.push(scene.under(&library).only_if(can_preload()));
        for (what, ours, plain) in FIRST_WRITES {
            let name = format!("library {}: without verify: {what}", library.name);
            add(Scene::survives(&name, move || {
                assert_epipe(ours());
                assert_epipe(ours());
            }));
            add(Scene::dies(format!("{name}: control"), move || drop(plain())));
        }
        let name = |what| format!("library {}: without verify: {what}", library.name);
        add(Scene::survives(name("the reader leaves in the middle"), || {
            reader_leaves_midway(|fd, buf| PipeWriter::from(fd).write(buf));
            assert!(!is_blocked() && !is_pending());
        }));
        add(Scene::dies(name("the reader leaves in the middle: control"), || {
            reader_leaves_midway(foreign_write);
        }));
        add(Scene::survives(name("eight threads at once"), || {
            let pipes: Vec<_> = (0..8).map(|_| PipeWriter::from(broken_pipe())).collect();
            let all = Barrier::new(pipes.len());
            std::thread::scope(|scope| {
                for mut pipe in pipes {
                    let all = &all;
                    scope.spawn(move || {
                        all.wait();
                        assert_epipe(pipe.write(b"x"));
                    });
                }
            });
        }));
        add(Scene::survives(name("no descriptor is free"), || {
            let mut pipe = PipeWriter::from(broken_pipe());
            without_descriptors(|| {
                assert_epipe(pipe.write(b"x"));
                assert_epipe(raw::write(&pipe, b"x"));
            });
            assert_epipe(pipe.write(b"x"));
        }));
        add(Scene::survives(name("a sandbox forbids to make a pipe"), || {
            let pipe = broken_pipe();
            filter(libc::SYS_pipe2, Which::All, refusing(libc::EPERM));
            assert_epipe(raw::write(&pipe, b"x"));
        })
        .only_if(can_be_filtered()));
    }
    scenes
}

/// Asserts that `verify` names the call, each time and on each thread, and that its technique is no
/// longer used.
fn names(call: Call) {
    let technique = technique_of(call);
    let names_it = move || {
        match verify() {
            Err(Error::SilentlyIgnored { technique: r, call: c }) => {
                assert_eq!((r, c), (technique, call))
            }
            answer => panic!("{answer:?}"),
        }
        let protection = epipe::protection();
        assert!(!protection.socket_send().contains(&technique), "{protection}");
        assert!(!protection.pipe_write().contains(&technique), "{protection}");
        assert!(!is_blocked() && !is_pending());
    };
    names_it();
    std::thread::spawn(names_it).join().unwrap();
    names_it();
    let message = verify().unwrap_err().to_string();
    assert!(message.contains(&technique.to_string()), "{message}");
    assert!(message.contains(&format!(" {call} ")), "{message}");
}

/// Asserts that writes arrive or report EPIPE, with no more failing calls than necessary.
fn failing_calls_are_few(what: &str) {
    const ROUNDS: i32 = 50;
    let (ours, _theirs) = tcp_pair("127.0.0.1:0").unwrap();
    let mut healthy = TcpStream::from(ours);
    let slices = [IoSlice::new(b"x"), IoSlice::new(b"y")];
    for _ in 0..ROUNDS {
        assert_eq!(healthy.write(b"xy").unwrap(), 2);
        assert_eq!(healthy.write_vectored(&slices).unwrap(), 2);
        socket_writes(); // three times write, write_vectored and raw::send
    }
    let calls = match what {
        // The first call, and the probe, whose answer counts for the whole process.
        "all" | "send" => return assert_eq!(rejected(), 2),
        "sendto" => 0, // no call of this crate is one
        "sendmsg" => (1 + 3) * ROUNDS,
        _ => (2 + 9) * ROUNDS,
    };
    // A refusal that the probe does not confirm is not remembered. Each call fails once, and once
    // more on a new socket of its kind.
    assert_eq!(rejected(), 2 * calls);
}

/// Refusals by the caller's own socket and descriptor, which the probes do not confirm.
fn provoke_refusals() {
    let socket = epipe::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"x", "127.0.0.1:0").unwrap_err();
    raw::write(eventfd(), &1_u64.to_ne_bytes()).unwrap();
}

/// Under a library that rejects the flag of sends with an address. Each datagram arrives once,
/// whether or not a descriptor is free for the probe, and no descriptor is left open.
fn datagrams_arrive_once() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = receiver.local_addr().unwrap();
    let sender = epipe::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let before = descriptors();
    for round in 0..10_u8 {
        assert_eq!(sender.send_to(&[round], address).unwrap(), 1);
        without_descriptors(|| assert_eq!(sender.send_to(&[round], address).unwrap(), 1));
    }
    assert_eq!(descriptors(), before);
    receiver.set_nonblocking(true).unwrap();
    let mut byte = [0];
    for round in 0..20 {
        receiver.recv(&mut byte).unwrap();
        assert_eq!(byte, [round / 2]);
    }
    assert_eq!(receiver.recv(&mut byte).unwrap_err().kind(), ErrorKind::WouldBlock);
}
