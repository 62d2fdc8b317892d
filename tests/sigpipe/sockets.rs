//! Stream and datagram sockets: every call × every way to break.

use std::fs::File;
use std::io::{self, BufWriter, IoSlice, Write};
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{ChildStdout, Command, Stdio};

use epipe::raw;
use epipe::socket2::SockRef;
use socket2::{MsgHdr, SockAddr};

use crate::Scene;
use crate::bad_input::same;
use crate::c_calls::splice_raises;
use crate::rows::{DATA, Pair, Row, call, play_rows};
use crate::support::{
    Break, assert_epipe, broken_stream, foreign_write, slices, tcp_pair, unix_pair,
};

fn eight_slices() -> [IoSlice<'static>; 8] {
    [IoSlice::new(b"slice"); 8]
}

/// A file that is sent in one piece.
fn file() -> File {
    crate::support::file(100)
}

/// A pipe with data in it, then its end.
fn pipe() -> io::PipeReader {
    let (reader, mut writer) = io::pipe().unwrap();
    writer.write_all(DATA).unwrap();
    reader
}

/// A socket with data in it, then its end.
fn readable() -> UnixStream {
    let (ours, theirs) = unix_pair().unwrap();
    foreign_write(theirs, DATA).unwrap();
    ours.into()
}

/// The output of a child, as std returns it: a pipe with data in it.
fn child() -> ChildStdout {
    let mut child = Command::new("echo").arg("record").stdout(Stdio::piped()).spawn().unwrap();
    let stdout = child.stdout.take().unwrap();
    child.wait().unwrap();
    stdout
}

/// The calls of a stream type. The control is std's own call if that dies. Otherwise it is
/// socket2's, which carries no flag. For sendfile it is std's copy from file to file, which is
/// sendfile on Linux. Elsewhere sendfile raises nothing.
macro_rules! stream_rows {
    ($ours:ty, $std:ty) => {
        vec![
            Row {
                name: "write",
                ours: call!($ours: s => s.write(DATA)),
                control: call!(socket2::Socket: s => s.write(DATA)),
            },
            Row {
                name: "write by reference",
                ours: call!($ours: s => (&s).write(DATA)),
                control: call!(socket2::Socket: s => (&s).write(DATA)),
            },
            Row {
                name: "write_all",
                ours: call!($ours: s => s.write_all(DATA).map(|()| 0)),
                control: call!(socket2::Socket: s => s.write_all(DATA).map(|()| 0)),
            },
            Row {
                name: "write_fmt",
                ours: call!($ours: s => write!(s, "{}", 1).map(|()| 0)),
                control: call!(socket2::Socket: s => write!(s, "{}", 1).map(|()| 0)),
            },
            Row {
                name: "BufWriter",
                ours: call!($ours: s => {
                    let mut buffered = BufWriter::new(&s);
                    let answer = buffered.write_all(DATA).and_then(|()| buffered.flush());
                    let _ = buffered.into_parts();
                    answer.map(|()| 0)
                }),
                control: call!(socket2::Socket: s => {
                    let mut buffered = BufWriter::new(&s);
                    let answer = buffered.write_all(DATA).and_then(|()| buffered.flush());
                    let _ = buffered.into_parts();
                    answer.map(|()| 0)
                }),
            },
            Row {
                name: "write_vectored",
                ours: call!($ours: s => s.write_vectored(&slices())),
                control: call!($std: s => s.write_vectored(&slices())),
            },
            Row {
                name: "write_vectored of one slice",
                ours: call!($ours: s => s.write_vectored(&slices()[..1])),
                control: call!($std: s => s.write_vectored(&slices()[..1])),
            },
            Row {
                name: "write_vectored of eight slices by reference",
                ours: call!($ours: s => (&s).write_vectored(&eight_slices())),
                control: call!($std: s => (&s).write_vectored(&eight_slices())),
            },
            Row {
                name: "a clone's write_vectored",
                ours: call!($ours: s => s.try_clone()?.write_vectored(&slices())),
                control: call!($std: s => s.try_clone()?.write_vectored(&slices())),
            },
            Row {
                name: "write_vectored after from_raw_fd",
                ours: |fd| {
                    // SAFETY: the descriptor was owned just before, and into_raw_fd released it.
                    let mut s = unsafe { <$ours>::from_raw_fd(fd.into_raw_fd()) };
                    Box::new(move || s.write_vectored(&slices()).map(|n| n as u64))
                },
                control: call!($std: s => s.write_vectored(&slices())),
            },
            Row {
                name: "write_vectored after From<std type>",
                ours: |fd| {
                    let mut s = <$ours>::from(<$std>::from(fd));
                    Box::new(move || s.write_vectored(&slices()).map(|n| n as u64))
                },
                control: call!($std: s => s.write_vectored(&slices())),
            },
            Row {
                name: "write_vectored after From<Socket>",
                ours: |fd| {
                    let mut s = <$ours>::from(epipe::socket2::Socket::from(fd));
                    Box::new(move || s.write_vectored(&slices()).map(|n| n as u64))
                },
                control: call!($std: s => s.write_vectored(&slices())),
            },
            Row {
                name: "io::copy from bytes",
                ours: call!($ours: s => epipe::io::copy(&mut &*DATA, &mut s)),
                control: call!(socket2::Socket: s => io::copy(&mut &*DATA, &mut s)),
            },
            Row {
                name: "io::copy from a file",
                ours: call!($ours: s => epipe::io::copy(&mut file(), &mut s)),
                control: call!(socket2::Socket: s => io::copy(&mut file(), &mut s)),
            },
            Row {
                name: "io::copy from a socket",
                ours: call!($ours: s => epipe::io::copy(&mut readable(), &mut s)),
                control: call!(socket2::Socket: s => io::copy(&mut readable(), &mut s)),
            },
            #[cfg(not(kernel = "apple"))] // which answers ENOTCONN
            Row {
                name: "sendfile of a range",
                ours: call!($ours: s => s.sendfile(&file(), 5..100)),
                control: call!(File: s => io::copy(&mut file(), &mut s)),
            },
        ]
    };
}

