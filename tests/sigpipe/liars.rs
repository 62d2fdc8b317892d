//! Systems that lie: a library loaded before libc strips the flag in silence, or rejects it in
//! some calls; a seccomp filter rejects what walks past such a library.
//!
//! Beside scenes of their own, the whole proof is played once more under each: after `verify()`
//! where the lie is silent, and without it where an error shows it.

use std::io::{ErrorKind, IoSlice, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;

use epipe::io::PipeWriter;
use epipe::net::TcpStream;
use epipe::os::unix::net::UnixStream;
use epipe::verify::{Call, Error, Technique};
use epipe::{raw, verify};
use socket2::SockAddr;

use crate::Scene;
use crate::liar::Liar;
use crate::refusals::{broken_stream, socket_writes, without_descriptors};
use crate::seccomp::{Which, can_be_filtered, filter, refusing};
use crate::suites::{
    self, ERRORS, ON_TCP, PWRITEV2, asked_once, rejected, rejecters, technique_of,
};
use crate::support::{
    Break, assert_epipe, broken_pipe, eventfd, is_blocked, is_pending, spell, tcp_pair,
};
use crate::sys::constant::RWF_NOSIGNAL;
use crate::sys::{call, probe};

/// Whether this machine keeps MSG_NOSIGNAL, and accepts it in every call: asked by the probe, not
/// by what the library believes.
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

/// The same of RWF_NOSIGNAL, which Linux has from 6.18.
fn machine_keeps_write_flag() -> bool {
    asked_once(&WRITE_FLAG, || {
        let pipe = probe::broken_pipe().unwrap();
        let answer = call::pwritev2(pipe.as_fd(), &[IoSlice::new(b"x")], RWF_NOSIGNAL);
        spell(&answer) == "EPIPE" && matches!(probe::write_flag(), Ok(None))
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

/// Whether this build uses a technique's flag, and the machine keeps it.
pub fn has(technique: Technique) -> bool {
    match technique {
        Technique::SendFlag => has_send_flag(),
        _ => has_write_flag(),
    }
}

/// Whether a preloaded liar finds something to lie about.
pub fn can_lie_about(technique: Technique) -> bool {
    suites::can_lie_about(technique, has)
}

// ------------------------------------------------------------------------- the liars ----

/// A liar that strips in silence, the call that `verify` should name, and a write of this crate
/// that kills without it.
type Stripper = (Liar, Call, fn());

fn strips(what: &str, definitions: &[&str], call: Call, kills: fn()) -> Stripper {
    (Liar::strips(what, definitions), call, kills)
}

/// The whole proof is played once more under each of these.
fn strippers() -> Vec<Stripper> {
    let kills: [fn(); 7] = [write, write, send_to, two_slices, write, two_slices, pipe_write];
    let strippers = suites::strippers().into_iter().zip(kills);
    strippers.map(|((liar, call), kills)| (liar, call, kills)).collect()
}

/// These are found out as well.
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
        strips("pwritev2 on TCP", &[PWRITEV2, ON_TCP], Call::Pwritev2, raw_write),
        strips("pwritev2 on Unix", &[PWRITEV2, "WHERE=kind==UNIX"], Call::Pwritev2, raw_unix_write),
        strips("pwritev2 on pipes", &[PWRITEV2, "WHERE=kind==PIPE"], Call::Pwritev2, pipe_write),
        strips("pwritev2 of slices", &[PWRITEV2, "WHERE=slices>1"], Call::Pwritev2, pipe_slices),
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
    let (theirs, ours) = tcp_pair("127.0.0.1:0").unwrap();
    Break::RstRead.apply(ours.as_fd(), theirs).unwrap();
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

/// TCP takes an address, and pays no heed to it.
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
    for (liar, call, kills) in strippers().into_iter().chain(narrow_strippers()) {
        let control = Scene::dies(format!("liar {}: control", liar.name), kills);
        let named = Scene::survives(format!("liar {}: verify names it", liar.name), move || {
            names(call);
            kills();
        });
        let can_lie = can_lie_about(technique_of(call));
        scenes.extend([control, named].map(|scene| scene.under(&liar).only_if(can_lie)));
    }
    for error in ERRORS {
        for (what, liar) in rejecters(error) {
            let name = format!("liar {}: failing calls are few", liar.name);
            let scene = Scene::survives(name, move || failing_calls_are_few(what));
            scenes.push(scene.under(&liar).only_if(can_lie_about(Technique::SendFlag)));
        }
    }
    for error in ["ENOSYS", "EOPNOTSUPP", "EPERM", "EACCES", "EINVAL"] {
        let liar = Liar::rejects("pwritev2", error, &["ONLY=PWRITEV2"]);
        let name = format!("liar {}: failing calls are two", liar.name);
        let scene = Scene::survives(name, || {
            for _ in 0..50 {
                assert_epipe(PipeWriter::from(broken_pipe()).write(b"x"));
                assert_epipe(raw::write(broken_pipe(), b"x"));
            }
            // The first write, and the private question.
            assert_eq!(rejected(), 2);
        });
        scenes.push(scene.under(&liar).only_if(can_lie_about(Technique::WriteFlag)));
    }
    let can_lie = can_lie_about(Technique::SendFlag);
    for error in ERRORS {
        let liar = Liar::rejects("addresses", error, &["WHERE=address"]);
        let name = format!("liar {}: datagrams arrive once", liar.name);
        scenes.push(Scene::survives(name, datagrams_arrive_once).under(&liar).only_if(can_lie));
    }
    let all = Liar::strips("all", &[]);
    let more = [
        Scene::survives("liar strips all: named after an honest answer", || {
            provoke_refusals();
            names(Call::Send);
            socket_writes();
        }),
        Scene::survives("liar strips all: named where another question fails", || {
            filter(libc::SYS_pipe2, Which::All, refusing(libc::EPERM));
            names(Call::Send);
            socket_writes();
        })
        .only_if(can_be_filtered()),
    ];
    scenes.extend(more.map(|scene| scene.under(&all).only_if(can_lie)));
    let both = Liar::strips("sends and pwritev2", &["ONLY=31"]);
    let scene = Scene::survives("liar strips sends and pwritev2: both are found", || {
        names(Call::Send);
        socket_writes();
        assert_epipe(PipeWriter::from(broken_pipe()).write(b"x"));
    });
    scenes.push(scene.under(&both).only_if(can_lie && can_lie_about(Technique::WriteFlag)));
    scenes
}

/// `verify` tells the lie, each time and on each thread; what it names is out of use.
fn names(call: Call) {
    let technique = technique_of(call);
    let tells_it = move || {
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
    tells_it();
    std::thread::spawn(tells_it).join().unwrap();
    tells_it();
    let told = verify().unwrap_err().to_string();
    assert!(told.contains(&technique.to_string()) && told.contains(&format!(" {call} ")), "{told}");
}

/// Writes go through, or report EPIPE, and cost no more failing calls than they must.
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
        // The first call, and the private question, which speaks for the process.
        "all" | "send" => return assert_eq!(rejected(), 2),
        "sendto" => 0, // nobody made one
        "sendmsg" => (1 + 3) * ROUNDS,
        _ => (2 + 9) * ROUNDS,
    };
    // A refusal that the private question does not confirm is not remembered: each call is made
    // once in vain.
    assert_eq!(rejected(), calls);
}

/// A refusal of a caller's own socket and descriptor, which the private questions do not confirm.
fn provoke_refusals() {
    let socket = epipe::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"x", "127.0.0.1:0").unwrap_err();
    raw::write(eventfd(), &1_u64.to_ne_bytes()).unwrap();
}

/// The descriptors of this process.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Under a liar that rejects the flag of sends with an address by ENOPROTOOPT: each datagram
/// arrives once, whether or not a descriptor is free for the question, and none is left open.
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
