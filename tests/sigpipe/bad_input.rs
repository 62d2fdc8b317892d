//! Bad input gives std's answer: no panic, no signal, no lost handle.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use epipe::io::PipeWriter;
use epipe::raw;
use epipe::sigpipe::suppressed;

use crate::Scene;
use crate::suites::rejected;
#[cfg(target_os = "linux")]
use crate::support::eventfd;
use crate::support::{Break, file, is_blocked, is_pending, set_handler, tcp_pair, unix_pair};

/// Asserts that our answer and std's are the same. std's call runs under a guard, which it may
/// need.
#[track_caller]
pub fn same<T: Debug + PartialEq>(ours: io::Result<T>, std: impl FnOnce() -> io::Result<T>) {
    let before = rejected();
    let std = suppressed(std).unwrap();
    // A library that rejects std's flag leaves no answer to compare with.
    if rejected() > before {
        return;
    }
    match (&ours, &std) {
        (Ok(ours), Ok(std)) => assert_eq!(ours, std),
        (Err(ours), Err(std)) => {
            assert_eq!((ours.raw_os_error(), ours.kind()), (std.raw_os_error(), std.kind()));
            assert_eq!(ours.to_string(), std.to_string());
        }
        _ => panic!("ours: {ours:?}, std: {std:?}"),
    }
    assert!(!is_blocked() && !is_pending());
}

fn write_only(path: &str) -> OwnedFd {
    OpenOptions::new().write(true).open(path).unwrap().into()
}

/// Two equal descriptors, one for ours and one for std.
fn twice(make: impl Fn() -> OwnedFd) -> (OwnedFd, OwnedFd) {
    (make(), make())
}

/// The number of a descriptor that is closed.
fn closed_descriptor() -> RawFd {
    let (socket, _peer) = unix_pair().unwrap();
    socket.as_raw_fd()
}

/// Whether a write of no slices to a closed descriptor is EBADF. qemu-user answers 0 without a
/// system call (`lock_iovec` in its linux-user/syscall.c). XNU answers EINVAL.
fn an_empty_write_looks_at_its_descriptor() -> bool {
    // SAFETY: with a count of 0, no slices are read.
    let answer = unsafe { libc::writev(closed_descriptor(), std::ptr::null(), 0) };
    answer == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::EBADF)
}

/// Whether a send of no bytes arrives between Unix sockets. gVisor answers 0 and sends nothing,
/// although its write of no bytes arrives.
fn an_empty_send_is_made() -> bool {
    let (ours, peer) = UnixDatagram::pair().unwrap();
    peer.set_nonblocking(true).unwrap();
    socket2::SockRef::from(&ours).send(b"").unwrap();
    peer.recv(&mut [0; 8]).is_ok()
}

