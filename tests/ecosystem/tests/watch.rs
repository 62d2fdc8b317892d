//! A watch beside epipe's guards, and a watch that names the call which raised SIGPIPE in a foreign
//! crate. The tests look up a frame's file and line in the source.

#![cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
))]
#![allow(missing_docs, reason = "a test")]

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use epipe::sigpipe::{self, Disposition};
use epipe::verify::Technique;
use epipe_testing::{Break, Event, Peer, Watch, WatchError, assert_killed, assert_survives};

#[path = "../../support/mod.rs"]
mod support;

/// Longer than a loaded machine needs.
const SOON: Duration = Duration::from_secs(20);

/// Asserts that a frame is in a file whose path ends with `file`, at a line with this text.
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
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
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
        let of_tokio = |f: &epipe_testing::Frame| {
            f.file.as_ref().is_some_and(|file| file.ends_with("util/write_buf.rs"))
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
        // The innermost frame outside std is in rustls.
        let caller = event.caller().unwrap();
        assert!(caller.file.as_ref().unwrap().ends_with("src/vecbuf.rs"), "{event}");
    });
}

fn write_to_a_broken_pipe() {
    support::foreign_write(support::broken_pipe(), b"lost").unwrap_err();
}

#[test]
fn a_guard_and_a_watch_may_end_in_any_order() {
    // One inside the other: the right order if the guard is a handler too (`ci/refused`).
    assert_survives!(|| {
        let watch = Watch::begin().unwrap();
        let guard = sigpipe::guard().unwrap();
        write_to_a_broken_pipe();
        drop(guard);
        drop(watch);
        assert_eq!(support::disposition(), libc::SIG_DFL);
    });
    if epipe::protection().pipe_write().contains(&Technique::ProcessHandler) {
        return;
    }
    assert_survives!(|| {
        let watch = Watch::begin().unwrap();
        let guard = sigpipe::guard().unwrap();
        drop(watch);
        write_to_a_broken_pipe();
        drop(guard);
        assert_eq!(support::disposition(), libc::SIG_DFL);
    });
    assert_survives!(|| {
        // A thread that the guard does not hide from the watch.
        let (go, wait) = mpsc::channel();
        let watcher = thread::spawn(move || {
            wait.recv().unwrap();
            Watch::begin().unwrap()
        });
        let guard = sigpipe::guard().unwrap();
        go.send(()).unwrap();
        let watch = watcher.join().unwrap();
        drop(guard);
        drop(watch);
        assert_eq!(support::disposition(), libc::SIG_DFL);
    });
}

#[test]
fn a_watch_is_a_handler_as_a_host_has_one() {
    for (former, found) in [
        (libc::SIG_DFL, Disposition::Default),
        (libc::SIG_IGN, Disposition::Ignored),
        (support::hosts_handler(), Disposition::Handled),
    ] {
        assert_survives!(|| {
            support::dispose(former);
            assert_eq!(sigpipe::disposition().unwrap(), found);
            let watch = Watch::begin().unwrap();
            // A watched initialisation does the same: it leaves a handler in place.
            assert_eq!(sigpipe::ignore().unwrap(), Disposition::Handled);
            assert_eq!(sigpipe::disposition().unwrap(), Disposition::Handled);
            write_to_a_broken_pipe();
            assert_eq!(watch.events().len(), 1);
            drop(watch);
            assert_eq!(support::disposition(), former);
        });
    }
}

#[test]
fn protected_writes_are_not_seen() {
    assert_survives!(|| {
        let watch = Watch::begin().unwrap();
        // Protected by a guard, then by our own type.
        sigpipe::suppressed(write_to_a_broken_pipe).unwrap();
        let (reader, mut writer) = epipe::io::pipe().unwrap();
        drop(reader);
        writer.write(b"lost").unwrap_err();
        if epipe::protection().pipe_write().contains(&Technique::ProcessHandler) {
            // Such a guard leaves a handler in place, so the watch records its signal.
            assert!(!watch.events().is_empty());
        } else {
            watch.assert_none();
        }
        drop(watch);
        // Under a guard the watch would see nothing.
        support::mask(libc::SIG_BLOCK);
        assert!(matches!(Watch::begin(), Err(WatchError::Blocked)));
    });
}
