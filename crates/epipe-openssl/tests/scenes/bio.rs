//! Our BIO and OpenSSL's own: the same calls have the same results.

use std::ffi::c_int;
use std::fmt::Debug;
use std::io;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr;

use epipe::sigpipe::suppressed;
use epipe_openssl::{BIO_CLOSE, BIO_NOCLOSE, bio};
use openssl_sys::{
    BIO, BIO_CTRL_EOF, BIO_CTRL_FLUSH, BIO_ctrl, BIO_free_all, BIO_new_socket, BIO_read, BIO_write,
};
use socket2::SockRef;

use crate::Scene;
use crate::raw::{
    BIO_C_GET_FD, BIO_C_SET_FD, BIO_CTRL_GET_CLOSE, BIO_CTRL_SET_CLOSE, BIO_TYPE_DESCRIPTOR,
    BIO_dup_chain, BIO_find_type, BIO_puts, BIO_test_flags, BIO_write_ex, ctrl,
};
use crate::support::{Break, tcp_pair, unix_pair, wait};

/// What the caller of a function sees: the number, `errno`, the retry flags, the end.
#[derive(Debug, PartialEq)]
struct Seen(c_int, Option<i32>, c_int, bool);

fn see(bio: *mut BIO, call: impl FnOnce() -> c_int) -> Seen {
    const FLAGS: c_int = 0xf;
    let (returned, errno) = suppressed(|| (call(), io::Error::last_os_error())).unwrap();
    unsafe {
        Seen(
            returned,
            // On success `errno` has no meaning.
            (returned < 0).then(|| errno.raw_os_error().unwrap()),
            BIO_test_flags(bio, FLAGS),
            ctrl(bio, BIO_CTRL_EOF, 0) != 0,
        )
    }
}

fn read(bio: *mut BIO) -> Seen {
    let mut buffer = [0; 100];
    see(bio, || unsafe { BIO_read(bio, buffer.as_mut_ptr().cast(), 100) })
}

fn write(bio: *mut BIO, bytes: &[u8]) -> Seen {
    see(bio, || unsafe { BIO_write(bio, bytes.as_ptr().cast(), bytes.len() as c_int) })
}

/// Runs the same calls with our BIO and with OpenSSL's, each on its own connection.
fn same<T: Debug + PartialEq>(
    sockets: fn() -> io::Result<(OwnedFd, OwnedFd)>,
    play: impl Fn(*mut BIO, OwnedFd, OwnedFd) -> T,
) -> T {
    let one = |new: unsafe fn(RawFd) -> *mut BIO| {
        let (ours, theirs) = sockets().unwrap();
        SockRef::from(&ours).set_nonblocking(true).unwrap();
        let bio = unsafe { new(ours.as_raw_fd()) };
        let answer = play(bio, ours, theirs);
        unsafe { BIO_free_all(bio) };
        answer
    };
    unsafe fn ours(fd: RawFd) -> *mut BIO {
        unsafe { bio(fd, BIO_NOCLOSE) }.unwrap()
    }
    unsafe fn theirs(fd: RawFd) -> *mut BIO {
        unsafe { BIO_new_socket(fd, BIO_NOCLOSE) }
    }
    let (ours, theirs) = (one(ours), one(theirs));
    assert_eq!(ours, theirs);
    ours
}

fn tcp() -> io::Result<(OwnedFd, OwnedFd)> {
    tcp_pair("127.0.0.1:0")
}

