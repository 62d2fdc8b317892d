//! Every method of tokio's and socket2's types that writes, or that makes or returns a stream, is
//! replaced by ours. If a new version of these crates adds one, this test fails.

#![cfg(target_os = "linux")]
#![allow(missing_docs, reason = "a test")]

#[path = "../../support/cargo.rs"]
#[allow(dead_code, reason = "no library is built here")]
mod cargo;
#[path = "../../support/shadows.rs"]
mod shadows;

use std::path::{Path, PathBuf};

use epipe::socket2::Socket;
use epipe::tokio::net::unix::pipe::{OpenOptions, Sender};
use epipe::tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream, tcp, unix};

/// Methods that are not replaced, and the reason.
const NOT_REPLACED: [(&str, &str); 10] = [
    ("poll_write_ready", "reports readiness"),
    ("send_buffer_size", "an option"),
    ("write_timeout", "an option"),
    ("set_write_timeout", "an option"),
    ("OwnedWriteHalf::try_write", "a half lends our stream"),
    ("OwnedWriteHalf::try_write_vectored", "a half lends our stream"),
    ("WriteHalf::try_write", "a half lends our stream"),
    ("WriteHalf::try_write_vectored", "a half lends our stream"),
    // These take no `self`, so `Deref` does not reach tokio's: our types lack them.
    ("UnixStream::connect_addr", "newer than the oldest tokio that is supported"),
    ("UnixListener::bind_addr", "newer than the oldest tokio that is supported"),
];

/// `Type, its file in tokio: methods;` A path does not look through `Deref`, so a method that
/// compiles here is our own.
macro_rules! replaced {
    ($($ty:ty, $file:literal: $($name:ident $(<$generic:ty>)?),*;)+) => {
        vec![$(
            (stringify!($ty), $file, {
                $(let _ = <$ty>::$name $(::<$generic>)?;)*
                vec![$(stringify!($name)),*]
            }),
        )+]
    };
}

#[test]
fn writing_methods_are_replaced() {
    const GIVES: [&str; 9] = [
        "TcpStream",
        "TcpListener",
        "TcpSocket",
        "UnixStream",
        "UnixListener",
        "Sender",
        "OwnedWriteHalf",
        "WriteHalf",
        "OpenOptions",
    ];
    let types: Vec<(&str, &str, Vec<&str>)> = replaced! {
        TcpStream, "tcp/stream.rs":
            connect<&str>, from_std, into_std, try_write, try_write_vectored, split, into_split;
        TcpListener, "tcp/listener.rs": bind<&str>, accept, poll_accept, from_std, into_std;
        TcpSocket, "tcp/socket.rs": new_v4, new_v6, connect, listen, from_std_stream;
        tcp::ReadHalf<'_>, "tcp/split.rs": ;
        tcp::WriteHalf<'_>, "tcp/split.rs": ;
        tcp::OwnedReadHalf, "tcp/split_owned.rs": reunite;
        tcp::OwnedWriteHalf, "tcp/split_owned.rs": reunite;
        UnixStream, "unix/stream.rs":
            connect<PathBuf>, pair, from_std, into_std, try_write, try_write_vectored, split,
            into_split;
        UnixListener, "unix/listener.rs": bind<PathBuf>, accept, poll_accept, from_std, into_std;
        unix::ReadHalf<'_>, "unix/split.rs": ;
        unix::WriteHalf<'_>, "unix/split.rs": ;
        unix::OwnedReadHalf, "unix/split_owned.rs": reunite;
        unix::OwnedWriteHalf, "unix/split_owned.rs": reunite;
        Sender, "unix/pipe.rs":
            from_file, from_owned_fd, from_file_unchecked, from_owned_fd_unchecked, try_write,
            try_write_vectored;
        OpenOptions, "unix/pipe.rs": new, read_write, unchecked, open_sender<PathBuf>;
    };
    let tokio = shadows::directory("tokio-1.").join("src/net");
    for (ty, file, ours) in types {
        assert_replaced(ty, &[tokio.join(file).as_path()], &ours, &GIVES);
    }
}

/// The same for socket2's `Socket`. Its `SockRef` borrows a `Socket`, and ours borrows ours.
#[test]
fn sending_methods_are_replaced() {
    let all: Vec<(&str, &str, Vec<&str>)> = replaced! {
        Socket, "socket.rs":
            new, new_raw, pair, pair_raw, accept, accept_raw, accept4, try_clone, send,
            send_with_flags, send_vectored, send_vectored_with_flags, send_out_of_band, send_to,
            send_to_with_flags, send_to_vectored, send_to_vectored_with_flags, sendmsg,
            sendfile<std::fs::File>;
    };
    let socket2 = shadows::directory("socket2-0.6").join("src");
    let files = [&socket2.join("socket.rs"), &socket2.join("sys/unix.rs")];
    assert_replaced("Socket", &files.map(|file| file.as_path()), &all[0].2, &[]);
}

/// Asserts that `ours` has all methods of the type in these files that write or make a stream.
fn assert_replaced(ty: &str, files: &[&Path], ours: &[&str], gives: &[&str]) {
    let sources = files.iter().map(|file| std::fs::read_to_string(file).unwrap());
    let source: String = sources.collect();
    let ty = ty.rsplit(':').next().unwrap().trim_end_matches("<'_>");
    let theirs = shadows::methods(&source, ty, gives);
    // The search finds each name of the list, so it still works with this version of the file.
    for name in ours {
        assert!(theirs.contains(name), "{ty}::{name} is not found in {files:?}");
    }
    let is_missing = |name: &&&str| {
        let full = format!("{ty}::{name}");
        !ours.contains(name) && !NOT_REPLACED.iter().any(|it| it.0 == **name || it.0 == full)
    };
    let missing: Vec<_> = theirs.iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "{ty} still has methods of the original: {missing:?}");
}