/// Copies from a pipe into a stream: on Linux by splice, also to a `File`.
macro_rules! splice_rows {
    ($ours:ty, $std:ty) => {
        vec![
            Row {
                name: "io::copy from a pipe",
                ours: call!($ours: s => {
                    epipe::io::copy(&mut epipe::io::PipeReader::from(pipe()), &mut s)
                }),
                control: call!(File: s => io::copy(&mut pipe(), &mut s)),
            },
            Row {
                name: "io::copy from a child to std's stream",
                ours: call!($std: s => epipe::io::copy(&mut child(), &mut s)),
                control: call!(File: s => io::copy(&mut child(), &mut s)),
            },
        ]
    };
}

fn socket_rows() -> Vec<Row> {
    vec![
        Row {
            name: "Socket::send",
            ours: call!(epipe::socket2::Socket: s => s.send(DATA)),
            control: call!(socket2::Socket: s => s.send(DATA)),
        },
        Row {
            name: "Socket::send_with_flags",
            ours: call!(epipe::socket2::Socket: s => s.send_with_flags(DATA, libc::MSG_DONTWAIT)),
            control: call!(socket2::Socket: s => s.send_with_flags(DATA, libc::MSG_DONTWAIT)),
        },
        Row {
            name: "Socket::send_vectored",
            ours: call!(epipe::socket2::Socket: s => s.send_vectored(&slices())),
            control: call!(socket2::Socket: s => s.send_vectored(&slices())),
        },
        Row {
            name: "Socket::send_vectored_with_flags",
            ours: call!(epipe::socket2::Socket: s => {
                s.send_vectored_with_flags(&slices(), libc::MSG_DONTWAIT)
            }),
            control: call!(socket2::Socket: s => {
                s.send_vectored_with_flags(&slices(), libc::MSG_DONTWAIT)
            }),
        },
        Row {
            name: "Socket::sendmsg",
            ours: call!(epipe::socket2::Socket: s => {
                s.sendmsg(&MsgHdr::new().with_buffers(&slices()), 0)
            }),
            control: call!(socket2::Socket: s => {
                s.sendmsg(&MsgHdr::new().with_buffers(&slices()), 0)
            }),
        },
        #[cfg(all(has_sendfile, not(kernel = "apple")))] // which answers ENOTCONN
        Row {
            name: "Socket::sendfile",
            ours: call!(epipe::socket2::Socket: s => s.sendfile(&file(), 0, None)),
            control: call!(File: s => io::copy(&mut file(), &mut s)),
        },
        Row {
            name: "Socket::write",
            ours: call!(epipe::socket2::Socket: s => s.write(DATA)),
            control: call!(socket2::Socket: s => s.write(DATA)),
        },
        Row {
            name: "SockRef::send",
            ours: call!(std::net::TcpStream: s => SockRef::from(&s).send(DATA)),
            control: call!(std::net::TcpStream: s => socket2::SockRef::from(&s).send(DATA)),
        },
        Row {
            name: "SockRef::send_vectored of ours",
            ours: call!(epipe::net::TcpStream: s => SockRef::from(&s).send_vectored(&slices())),
            // Not our type: its socket may have the option, which protects every send.
            control: call!(std::net::TcpStream: s => {
                socket2::SockRef::from(&s).send_vectored(&slices())
            }),
        },
        Row {
            name: "SockRef::write",
            ours: call!(OwnedFd: s => (&*SockRef::from(&s)).write(DATA)),
            control: call!(OwnedFd: s => (&*socket2::SockRef::from(&s)).write(DATA)),
        },
        Row {
            name: "Socket::write_vectored by reference",
            ours: call!(epipe::socket2::Socket: s => (&s).write_vectored(&slices())),
            control: call!(socket2::Socket: s => (&s).write_vectored(&slices())),
        },
        Row {
            name: "a cloned Socket's send",
            ours: call!(epipe::socket2::Socket: s => s.try_clone()?.send(DATA)),
            control: call!(socket2::Socket: s => s.try_clone()?.send(DATA)),
        },
        Row {
            name: "io::copy into a Socket",
            ours: call!(epipe::socket2::Socket: s => epipe::io::copy(&mut file(), &mut s)),
            control: call!(socket2::Socket: s => io::copy(&mut file(), &mut s)),
        },
        Row {
            name: "raw::send",
            ours: call!(OwnedFd: s => raw::send(&s, DATA)),
            control: call!(socket2::Socket: s => s.send(DATA)),
        },
        Row {
            name: "raw::send_with_flags",
            ours: call!(OwnedFd: s => raw::send_with_flags(&s, DATA, libc::MSG_DONTWAIT)),
            control: call!(socket2::Socket: s => s.send_with_flags(DATA, libc::MSG_DONTWAIT)),
        },
        Row {
            name: "raw::send_vectored",
            ours: call!(OwnedFd: s => raw::send_vectored(&s, &slices())),
            control: call!(socket2::Socket: s => s.send_vectored(&slices())),
        },
        Row {
            name: "raw::sendmsg",
            ours: call!(OwnedFd: s => raw::sendmsg(&s, &MsgHdr::new().with_buffers(&slices()), 0)),
            control: call!(socket2::Socket: s => {
                s.sendmsg(&MsgHdr::new().with_buffers(&slices()), 0)
            }),
        },
        #[cfg(all(has_sendfile, not(kernel = "apple")))] // which answers ENOTCONN
        Row {
            name: "raw::sendfile",
            ours: call!(OwnedFd: s => raw::sendfile(&s, file(), 0, None)),
            control: call!(File: s => io::copy(&mut file(), &mut s)),
        },
        Row {
            name: "raw::write to a socket",
            ours: call!(OwnedFd: s => raw::write(&s, DATA)),
            control: call!(File: s => s.write(DATA)),
        },
        Row {
            name: "raw::write_vectored to a socket",
            ours: call!(OwnedFd: s => raw::write_vectored(&s, &slices())),
            control: call!(File: s => s.write_vectored(&slices())),
        },
        Row {
            name: "PipeWriter over a socket",
            ours: call!(epipe::io::PipeWriter: s => s.write(DATA)),
            control: call!(io::PipeWriter: s => s.write(DATA)),
        },
    ]
}

