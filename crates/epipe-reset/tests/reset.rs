//! The program kills a naive server, and reports it; and leaves a careful one alone.

#![cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))] // it calls a compiler of this machine
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// What the program says, and its exit status.
fn reset(args: &[&str]) -> (String, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_epipe-reset")).args(args).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8(said).unwrap(), output.status.code())
}

fn in_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// The naive server, which thinks for so many milliseconds, and its address. std's `Command` gives
/// it SIGPIPE's default, as a shell does.
fn naive_echo(think: &str) -> (Child, String) {
    let program = in_folder(&format!("naive_echo-{think}"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/naive_echo.c");
    let compiled = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-o"])
        .args([&program, &source])
        .status()
        .unwrap();
    assert!(compiled.success());
    let mut server =
        Command::new(program).args(["0", think]).stdout(Stdio::piped()).spawn().unwrap();
    let mut port = String::new();
    let mut says = BufReader::new(server.stdout.take().unwrap());
    says.read_line(&mut port).unwrap();
    (server, format!("localhost:{}", port.trim()))
}

/// The table's rows, without what lines them up, and the verdict.
fn rows(said: &str) -> Vec<String> {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let filled = said.lines().skip(1).filter(|line| !line.is_empty());
    filled.map(words).collect()
}

#[test]
fn a_naive_server_is_killed_in_the_middle_of_its_answer_at_the_first_try() {
    // It thinks for a moment, so that more of the request is there when the reset comes: a server
    // that waits for more reads the reset, and lives.
    let (mut server, address) = naive_echo("1");
    // Who has answered before is not harmed.
    let (said, status) = reset(&[&address, "--sweep", "1..4"]);
    assert_eq!(status, Some(0), "{said}");
    let told = rows(&said);
    assert_eq!(told[0], "reset 1..=3 3 broken answers", "{said}");
    assert_eq!(told[1], "FIN, then reset 1..=3 3 broken answers", "{said}");
    assert!(told[2].ends_with(" lives. Clients that vanished: 6."), "{said}");

    let zeros = in_folder("zeros");
    std::fs::write(&zeros, vec![0; 8 << 20]).unwrap();
    let (said, status) = reset(&[&address, "--send", zeros.to_str().unwrap(), "--after", "100"]);
    assert_eq!(status, Some(1), "{said}");
    let told = rows(&said);
    assert!(told[0].starts_with("reset 100 1 broken refuses: nobody listens any more"), "{said}");
    assert!(told[1].contains("did not survive a client that vanished"), "{said}");
    assert_eq!(server.wait().unwrap().signal(), Some(libc::SIGPIPE));
}

#[test]
fn a_naive_server_that_thinks_is_killed_by_a_reset_behind_a_fin() {
    let (mut server, address) = naive_echo("200");
    let (said, status) = reset(&[&address]);
    assert_eq!(status, Some(1), "{said}");
    let told = rows(&said);
    assert_eq!(told[0], "reset 0 1 broken answers", "{said}");
    assert!(
        told[1].starts_with("FIN, then reset 0 1 broken refuses: nobody listens any more"),
        "{said}"
    );
    assert_eq!(server.wait().unwrap().signal(), Some(libc::SIGPIPE));
}

/// The address of a server that gives each connection to this, with its number.
fn serve(answer: fn(usize, TcpStream)) -> String {
    // This process ignores SIGPIPE, as every Rust main.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let stream = stream.unwrap();
            thread::spawn(move || answer(number, stream));
        }
    });
    address
}

#[test]
fn a_server_that_lives_still_answers() {
    let address = serve(|_, mut stream| {
        let _ = stream.read(&mut [0; 100]);
        let _ = stream.write_all(b"an answer of 22 bytes.");
    });
    let (said, status) = reset(&[&address, "--sweep", "0..30", "--repeat", "2"]);
    assert_eq!(status, Some(0), "{said}");
    let told = rows(&said);
    for (row, way) in ["reset", "FIN, then reset"].into_iter().enumerate() {
        assert_eq!(told[2 * row], format!("{way} 0..=22 46 broken answers"), "{said}");
        assert_eq!(told[2 * row + 1], format!("{way} 23 2 ended by the server answers"), "{said}");
    }
}