pub fn scenes() -> Vec<Scene> {
    const AGAIN_READ: c_int = 0x1 | 0x8;
    const AGAIN_WRITE: c_int = 0x2 | 0x8;
    vec![
        Scene::survives("BIO: reads without data, with data, and at the end", || {
            for sockets in [tcp, unix_pair] {
                let seen = same(sockets, |bio, ours, theirs| {
                    let nothing = read(bio);
                    SockRef::from(&theirs).send(b"something").unwrap();
                    wait(ours.as_raw_fd(), libc::POLLIN);
                    let something = read(bio);
                    drop(theirs);
                    wait(ours.as_raw_fd(), libc::POLLIN);
                    [nothing, something, read(bio), read(bio)]
                });
                assert_eq!(seen[0], Seen(-1, Some(libc::EAGAIN), AGAIN_READ, false));
                assert_eq!(seen[1], Seen(9, None, 0, false));
                assert_eq!(seen[2], Seen(0, None, 0, true));
            }
        }),
        Scene::survives("BIO: a write that would block", || {
            let seen = same(unix_pair, |bio, _ours, _theirs| {
                let mut answers = Vec::new();
                while answers.last().is_none_or(|Seen(written, ..)| *written > 0) {
                    answers.push(write(bio, &[7; 10_000]));
                }
                answers
            });
            assert_eq!(*seen.last().unwrap(), Seen(-1, Some(libc::EAGAIN), AGAIN_WRITE, false));
        }),
        Scene::survives("BIO: a peer that is gone", || {
            for broken in [Break::Rst, Break::RstRead, Break::FinRst, Break::OwnShutdown] {
                let seen = same(tcp, |bio, ours, theirs| {
                    broken.apply(ours.as_fd(), theirs).unwrap();
                    [write(bio, b"x"), write(bio, b"x"), read(bio)]
                });
                assert_eq!(seen[1], Seen(-1, Some(libc::EPIPE), 0, false));
            }
        }),
        Scene::survives("BIO: a socket that is not connected", || {
            fn unconnected() -> io::Result<(OwnedFd, OwnedFd)> {
                let new =
                    || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
                Ok((new()?.into(), new()?.into()))
            }
            let seen = same(unconnected, |bio, _, _| read(bio));
            assert_eq!(seen, Seen(-1, Some(libc::ENOTCONN), AGAIN_READ, false));
        }),
        Scene::survives("BIO: the owner has closed the descriptor", || {
            same(unix_pair, |bio, ours, theirs| {
                drop((ours, theirs));
                [read(bio), write(bio, b"x")]
            });
        }),
        Scene::survives("BIO: an empty write, and a string", || {
            same(unix_pair, |bio, _ours, _theirs| {
                [write(bio, b""), see(bio, || unsafe { BIO_puts(bio, c"a text".as_ptr()) })]
            });
        }),
        Scene::survives("BIO: empty buffers, and null pointers", || {
            let seen = same(unix_pair, |bio, _ours, theirs| {
                let read_nothing =
                    || see(bio, || unsafe { BIO_read(bio, [0_u8; 1].as_mut_ptr().cast(), 0) });
                let read_null = see(bio, || unsafe { BIO_read(bio, ptr::null_mut(), 5) });
                let idle = read_nothing();
                SockRef::from(&theirs).send(b"something").unwrap();
                let waiting = read_nothing();
                let mut written = 7;
                let write_nothing =
                    see(bio, || unsafe { BIO_write_ex(bio, ptr::null(), 0, &mut written) });
                let write_null = see(bio, || unsafe { BIO_write(bio, ptr::null(), 5) });
                (read_null, idle, waiting, write_nothing, written, write_null, read(bio))
            });
            assert_eq!(seen.6, Seen(9, None, 0, true));
        }),
        Scene::survives("BIO: an empty read does not remove a datagram", || {
            fn datagrams() -> io::Result<(OwnedFd, OwnedFd)> {
                let (a, b) = std::os::unix::net::UnixDatagram::pair()?;
                Ok((a.into(), b.into()))
            }
            same(datagrams, |bio, _ours, theirs| {
                SockRef::from(&theirs).send(b"one").unwrap();
                let nothing =
                    see(bio, || unsafe { BIO_read(bio, [0_u8; 1].as_mut_ptr().cast(), 0) });
                (nothing, read(bio))
            });
        }),
        Scene::survives("BIO: commands", || {
            same(unix_pair, |bio, ours, _theirs| unsafe {
                let mut fd: c_int = -2;
                let by_pointer = BIO_ctrl(bio, BIO_C_GET_FD, 0, (&raw mut fd).cast());
                assert_eq!((by_pointer, fd), (ours.as_raw_fd().into(), ours.as_raw_fd()));
                assert_eq!(ctrl(bio, BIO_C_GET_FD, 0), by_pointer);
                assert_eq!(BIO_find_type(bio, BIO_TYPE_DESCRIPTOR), bio);
                [
                    ctrl(bio, BIO_CTRL_GET_CLOSE, 0),
                    ctrl(bio, BIO_CTRL_SET_CLOSE, 1),
                    ctrl(bio, BIO_CTRL_GET_CLOSE, 0),
                    ctrl(bio, BIO_CTRL_SET_CLOSE, 0),
                    ctrl(bio, BIO_CTRL_FLUSH, 0),
                    ctrl(bio, BIO_CTRL_EOF, 0),
                    ctrl(bio, 1, 0),  // BIO_CTRL_RESET
                    ctrl(bio, 3, 0),  // BIO_CTRL_INFO
                    ctrl(bio, 10, 0), // BIO_CTRL_PENDING
                    ctrl(bio, 13, 0), // BIO_CTRL_WPENDING
                ]
            });
        }),
        Scene::survives("BIO: a new descriptor replaces and closes the old one", || {
            same(unix_pair, |bio, ours, theirs| unsafe {
                let mut fd = ours.as_raw_fd();
                std::mem::forget(ours);
                // From here on the BIO closes its descriptor.
                assert_eq!(BIO_ctrl(bio, BIO_C_SET_FD, BIO_CLOSE.into(), (&raw mut fd).cast()), 1);
                let (socket, peer) = unix_pair().unwrap();
                let mut fd = socket.into_raw_fd();
                assert_eq!(BIO_ctrl(bio, BIO_C_SET_FD, BIO_CLOSE.into(), (&raw mut fd).cast()), 1);
                let closed = SockRef::from(&theirs).recv(&mut [std::mem::MaybeUninit::uninit()]);
                SockRef::from(&peer).send(b"x").unwrap();
                (closed.unwrap(), read(bio), ctrl(bio, BIO_CTRL_GET_CLOSE, 0))
            });
        }),
        Scene::survives("BIO: a copy has no descriptor before BIO_set_fd", || unsafe {
            let (ours, _theirs) = unix_pair().unwrap();
            let original = bio(ours.as_raw_fd(), BIO_NOCLOSE).unwrap();
            let copy = BIO_dup_chain(original);
            assert!(!copy.is_null());
            assert_eq!(ctrl(copy, BIO_C_GET_FD, 0), -1);
            assert_eq!(write(copy, b"x"), Seen(-1, Some(libc::EBADF), 0, false));
            assert_eq!(read(copy), Seen(-1, Some(libc::EBADF), 0, false));
            let mut fd = ours.as_raw_fd();
            BIO_ctrl(copy, BIO_C_SET_FD, 0, (&raw mut fd).cast());
            assert_eq!(write(copy, b"x"), Seen(1, None, 0, false));
            BIO_free_all(copy);
            BIO_free_all(original);
        }),
    ]
}