/// Calls that only TCP supports.
fn tcp_rows() -> Vec<Row> {
    fn nowhere() -> SockAddr {
        SocketAddr::from(([127, 0, 0, 1], 9)).into()
    }
    vec![
        Row {
            name: "Socket::send_out_of_band",
            ours: call!(epipe::socket2::Socket: s => s.send_out_of_band(DATA)),
            control: call!(socket2::Socket: s => s.send_out_of_band(DATA)),
        },
        Row {
            name: "Socket::send_to",
            ours: call!(epipe::socket2::Socket: s => s.send_to(DATA, &nowhere())),
            control: call!(socket2::Socket: s => s.send_to(DATA, &nowhere())),
        },
        Row {
            name: "Socket::send_to_vectored",
            ours: call!(epipe::socket2::Socket: s => s.send_to_vectored(&slices(), &nowhere())),
            control: call!(socket2::Socket: s => s.send_to_vectored(&slices(), &nowhere())),
        },
        Row {
            name: "raw::send_out_of_band",
            ours: call!(OwnedFd: s => raw::send_out_of_band(&s, DATA)),
            control: call!(socket2::Socket: s => s.send_out_of_band(DATA)),
        },
        Row {
            name: "raw::send_to",
            ours: call!(OwnedFd: s => raw::send_to(&s, DATA, &nowhere())),
            control: call!(socket2::Socket: s => s.send_to(DATA, &nowhere())),
        },
        Row {
            name: "raw::send_to_vectored",
            ours: call!(OwnedFd: s => raw::send_to_vectored(&s, &slices(), &nowhere())),
            control: call!(socket2::Socket: s => s.send_to_vectored(&slices(), &nowhere())),
        },
    ]
}

