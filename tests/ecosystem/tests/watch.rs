//! A watch names who raised SIGPIPE, in crates that know nothing of it. Where a frame's file and line
//! stand is searched in its source.

#![cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
))]
#![allow(missing_docs, reason = "a test")]

use std::fs;
use std::net::TcpStream;
use std::time::Duration;

use epipe::testing::{Break, Event, Peer, Watch};
use epipe::{assert_killed, assert_survives};

/// More than a loaded machine needs.
const SOON: Duration = Duration::from_secs(20);

/// A file of a crate or a folder, and the text of one of its lines: some frame stands there.
fn assert_names(event: &Event, file: &str, text: &str) {
    let found = event.frames().iter().any(|frame| {
        let (Some(path), Some(line)) = (&frame.file, frame.line) else {
            return false;
        };
        path.ends_with(file)
            && fs::read_to_string(path)
                .is_ok_and(|code| code.lines().nth(line as usize - 1).unwrap().contains(text))
    });
    assert!(found, "{file}, at a line with `{text}`, is not in\n{event}");
}

/// A std stream whose next write raises.
fn gone() -> (Peer, TcpStream) {
    let peer = Peer::listen(Break::FinThenReset(0)).unwrap();
    let stream = TcpStream::connect(peer.address().unwrap()).unwrap();
    peer.wait_broken(&stream, SOON).unwrap();
    (peer, stream)
}

fn watched(scene: impl FnOnce() + Clone) -> impl FnOnce() -> Event {
    move || {
        let watch = Watch::begin().unwrap();
        scene();
        let events = watch.events();
        assert_eq!(events.len(), 1);
        events[0].clone()
    }
}

#[test]
fn tokio_s_write_buf_is_named() {
    let scene = || {
        let (_peer, stream) = gone();
        stream.set_nonblocking(true).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            use tokio::io::AsyncWriteExt;
            let mut stream = tokio::net::TcpStream::from_std(stream).unwrap();
            let mut bytes: &[u8] = b"lost";
            stream.write_buf(&mut bytes).await.unwrap_err(); // this line
        });
    };
    assert_killed!(scene);
    assert_survives!(|| {
        let event = watched(scene)();
        assert_names(&event, "tests/ecosystem/tests/watch.rs", "// this line");
        let of_tokio = |f: &epipe::testing::Frame| {
            f.file
                .as_ref()
                .is_some_and(|file| file.ends_with("util/write_buf.rs"))
        };
        assert!(event.frames().iter().any(of_tokio), "{event}");
    });
}

#[test]
fn rustls_on_std_s_stream_is_named() {
    let scene = || {
        let (_peer, mut stream) = gone();
        let config = rustls::ClientConfig::builder()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let name = "localhost".try_into().unwrap();
        let mut tls = rustls::ClientConnection::new(config.into(), name).unwrap();
        tls.write_tls(&mut stream).unwrap_err(); // this line too
    };
    assert_killed!(scene);
    assert_survives!(|| {
        let event = watched(scene)();
        assert_names(&event, "tests/ecosystem/tests/watch.rs", "// this line too");
        // The innermost that is not std's is rustls' own.
        let caller = event.caller().unwrap();
        assert!(
            caller.file.as_ref().unwrap().ends_with("src/vecbuf.rs"),
            "{event}"
        );
    });
}
