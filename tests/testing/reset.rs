//! `examples/reset.rs` kills a naive server, and tells; and leaves a careful one alone.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

/// What the example says, and its exit status.
fn reset(args: &[&str]) -> (String, Option<i32>) {
    let output = Command::new(env!("CARGO"))
        .args([
            "run",
            "--quiet",
            "--features",
            "testing",
            "--example",
            "reset",
        ])
        .args([
            "--manifest-path",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
            "--",
        ])
        .args(args)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8(said).unwrap(), output.status.code())
}

fn in_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// The naive server, and its port. std's `Command` gives it SIGPIPE's default, as a shell does.
fn naive_echo() -> (Child, String) {
    let program = in_folder("naive_echo");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/naive_echo.c");
    let compiled = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-o"])
        .args([&program, &source])
        .status()
        .unwrap();
    assert!(compiled.success());
    let mut server = Command::new(program)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut port = String::new();
    let mut says = BufReader::new(server.stdout.take().unwrap());
    says.read_line(&mut port).unwrap();
    (server, port.trim().to_string())
}

#[test]
fn a_naive_server_is_killed_at_the_first_try() {
    let (mut server, port) = naive_echo();
    let address = format!("localhost:{port}");
    // What goes into its buffers at once does it no harm.
    let (said, status) = reset(&[&address, "--sweep", "1..4"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(
        said.contains("1..=3        3  reset                answers"),
        "{said}"
    );

    let zeros = in_folder("zeros");
    std::fs::write(&zeros, vec![0; 8 << 20]).unwrap();
    let (said, status) = reset(&[
        &address,
        "--send",
        zeros.to_str().unwrap(),
        "--after",
        "100",
    ]);
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains("100        1  reset                DIED: Connection refused"),
        "{said}"
    );
    assert_eq!(server.wait().unwrap().signal(), Some(libc::SIGPIPE));
}

#[test]
fn a_server_that_lives_still_answers() {
    // This process ignores SIGPIPE, as every Rust main.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 100]);
            let _ = stream.write_all(b"an answer of 22 bytes.");
        }
    });
    let (said, status) = reset(&[&address, "--sweep", "0..30", "--repeat", "2"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(
        said.contains("0..=22       46  reset                answers"),
        "{said}"
    );
    assert!(
        said.contains("23..=29       14  ended by the server  answers"),
        "{said}"
    );
}

#[test]
fn what_cannot_be_tried_is_told_with_status_2() {
    for (args, told) in [
        (&["192.0.2.1:80"][..], "is not on this machine"),
        (&["localhost"], "usage: reset HOST:PORT"),
        (&[], "usage: reset HOST:PORT"),
        (
            &["localhost:1", "--sweep", "5..5"],
            "nothing from A up to B",
        ),
        (&["localhost:1", "--sweep", "5"], "it should be A..B"),
        (&["localhost:1", "--after", "x"], "invalid digit"),
        (
            &["localhost:1", "--after", "1", "--sweep", "0..2"],
            "--after or --sweep, and once",
        ),
        (
            &["localhost:1", "--send", "/nonexistent"],
            "/nonexistent: No such file",
        ),
        (&["localhost:1", "--fast"], "--fast"),
        (
            &["localhost:1", "--repeat", "0"],
            "--repeat 0 tries nothing",
        ),
        (&["127.0.0.1:1"], "Connection refused"),
    ] {
        let (said, status) = reset(args);
        assert_eq!(status, Some(2), "{args:?}: {said}");
        assert!(said.contains(told), "{args:?}: {said}");
    }
}