#[test]
fn an_answer_that_comes_slowly_is_waited_for() {
    // 2.4 s for the five bytes, but never 2 without one; one try is later still.
    let address = serve(|number, mut stream| {
        let pause = match number {
            2 => 600, // the first to vanish: before it were who looks whether there is a server, and who asks
            10 => 5000,
            _ => 0,
        };
        let _ = stream.read(&mut [0; 100]);
        for _ in 0..4 {
            let _ = stream.write_all(b"x");
            thread::sleep(Duration::from_millis(pause));
        }
        let _ = stream.write_all(b"y");
    });
    let (said, status) = reset(&[&address, "--after", "5", "--repeat", "10"]);
    assert_eq!(status, Some(0), "{said}");
    let told = rows(&said);
    assert_eq!(told[0], "reset 5 4 broken answers", "{said}");
    assert_eq!(told[1], "reset 5 1 fewer bytes came answers", "{said}");
    assert_eq!(told[2], "reset 5 5 broken answers", "{said}");
}

/// A server that answers so many connections, and then does something else with its listener.
fn serve_and_then(answers: usize, then: fn(TcpListener)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for _ in 0..answers {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 100]);
            let _ = stream.write_all(b"x");
        }
        then(listener);
    });
    address
}

#[test]
fn a_server_that_dies_later_has_died() {
    // One looks whether there is a server, one asks; each of the two that vanish is asked after.
    let address = serve_and_then(2 + 4, drop);
    let (said, status) = reset(&[&address]);
    assert_eq!(status, Some(1), "{said}");
    assert_eq!(rows(&said)[1], "FIN, then reset 0 1 broken answers", "{said}");
    assert!(said.contains("did not survive a client that vanished"), "{said}");
}

#[test]
fn so_has_one_whose_kernel_alone_accepts() {
    let address = serve_and_then(2 + 1, |listener| {
        thread::sleep(Duration::from_secs(60));
        drop(listener);
    });
    let (said, status) = reset(&[&address]);
    assert_eq!(status, Some(1), "{said}");
    let told = rows(&said);
    assert_eq!(told[0], "reset 0 1 broken accepts, and says nothing", "{said}");
    // That is enough.
    assert!(told[1].ends_with(" answers nobody since a client vanished."), "{said}");
}

#[test]
fn of_one_that_has_never_answered_nothing_can_be_told() {
    let address = serve(|_, stream| {
        thread::sleep(Duration::from_secs(60));
        drop(stream);
    });
    let (said, status) = reset(&[&address]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("has answered nobody, before or after"), "{said}");
}

#[test]
fn a_server_that_resets_by_itself_lives() {
    // Each second connection, at once.
    let address = serve(|number, mut stream| {
        if number % 2 == 0 {
            let now = Some(Duration::ZERO);
            socket2::SockRef::from(&stream).set_linger(now).unwrap();
            return;
        }
        let _ = stream.read(&mut [0; 100]);
        let _ = stream.write_all(b"x");
    });
    let (said, status) = reset(&[&address, "--repeat", "10"]);
    assert_eq!(status, Some(0), "{said}");
}

#[test]
fn what_nobody_has_killed_was_not_killed() {
    // It ends after one client, as `nc -l` does.
    let (said, status) = reset(&[&serve_and_then(1, drop)]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("ended before a client had vanished"), "{said}");
}

#[test]
fn what_nobody_has_answered_was_not_tried() {
    let address = serve(|_, mut stream| {
        let _ = stream.read(&mut [0; 100]);
        let _ = stream.write_all(b"short");
    });
    let (said, status) = reset(&[&address, "--after", "9"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("Nothing was tried: no answer of "), "{said}");
}

#[test]
fn what_cannot_be_tried_is_told_with_status_2() {
    for (args, told) in [
        (&["192.0.2.1:80"][..], "is not on this machine"),
        (&["localhost"], "usage: epipe-reset HOST:PORT"),
        (&[], "usage: epipe-reset HOST:PORT"),
        (&["localhost:1", "--sweep", "5..5"], "nothing from A up to B"),
        (&["localhost:1", "--sweep", "5"], "--sweep: cannot parse"),
        (
            &["localhost:1", "--after", "x"],
            "--after: cannot parse argument \"x\": it should be a number",
        ),
        (&["localhost:1", "--repeat", "-1"], "--repeat: "),
        (&["localhost:1", "--after", "1", "--sweep", "0..2"], "--after or --sweep, and once"),
        (&["localhost:1", "--send", "/nonexistent"], "--send /nonexistent: No such file"),
        (&["localhost:1", "--fast"], "--fast"),
        (&["localhost:1", "--repeat", "0"], "--repeat 0 tries nothing"),
        (&["127.0.0.1:1"], "Connection refused"),
    ] {
        let (said, status) = reset(args);
        assert_eq!(status, Some(2), "{args:?}: {said}");
        assert!(said.contains(told), "{args:?}: {said}");
    }
}
