//! async-io: what `Async` writes by, the type that it holds decides.

use std::os::fd::{AsFd, OwnedFd};

use async_io::{Async, IoSafe, block_on};
use epipe::NoSigpipe;
use futures_lite::AsyncWriteExt;

use crate::Scene;
use crate::rows::{Call, Row, broken_child, pairs, play_rows};
use crate::support::{Break, assert_epipe, broken_pipe, slices, tcp_pair, unix_pair};

/// Writes two slices again and again.
fn writes<T>(handle: T) -> Call
where
    T: AsFd + std::io::Write + IoSafe + 'static,
{
    let mut handle = Async::new(handle).unwrap();
    Box::new(move || block_on(handle.write_vectored(&slices())).map(|n| n as u64))
}

macro_rules! row {
    ($name:literal, $ours:ty, control $std:ty) => {
        Row {
            name: concat!("Async<", $name, ">: write_vectored"),
            ours: |fd| writes(<$ours>::from(fd)),
            control: |fd| writes(<$std>::from(fd)),
        }
    };
}

fn adapter_row<T>() -> Row
where
    T: From<OwnedFd> + epipe::Adopt + AsFd + std::io::Write + IoSafe + 'static,
    NoSigpipe<T>: std::io::Write,
{
    Row {
        name: "Async<NoSigpipe<std stream>>: write_vectored",
        ours: |fd| writes(NoSigpipe::new(T::from(fd)).unwrap()),
        control: |fd| writes(T::from(fd)),
    }
}

pub fn scenes() -> Vec<Scene> {
    use epipe::os::unix::net::UnixStream;

    type StdUnixStream = std::os::unix::net::UnixStream;

    let tcp4 = || tcp_pair("127.0.0.1:0");
    let tcp = [
        row!("TcpStream", epipe::net::TcpStream, control std::net::TcpStream),
        row!("Socket", epipe::Socket, control std::net::TcpStream),
        adapter_row::<std::net::TcpStream>(),
    ];
    let unix =
        [row!("UnixStream", UnixStream, control StdUnixStream), adapter_row::<StdUnixStream>()];
    let mut scenes = play_rows(tcp4, "async-io tcp", Break::TCP, &tcp);
    scenes.extend(play_rows(unix_pair, "async-io unix", Break::UNIX, &unix));
    scenes.extend(pairs! {
        "async-io: Async<PipeWriter>: write":
            block_on(Async::new(epipe::io::PipeWriter::from(broken_pipe())).unwrap().write(b"x")),
            control block_on(Async::new(std::io::PipeWriter::from(broken_pipe())).unwrap().write(b"x"));
        "async-io: Async<NoSigpipe<ChildStdin>>: write": {
            let stdin = NoSigpipe::new(broken_child()).unwrap();
            block_on(Async::new(stdin).unwrap().write(b"x"))
        },
            control block_on(Async::new(broken_child()).unwrap().write(b"x"));
    });
    scenes
}