pub fn scenes() -> Vec<Scene> {
    const TEN: [u8; 10] = [7; 10];
    vec![
        Scene::survives("bad input: a closed descriptor", || {
            #[cfg(has_sendfile)]
            let file = file(10);
            let fd = closed_descriptor();
            // SAFETY: deliberately broken: the descriptor is closed. The scene tests this misuse.
            // No descriptor is opened here until the types below have released the number.
            let (mut stream, mut pipe, borrowed) = unsafe {
                (
                    epipe::net::TcpStream::from_raw_fd(fd),
                    PipeWriter::from_raw_fd(fd),
                    BorrowedFd::borrow_raw(fd),
                )
            };
            let answers = [
                stream.write(&TEN),
                stream.write_vectored(&[IoSlice::new(&TEN)]),
                pipe.write(&TEN),
                pipe.write_vectored(&[IoSlice::new(&TEN)]),
                raw::send(borrowed, &TEN),
                raw::write(borrowed, &TEN),
                #[cfg(has_sendfile)]
                raw::sendfile(borrowed, &file, 0, None),
            ];
            for answer in answers {
                assert_eq!(answer.unwrap_err().raw_os_error(), Some(libc::EBADF));
            }
            assert_eq!(stream.into_raw_fd(), pipe.into_raw_fd());
        }),
        Scene::survives("bad input: a closed descriptor, and nothing to write", || {
            // SAFETY: as above. `into_raw_fd` releases the number before the type is dropped.
            let mut stream = unsafe { epipe::net::TcpStream::from_raw_fd(closed_descriptor()) };
            let answer = stream.write_vectored(&[]);
            let _ = stream.into_raw_fd();
            assert_eq!(answer.unwrap_err().raw_os_error(), Some(libc::EBADF));
        })
        .only_where(an_empty_write_looks_at_its_descriptor(), "an empty write is never EBADF here"),
        Scene::survives("bad input: a listener is written to", || {
            let (ours, std) = twice(|| TcpListener::bind("127.0.0.1:0").unwrap().into());
            let mut ours = epipe::net::TcpStream::from(ours);
            let mut std = std::net::TcpStream::from(std);
            same(ours.write(&TEN), || std.write(&TEN));
            same(ours.write_vectored(&[IoSlice::new(&TEN)]), || {
                std.write_vectored(&[IoSlice::new(&TEN)])
            });
            same(raw::send(&ours, &TEN), || socket2::SockRef::from(&std).send(&TEN));
        }),
        Scene::survives("bad input: adopted descriptors that are no sockets", || {
            let kinds: &[fn() -> OwnedFd] = &[
                || file(0).into(),
                || write_only("/dev/null"),
                #[cfg(target_os = "linux")]
                eventfd,
                || io::pipe().unwrap().0.into(), // a reading end
            ];
            for &kind in kinds {
                let (ours, std) = twice(kind);
                let mut ours = epipe::net::TcpStream::from(ours);
                let mut std = std::net::TcpStream::from(std);
                same(ours.write(&TEN), || std.write(&TEN));
                same(ours.write_vectored(&[IoSlice::new(&TEN)]), || {
                    std.write_vectored(&[IoSlice::new(&TEN)])
                });
                same(ours.peer_addr(), || std.peer_addr());
                // The handle is unchanged, and still works.
                File::from(OwnedFd::from(ours)).metadata().unwrap();

                let (ours, std) = twice(kind);
                let (ours, std) =
                    (epipe::os::unix::net::UnixDatagram::from(ours), UnixDatagram::from(std));
                same(ours.send(&TEN), || std.send(&TEN));
                same(ours.send_to(&TEN, "/nowhere"), || std.send_to(&TEN, "/nowhere"));
                let (ours, std) = (OwnedFd::from(ours), OwnedFd::from(std));
                let (ours, std) = (epipe::net::UdpSocket::from(ours), UdpSocket::from(std));
                same(ours.send(&TEN), || std.send(&TEN));
            }
        }),
        #[cfg(target_os = "linux")]
        Scene::survives("bad input: eventfd, /dev/full and files of /proc as pipes", || {
            let kinds: [fn() -> OwnedFd; 5] = [
                eventfd,
                || write_only("/dev/full"),
                || write_only("/proc/self/comm"),
                || File::open("/proc/self/stat").unwrap().into(),
                || file(0).into(),
            ];
            for kind in kinds {
                let (ours, std) = twice(kind);
                let (mut ours, mut std) = (PipeWriter::from(ours), io::PipeWriter::from(std));
                same(ours.write(&[1; 8]), || std.write(&[1; 8]));
                same(ours.write(b"x"), || std.write(b"x"));
                same(ours.write(b""), || std.write(b""));
                let slices = [IoSlice::new(&[1; 4]), IoSlice::new(&[0; 4])];
                same(ours.write_vectored(&slices), || std.write_vectored(&slices));
                same(raw::write(&ours, &[1; 8]), || std.write(&[1; 8]));
            }
        }),
        Scene::survives("bad input: a file keeps its position and O_APPEND", || {
            let path = std::env::temp_dir().join(format!("epipe-append-{}", std::process::id()));
            std::fs::write(&path, "old ").unwrap();
            let appending = OpenOptions::new().append(true).open(&path).unwrap();
            PipeWriter::from(OwnedFd::from(appending)).write_all(b"new ").unwrap();
            let writing = OpenOptions::new().write(true).open(&path).unwrap();
            let mut writing = PipeWriter::from(OwnedFd::from(writing));
            writing.write_all(b"OL").unwrap();
            writing.write_all(b"D").unwrap();
            let found = std::fs::read_to_string(&path).unwrap();
            std::fs::remove_file(&path).unwrap();
            assert_eq!(found, "OLD new ");
        }),
        Scene::survives("bad input: nothing to write", || {
            let nothing: [&[IoSlice<'_>]; 2] = [&[], &[IoSlice::new(b""), IoSlice::new(b"")]];
            for broken in [None, Some(Break::Rst), Some(Break::RstRead), Some(Break::OwnShutdown)] {
                let stream = || {
                    let (ours, theirs) = tcp_pair("127.0.0.1:0").unwrap();
                    match broken {
                        Some(broken) => broken.apply(ours.as_fd(), theirs).unwrap(),
                        None => std::mem::forget(theirs),
                    }
                    ours
                };
                for nothing in nothing {
                    let (ours, std) = twice(stream);
                    let mut ours = epipe::net::TcpStream::from(ours);
                    let mut std = std::net::TcpStream::from(std);
                    same(ours.write_vectored(nothing), || std.write_vectored(nothing));
                    same(ours.write(b""), || std.write(b""));
                }
            }
            for nothing in nothing {
                let (ours, std) = twice(|| io::pipe().unwrap().1.into());
                let (mut ours, mut std) = (PipeWriter::from(ours), io::PipeWriter::from(std));
                same(ours.write_vectored(nothing), || std.write_vectored(nothing));
                same(ours.write(b""), || std.write(b""));
            }
        }),
        Scene::survives("bad input: an empty datagram is a datagram", || {
            let (ours, peer) = epipe::os::unix::net::UnixDatagram::pair().unwrap();
            assert_eq!(ours.send(b"").unwrap(), 0);
            peer.set_nonblocking(true).unwrap();
            assert_eq!(peer.recv(&mut [0; 8]).unwrap(), 0);
        })
        .only_where(an_empty_send_is_made(), "an empty send does not arrive here"),
        Scene::survives("bad input: more slices than the system takes are cut", || {
            let byte = [IoSlice::new(b"x"); 3000];
            let (ours, mut peer) = unix_pair().map(|(a, b)| (a, UnixStream::from(b))).unwrap();
            let (std, _other) = unix_pair().unwrap();
            let mut ours = epipe::os::unix::net::UnixStream::from(ours);
            let mut std = UnixStream::from(std);
            same(ours.write_vectored(&byte), || std.write_vectored(&byte));
            let mut received = [0; 3000];
            assert_eq!(peer.read(&mut received).unwrap(), 1024);

            let (_reader, writer) = io::pipe().unwrap();
            let (_other, mut std) = io::pipe().unwrap();
            let mut ours = PipeWriter::from(writer);
            same(ours.write_vectored(&byte), || std.write_vectored(&byte));
            same(raw::write_vectored(&ours, &byte), || std.write_vectored(&byte));

            // `send_vectored` may send a datagram, which must not be cut. socket2 gives the same
            // answer.
            let socket = epipe::socket2::Socket::from(one_end());
            assert_eq!(
                socket.send_vectored(&byte).unwrap_err().raw_os_error(),
                Some(libc::EMSGSIZE)
            );
        })
        .only_where(cfg!(iov_max_1024), "the limit is unknown here"),
        Scene::survives("bad input: non-blocking handles that are full", || {
            let large = vec![0; 8 << 20];
            // Not TCP: there the peer's kernel takes more after a while.
            let (ours, _peer) = unix_pair().unwrap();
            let mut ours = epipe::os::unix::net::UnixStream::from(ours);
            ours.set_nonblocking(true).unwrap();
            let taken = ours.write(&large).unwrap();
            assert!(taken > 0 && taken < large.len());
            while ours.write(&large).is_ok() {}
            for answer in [ours.write(&large), ours.write_vectored(&[IoSlice::new(&large)])] {
                assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::WouldBlock);
            }

            let (_reader, writer) = io::pipe().unwrap();
            let mut ours = PipeWriter::from(writer);
            // SAFETY: this command takes one integer.
            unsafe { libc::fcntl(ours.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
            let taken = ours.write(&large).unwrap();
            assert!(taken > 0 && taken < large.len());
            assert_eq!(ours.write(&large).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            assert!(!is_blocked() && !is_pending());
        }),
        Scene::survives("bad input: an interrupted call", || {
            let (_peer, full) = {
                let (ours, theirs) = unix_pair().unwrap();
                (theirs, epipe::os::unix::net::UnixStream::from(ours))
            };
            interrupt_a_full_write(|buf| (&full).write(buf));
            interrupt_a_full_write(|buf| (&full).write_vectored(&[IoSlice::new(buf)]));
            let (_reader, writer) = io::pipe().unwrap();
            let full = PipeWriter::from(writer);
            interrupt_a_full_write(|buf| (&full).write(buf));
            assert!(!is_blocked() && !is_pending());
        }),
        Scene::survives("bad input: a handle that panics leaves no guard behind", || {
            struct Panics;
            impl AsFd for Panics {
                fn as_fd(&self) -> BorrowedFd<'_> {
                    panic!("as planned")
                }
            }
            impl AsRawFd for Panics {
                fn as_raw_fd(&self) -> i32 {
                    panic!("as planned")
                }
            }
            #[cfg(has_sendfile)]
            let socket = epipe::socket2::Socket::from(one_end());
            let calls: &[&dyn Fn() -> io::Result<usize>] = &[
                &|| raw::write(Panics, b"x"),
                &|| raw::write_vectored(Panics, &[]),
                &|| raw::send(Panics, b"x"),
                #[cfg(has_sendfile)]
                &|| raw::sendfile(&socket, Panics, 0, None),
                #[cfg(has_sendfile)]
                &|| socket.sendfile(&Panics, 0, None),
            ];
            for call in calls {
                let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
                assert!(panicked.is_err());
                assert!(!is_blocked());
                crate::guards::assert_default();
            }
        }),
        Scene::survives("bad input: arguments that the system refuses", || {
            let ours = epipe::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let std = UdpSocket::bind("127.0.0.1:0").unwrap();
            same(ours.send_to(&TEN, "127.0.0.1:0"), || std.send_to(&TEN, "127.0.0.1:0"));
            same(ours.send(&TEN), || std.send(&TEN));
            same(ours.send_to(&TEN, &[][..]), || std.send_to(&TEN, &[][..]));
            same(ours.send_to(&vec![0; 70_000], "127.0.0.1:9"), || {
                std.send_to(&vec![0; 70_000], "127.0.0.1:9")
            });

            let ours = epipe::os::unix::net::UnixDatagram::unbound().unwrap();
            let std = UnixDatagram::unbound().unwrap();
            let long = "x".repeat(200);
            for path in ["", "/nowhere", "in\0side", "\0abstract", &long] {
                same(ours.send_to(&TEN, path), || std.send_to(&TEN, path));
            }
            same(ours.send(&TEN), || std.send(&TEN));
        }),
    ]
}

/// One end of a connection whose other end stays open.
fn one_end() -> OwnedFd {
    let (ours, theirs) = unix_pair().unwrap();
    std::mem::forget(theirs);
    ours
}

/// Fills the target of `write`, then interrupts the next write, which blocks.
fn interrupt_a_full_write(write: impl Fn(&[u8]) -> io::Result<usize>) {
    static DONE: AtomicBool = AtomicBool::new(false);
    extern "C" fn interrupt(_: libc::c_int) {}

    // Without SA_RESTART: the call ends with EINTR.
    set_handler(libc::SIGUSR1, interrupt as extern "C" fn(libc::c_int) as usize, 0);
    DONE.store(false, Ordering::Release);
    // SAFETY: pthread_self is this thread. It joins the interrupting thread below.
    let writer = unsafe { libc::pthread_self() } as usize;
    let interrupting = thread::spawn(move || {
        while !DONE.load(Ordering::Acquire) {
            // SAFETY: as above.
            unsafe { libc::pthread_kill(writer as libc::pthread_t, libc::SIGUSR1) };
            thread::yield_now();
        }
    });
    // While there is room, a write is whole or short. Without room it takes nothing.
    let error = loop {
        match write(&[0; 1 << 16]) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    DONE.store(true, Ordering::Release);
    interrupting.join().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::Interrupted);
}