pub fn scenes() -> Vec<Scene> {
    let mut scenes = Vec::new();
    let mut add = |pair: Pair, family: &str, breaks: &[Break], rows: Vec<Row>| {
        scenes.extend(play_rows(pair, family, breaks, &rows));
    };

    let tcp4 = || tcp_pair("127.0.0.1:0");
    let tcp6 = || tcp_pair("[::1]:0");
    add(tcp4, "tcp", Break::TCP, stream_rows!(epipe::net::TcpStream, std::net::TcpStream));
    add(tcp4, "tcp", Break::TCP, socket_rows());
    add(tcp4, "tcp", Break::TCP, tcp_rows());
    add(tcp6, "tcp6", &[Break::Rst], stream_rows!(epipe::net::TcpStream, std::net::TcpStream));
    add(tcp6, "tcp6", &[Break::Rst], splice_rows!(epipe::net::TcpStream, std::net::TcpStream));
    add(
        unix_pair,
        "unix",
        Break::UNIX,
        stream_rows!(epipe::os::unix::net::UnixStream, std::os::unix::net::UnixStream),
    );
    add(
        unix_pair,
        "unix",
        Break::UNIX,
        splice_rows!(epipe::os::unix::net::UnixStream, std::os::unix::net::UnixStream),
    );
    add(unix_pair, "unix", Break::UNIX, socket_rows());
    for &broken in Break::TCP {
        let rows = splice_rows!(epipe::net::TcpStream, std::net::TcpStream);
        let by_splice = play_rows(tcp4, "tcp", &[broken], &rows);
        // At the end of a pipe, gVisor's splice reports that a reset has come.
        let can = broken != Break::Fin || splice_raises();
        scenes.extend(
            by_splice.into_iter().map(|scene| scene.only_where(can, "splice differs here")),
        );
    }

    scenes.extend(datagrams());
    scenes
}

/// Datagrams raise nothing on Linux. Elsewhere they may after an own shutdown. The answer is std's.
fn datagrams() -> Vec<Scene> {
    use std::net::Shutdown;

    vec![
        Scene::survives("UdpSocket: the peer is gone", || {
            let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let address = peer.local_addr().unwrap();
            drop(peer);
            let ours = epipe::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let std = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            same(ours.send_to(DATA, address), || std.send_to(DATA, address));
            ours.connect(address).unwrap();
            std.connect(address).unwrap();
            for _ in 0..3 {
                same(ours.send(DATA), || std.send(DATA));
            }
        }),
        Scene::survives("UnixDatagram: the peer is gone", || {
            let (ours, peer) = epipe::os::unix::net::UnixDatagram::pair().unwrap();
            let (std, other) = std::os::unix::net::UnixDatagram::pair().unwrap();
            drop((peer, other));
            same(ours.send(DATA), || std.send(DATA));
            same(ours.send_to(DATA, "/nowhere"), || std.send_to(DATA, "/nowhere"));
        }),
        Scene::survives("UnixDatagram: own shutdown", || {
            let (ours, _peer) = epipe::os::unix::net::UnixDatagram::pair().unwrap();
            let (std, _other) = std::os::unix::net::UnixDatagram::pair().unwrap();
            ours.shutdown(Shutdown::Write).unwrap();
            std.shutdown(Shutdown::Write).unwrap();
            same(ours.send(DATA), || std.send(DATA));
        }),
    ]
}

/// Our writes to a broken stream report EPIPE.
pub fn socket_writes() {
    for _ in 0..3 {
        let mut stream = epipe::net::TcpStream::from(broken_stream());
        assert_epipe(stream.write(b"x"));
        assert_epipe(stream.write_vectored(&[IoSlice::new(b"x"), IoSlice::new(b"y")]));
        assert_epipe(raw::send(&stream, b"x"));
    }
}
