//! rustix and nix: the same system calls under other crates' names. `raw` makes them on the same
//! handles.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use epipe::raw;
use rustix::net::SendFlags;

use crate::Scene;
use crate::rows::{DATA, Row, call, pairs, play_rows};
use crate::support::{Break, assert_epipe, broken_pipe, file, slices, tcp_pair, unix_pair};

fn rows() -> Vec<Row> {
    use nix::sys::{sendfile, socket, uio};
    use nix::unistd;

    vec![
        Row {
            name: "rustix::net::send, by raw::send",
            ours: call!(OwnedFd: s => raw::send(&s, DATA)),
            control: call!(OwnedFd: s => io_of(rustix::net::send(&s, DATA, SendFlags::empty()))),
        },
        Row {
            name: "rustix::io::write, by raw::write",
            ours: call!(OwnedFd: s => raw::write(&s, DATA)),
            control: call!(OwnedFd: s => io_of(rustix::io::write(&s, DATA))),
        },
        Row {
            name: "rustix::io::writev, by raw::write_vectored",
            ours: call!(OwnedFd: s => raw::write_vectored(&s, &slices())),
            control: call!(OwnedFd: s => io_of(rustix::io::writev(&s, &slices()))),
        },
        #[cfg(has_sendfile)]
        Row {
            name: "rustix::fs::sendfile, by raw::sendfile",
            ours: call!(OwnedFd: s => raw::sendfile(&s, file(100), 0, None)),
            control: call!(OwnedFd: s => {
                io_of(rustix::fs::sendfile(&s, file(100), None, 100))
            }),
        },
        Row {
            name: "nix send, by raw::send",
            ours: call!(OwnedFd: s => raw::send(&s, DATA)),
            control: call!(OwnedFd: s => {
                io_of(socket::send(s.as_raw_fd(), DATA, socket::MsgFlags::empty()))
            }),
        },
        Row {
            name: "nix write, by raw::write",
            ours: call!(OwnedFd: s => raw::write(&s, DATA)),
            control: call!(OwnedFd: s => io_of(unistd::write(&s, DATA))),
        },
        Row {
            name: "nix writev, by raw::write_vectored",
            ours: call!(OwnedFd: s => raw::write_vectored(&s, &slices())),
            control: call!(OwnedFd: s => io_of(uio::writev(&s, &slices()))),
        },
        #[cfg(has_sendfile)]
        Row {
            name: "nix sendfile, by raw::sendfile",
            ours: call!(OwnedFd: s => raw::sendfile(&s, file(100), 0, None)),
            control: call!(OwnedFd: s => io_of(sendfile::sendfile(&s, file(100), None, 100))),
        },
    ]
}

/// Both crates have their own error types.
fn io_of<T>(answer: Result<T, impl Into<io::Error>>) -> io::Result<T> {
    answer.map_err(Into::into)
}

pub fn scenes() -> Vec<Scene> {
    let tcp4 = || tcp_pair("127.0.0.1:0");
    let mut scenes = play_rows(tcp4, "tcp", &[Break::RstRead, Break::FinRst], &rows());
    scenes.extend(play_rows(unix_pair, "unix", &[Break::Closed], &rows()));
    scenes.extend(pairs! {
        "pipe: rustix::io::write, by raw::write":
            raw::write(broken_pipe(), DATA),
            control io_of(rustix::io::write(broken_pipe(), DATA));
        "pipe: nix write, by raw::write":
            raw::write(broken_pipe(), DATA),
            control io_of(nix::unistd::write(broken_pipe(), DATA));
    });
    scenes
}
