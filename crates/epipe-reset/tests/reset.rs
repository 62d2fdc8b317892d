//! The program kills the servers that can be killed, and no others. It reports only what it saw.

// The tests compile zoo.c with the C compiler of the machine.
#![cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
#![allow(missing_docs, reason = "a test")]
#![allow(unsafe_code, reason = "calls poll and kill")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_epipe-reset");
/// The working directory of the program. File names are relative to it.
const DIRECTORY: &str = env!("CARGO_TARGET_TMPDIR");

/// The output of the program, and its exit status.
#[derive(Debug)]
struct Ran {
    out: String,
    err: String,
    status: Option<i32>,
}

fn run_words(words: &[&str]) -> Ran {
    let output = Command::new(PROGRAM).args(words).current_dir(DIRECTORY).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { out: text(output.stdout), err: text(output.stderr), status: output.status.code() }
}

/// Runs a command line whose words need no quotes.
fn run(line: &str) -> Ran {
    run_words(&line.split_whitespace().collect::<Vec<_>>())
}

/// The result line of a run with `--json`. All lines must match the schema.
fn result(line: &str) -> (Value, Ran) {
    result_of(&line.split_whitespace().collect::<Vec<_>>())
}

fn result_of(words: &[&str]) -> (Value, Ran) {
    let ran = run_words(&[&["--json"], words].concat());
    let lines: Vec<Value> = ran.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let forms = SCHEMA["oneOf"].as_array().unwrap();
    for line in &lines {
        let fits = forms.iter().filter(|form| is_valid(line, form)).count();
        assert_eq!(fits, 1, "{line} does not match schema.json");
    }
    let events: Vec<_> = lines.iter().filter(|line| line["event"] != "note").collect();
    assert_eq!(events[0]["event"], "start", "{ran:?}");
    let results = lines.iter().filter(|line| line["event"] == "result").count();
    assert_eq!(results, 1, "{ran:?}");
    let last = lines.last().unwrap().clone();
    let status = match last["result"].as_str().unwrap() {
        "killed" => 1,
        "survived" => 0,
        _ => 2,
    };
    if !words.contains(&"--expect") {
        assert_eq!(ran.status, Some(status), "{ran:?}");
    }
    (last, ran)
}

static SCHEMA: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../schema.json")).unwrap());

/// Whether a value matches this part of `schema.json`, which uses only these keywords.
fn is_valid(value: &Value, schema: &Value) -> bool {
    schema.as_object().unwrap().iter().all(|(keyword, wanted)| match &**keyword {
        "description" => true,
        "const" => value == wanted,
        "enum" => wanted.as_array().unwrap().contains(value),
        "type" => match wanted {
            Value::Array(any) => any.iter().any(|name| is_of_type(value, name)),
            name => is_of_type(value, name),
        },
        "required" => {
            wanted.as_array().unwrap().iter().all(|key| value.get(key.as_str().unwrap()).is_some())
        }
        "properties" => wanted
            .as_object()
            .unwrap()
            .iter()
            .all(|(key, schema)| value.get(key).is_none_or(|value| is_valid(value, schema))),
        "additionalProperties" => value.as_object().is_none_or(|object| {
            let known = schema.get("properties").and_then(Value::as_object);
            let others =
                object.iter().filter(|(key, _)| !known.is_some_and(|k| k.contains_key(*key)));
            others.into_iter().all(|(_, value)| *wanted != false && is_valid(value, wanted))
        }),
        "items" => value.as_array().is_none_or(|list| list.iter().all(|v| is_valid(v, wanted))),
        other => panic!("schema.json: {other}"),
    })
}

fn is_of_type(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("schema.json: type {other}"),
    }
}

/// A server in its own process, which std's `Command` starts with SIGPIPE's default.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// The server of the self-test on this listener. It answers after 20 ms.
    fn naive(listener: TcpListener) -> Server {
        let address = listener.local_addr().unwrap().to_string();
        let mut command = Command::new(PROGRAM);
        command.arg("--naive-server").stdin(OwnedFd::from(listener));
        Server { process: command.spawn().unwrap(), address }
    }

    fn zoo(words: &str) -> Server {
        let mut command = Command::new(&*ZOO);
        command.args(words.split_whitespace()).stdout(Stdio::piped()).current_dir(DIRECTORY);
        command.process_group(0); // so that `drop` also ends its workers
        let mut process = command.spawn().unwrap();
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let address = format!("localhost:{}", port.trim());
        // With `supervise` the server listens a second time.
        let is_answered = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect(&address)?;
            stream.write_all(b"x")?;
            Ok(stream.read(&mut [0; 100])? > 0)
        };
        let until = Instant::now() + Duration::from_secs(5);
        while !is_answered().unwrap_or(false) {
            assert!(Instant::now() < until, "zoo {words}: no answer");
            thread::sleep(Duration::from_millis(1));
        }
        Server { process, address }
    }

    /// Waits up to 5 s for the end of the server.
    fn end(mut self) -> Option<ExitStatus> {
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            match self.process.try_wait().unwrap() {
                None if Instant::now() < until => thread::sleep(Duration::from_millis(5)),
                ended => return ended,
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            // SAFETY: kill touches no memory. No other group has the number of a running child.
            unsafe { libc::kill(-(self.process.id() as i32), libc::SIGKILL) };
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

static ZOO: LazyLock<String> = LazyLock::new(|| {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/zoo.c");
    let program = format!("{DIRECTORY}/zoo-{}", std::process::id());
    let compiled =
        Command::new("cc").args(["-O1", "-pthread", "-o", &program]).arg(source).status().unwrap();
    assert!(compiled.success());
    program
});

fn loopback() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// A port for a server that starts later, or again. It is outside the range that Linux gives to
/// clients, so that no client takes it before.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + (std::process::id() % 20_000) as u16;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("localhost", port)).is_ok() {
            return port;
        }
    }
}

/// Listens where a listener has just been closed. If another test starts a child at that moment,
/// the child holds a copy of the old listener until exec. The port is in use until then.
fn listen_again(address: impl ToSocketAddrs + Copy) -> TcpListener {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        match TcpListener::bind(address) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < until => {
                thread::sleep(Duration::from_millis(1));
            }
            bound => return bound.unwrap(),
        }
    }
}

/// What a server in this process has seen. The server survives: every Rust main ignores SIGPIPE.
struct Seen {
    address: String,
    clients: Mutex<Clients>,
}

#[derive(Default)]
struct Clients {
    /// For each client, the time of the accept, and the bytes read so far.
    all: Vec<(Instant, Vec<u8>)>,
    open: Vec<TcpStream>,
    most_open: usize,
    resets: usize,
}

/// Starts a server with one thread for each client. It waits for `think` before each answer.
fn serve(listener: TcpListener, think: Duration) -> Arc<Seen> {
    let address = listener.local_addr().unwrap().to_string();
    let seen = Arc::new(Seen { address, clients: Mutex::default() });
    let result = seen.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut clients = seen.clients.lock().unwrap();
            let number = clients.all.len();
            clients.all.push((Instant::now(), Vec::new()));
            clients.open.retain(is_open);
            clients.open.push(stream.try_clone().unwrap());
            clients.most_open = clients.most_open.max(clients.open.len());
            drop(clients);
            let seen = seen.clone();
            thread::spawn(move || {
                let mut exchange = || -> std::io::Result<()> {
                    let mut request = [0; 1000];
                    while let count @ 1.. = stream.read(&mut request)? {
                        seen.clients.lock().unwrap().all[number].1.extend(&request[..count]);
                        thread::sleep(think);
                        stream.write_all(b"an answer of 22 bytes.")?;
                    }
                    Ok(())
                };
                let is_reset = exchange().is_err() || stream.take_error().unwrap().is_some();
                let _ = stream.shutdown(Shutdown::Both); // a drop is not enough: `open` has a copy
                seen.clients.lock().unwrap().resets += usize::from(is_reset);
            });
        }
    });
    result
}

impl Seen {
    /// How many clients it has accepted. Waits up to 5 s for `wanted` of them.
    fn accepted(&self, wanted: usize) -> usize {
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            let accepted = self.clients.lock().unwrap().all.len();
            if accepted >= wanted || Instant::now() > until {
                return accepted;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Whether neither a FIN nor a reset has come.
fn is_open(stream: &TcpStream) -> bool {
    let mut watched = libc::pollfd { fd: stream.as_raw_fd(), events: libc::POLLRDHUP, revents: 0 };
    // SAFETY: the local variable is one `pollfd`, and outlives the call.
    unsafe { libc::poll(&raw mut watched, 1, 0) };
    watched.revents & (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) == 0
}

/// Plays all rows at the same time, since each mostly waits.
fn at_once<T: Sync>(rows: &[T], play: impl Fn(&T) + Sync) {
    thread::scope(|scope| {
        for row in rows {
            scope.spawn(|| play(row));
        }
    });
}

#[test]
fn a_run_that_cannot_start_ends_with_status_2() {
    for (line, why) in [
        ("", "usage: epipe-reset HOST:PORT"),
        ("", "--help lists the options"),
        ("http://localhost:1/", "HOST:PORT, not a URL"),
        ("localhost", "must be HOST:PORT or unix:PATH"),
        ("localhost:1", "undecided: localhost:1: nothing listens"),
        ("unix:no-such-socket", "undecided: unix:no-such-socket: nothing listens"),
        ("localhost:1 localhost:2", "unexpected argument \"localhost:2\""),
        ("localhost:1 --fast", "invalid option '--fast'"),
        ("localhost:1 --request gopher", "must be one of http, tls, modbus"),
        ("localhost:1 --send no-such-file", "--send no-such-file: No such file"),
        ("localhost:1 --send x --request tls", "not both"),
        ("localhost:1 --send /dev/null", "the request is empty"),
        (
            "localhost:1 --tls",
            if cfg!(feature = "tls") { "nothing listens" } else { "--features tls" },
        ),
        ("localhost:1 --attack breath+hello", "+hello and +handshake need --tls"),
        ("localhost:1 --spawn", "--spawn needs a command"),
        ("localhost:1 --spawn ./no-such-program", "--spawn ./no-such-program: No such file"),
        ("localhost:1 --spawn false", "undecided: the server exited with status 1"),
        ("localhost:1 --pid x", "--pid x: must be a number from 1"),
        ("localhost:1 --pid 4194305", "--pid 4194305: No such process"),
        ("localhost:1 --pid 1 --spawn true", "leave --pid out"),
        ("localhost:1 --time 0", "--time 0: must be a number from 0.1"),
        ("localhost:1 --seed x", "--seed x: must be a number"),
        ("localhost:1 --attack late", "late needs a delay, as in late:3ms"),
        ("localhost:1 --attack breath:3ms", "breath takes no delay"),
        ("localhost:1 --attack sneeze", "\"sneeze\" is not an attack; the attacks are breath"),
        ("localhost:1 --attack breath+x", "+x is unknown"),
        ("localhost:1 --attack late:99999", "is not a delay of at most 60000 ms"),
        ("localhost:1 --rate 0", "--rate 0: must be a number from 0.01"),
        ("localhost:1 --open 0", "--open 0: must be a number from 1"),
        ("localhost:1 --total 0", "--total 0: must be a number from 1"),
        ("localhost:1 --expect death", "--expect death: must be killed or survived"),
        ("localhost:1 --log /no/such/directory", "--log /no/such/directory: No such file"),
        ("localhost:1 --expect survived", "nothing listens"),
        ("192.0.2.1:1", "is not loopback"),
        ("192.0.2.1:1 --allow-remote 192.0.2.3", "the target is 192.0.2.1"),
    ] {
        let ran = run(line);
        assert_eq!(ran.status, Some(2), "{line}: {ran:?}");
        let said = [&*ran.out, &ran.err].concat();
        assert!(said.contains(why), "{line}: {said}");
    }
}

/// Each `--word` of a text.
fn options(text: &str) -> BTreeSet<&str> {
    let is_end = |c: char| c != '-' && !c.is_ascii_lowercase();
    text.split(is_end).filter(|word| word.starts_with("--") && word.len() > 2).collect()
}

#[test]
fn tls_needs_a_server_that_speaks_it() {
    let server = Server::naive(loopback());
    let ran = run(&format!("{} --tls --time 1", server.address));
    assert_eq!(ran.status, Some(2), "{ran:?}");
    // The server echoes the ClientHello.
    let said = if cfg!(feature = "tls") { " TLS: received " } else { "--features tls" };
    assert!([&*ran.out, &ran.err].concat().contains(said), "{ran:?}");
    for (attack, tls) in
        [("breath+hello", false), ("breath+handshake", false), ("breath+queued", true)]
    {
        if cfg!(feature = "tls") || !tls {
            let tls = if tls { "--tls" } else { "" };
            let ran = run(&format!("{} {tls} --attack {attack}", server.address));
            assert!(ran.status == Some(2) && ran.err.contains("need"), "{ran:?}");
        }
    }
}

#[test]
fn help_and_the_manual_page_have_the_same_options() {
    let manual = include_str!("../epipe-reset.1").replace(r"\-", "-");
    let help = run("--help");
    assert_eq!((help.status, &*help.err), (Some(0), ""));
    assert!(options(&help.out).len() > 20);
    assert_eq!(options(&help.out), options(&manual));
    for line in help.out.lines() {
        assert!(line.len() <= 80, "{line}");
    }
    // Help and manual have each attack that the error messages list.
    for (wrong, before) in [("x", "the attacks are "), ("breath+x", "an attack can have ")] {
        let ran = run(&format!("localhost:1 --attack {wrong}"));
        let words = ran.err.trim().split_once(before).unwrap().1.split(", ");
        for word in words.map(|word| word.split([':', '[']).next().unwrap()) {
            assert!(manual.contains(word) && help.out.contains(word), "{word}");
        }
    }
    let version = run("-V");
    assert_eq!(version.out, format!("epipe-reset {}\n", env!("CARGO_PKG_VERSION")));
    let title = manual.lines().find(|line| line.starts_with(".TH")).unwrap();
    assert!(title.contains(version.out.trim()), "{title}");
}

#[test]
fn the_manual_page_has_each_field_of_the_schema() {
    let manual = include_str!("../epipe-reset.1");
    for form in SCHEMA["oneOf"].as_array().unwrap() {
        for (name, field) in form["properties"].as_object().unwrap() {
            let name = field["const"].as_str().unwrap_or(name);
            assert!(manual.contains(&format!(".B {name}\n")), "{name}");
        }
    }
}

/// Uses each checker of manual pages that the machine has.
#[test]
fn the_manual_page_has_no_warning() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("epipe-reset.1");
    for checker in ["groff -man -Tutf8 -ww -z", "mandoc -Tlint -Wwarning"] {
        let mut words = checker.split(' ');
        let mut command = Command::new(words.next().unwrap());
        if let Ok(output) = command.args(words).arg(&page).output() {
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(output.status.success() && said.is_empty(), "{checker}: {said}");
        }
    }
}

/// Runs the `again` command of a result in a shell.
fn paste(result: &Value) -> Ran {
    let programs = Path::new(PROGRAM).parent().unwrap().display().to_string();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(result["again"].as_str().unwrap()).env("PATH", path).current_dir(DIRECTORY);
    let output = shell.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { out: text(output.stdout), err: text(output.stderr), status: output.status.code() }
}

#[test]
fn from_outside_a_death_is_seen_and_the_command_kills_again() {
    // In the last three rows another process takes over, which hides the death.
    let rows = ["127.0.0.1", "::1", "mode=thread inherit", "mode=thread supervise", "mode=pool"];
    at_once(&rows, |row| {
        let port = free_port();
        let Ok(host) = row.parse::<IpAddr>() else {
            let server = Server::zoo(&format!("port={port} {row}"));
            let (result, ran) = result(&format!("{} --time 20", server.address));
            assert_eq!(result["result"], "killed", "{row}: {ran:?}");
            return;
        };
        if TcpListener::bind((host, 0)).is_err() {
            return; // not every machine has IPv6
        }
        let server = Server::naive(listen_again((host, port)));
        let address = server.address.clone();
        let (result, ran) = result(&address);
        assert_eq!(result["result"], "killed", "{ran:?}");
        assert_eq!(server.end().unwrap().signal(), Some(libc::SIGPIPE), "{ran:?}");

        let server = Server::naive(listen_again(&*address));
        let ran = paste(&result);
        assert_eq!(ran.status, Some(1), "{result}: {ran:?}");
        assert_eq!(server.end().unwrap().signal(), Some(libc::SIGPIPE), "{ran:?}");
    });
}

#[test]
fn words_are_quoted_for_json_and_for_the_shell() {
    let port = free_port();
    let command = format!("# \"'\\\t\u{1}ü\nexec \"$0\" port={port}");
    let target = format!("localhost:{port}");
    let (result, ran) = result_of(&[&target, "--spawn", "sh", "-c", &command, &ZOO]);
    assert_eq!(result["result"], "killed", "{ran:?}");
    assert_eq!(paste(&result).status, Some(1), "{result}");
}

#[test]
fn a_death_is_seen_in_a_server_that_it_starts_or_watches() {
    let rows = [
        // The first process dies, or one that it forks.
        ("", "killed", "was killed by SIGPIPE"),
        ("think=100", "killed", "was killed by SIGPIPE"),
        ("mode=fork", "killed", "which the server forked, was killed by SIGPIPE"),
        ("mode=pool", "killed", "which the server forked, was killed by SIGPIPE"),
        ("mode=thread inherit", "killed", "which the server forked, was killed by SIGPIPE"),
        ("ignore panic", "killed", "status 101, a Rust panic, not SIGPIPE"),
        ("flag mode=thread check", "survived", "which is no proof"),
        ("ignore", "survived", "which is no proof"),
        // These end on their own, not by an attack.
        ("serves=1", "undecided", "undecided: "),
        ("serves=2", "undecided", "undecided: "),
        ("serves=5 flag", "undecided", "exited with status 0"),
    ];
    at_once(&rows, |(kind, wanted, why)| {
        let port = free_port();
        let line = format!("localhost:{port} --time 2 --spawn {} port={port} {kind}", *ZOO);
        let (result, ran) = result(&line);
        assert_eq!(result["result"], *wanted, "{kind}: {ran:?}");
        assert!(result["text"].as_str().unwrap().contains(why), "{kind}: {ran:?}");
        if *wanted == "killed" {
            assert_eq!(paste(&result).status, Some(1), "{kind}: {result}");
        }
    });

    let server = Server::naive(loopback());
    let (result, ran) = result(&format!("{} --pid {}", server.address, server.process.id()));
    assert_eq!(result["result"], "killed", "{ran:?}");
    let gone = format!("process {} is gone", server.process.id());
    assert!(result["text"].as_str().unwrap().contains(&gone), "{ran:?}");
}

#[test]
fn unix_sockets_need_no_reset() {
    let _ = &*ZOO;
    let rows = [
        ("think=2", "killed"),
        ("flag", "survived"),
        // This server refuses connections when its queue is full.
        ("flag backlog=1 think=5", "survived"),
    ];
    at_once(&rows, |&(kind, wanted)| {
        let name = format!("{}-{}", kind.replace(' ', "-"), std::process::id());
        let line = format!("unix:{name} --time 1 --spawn {} unix={name} {kind}", *ZOO);
        let (result, ran) = result(&line);
        assert_eq!(result["result"], wanted, "{kind}: {ran:?}");
        let _ = std::fs::remove_file(format!("{DIRECTORY}/{name}"));
    });
}

/// Serves `count` clients, one at a time, and ends. For example, `nc -l` serves one.
fn serve_few(count: usize) -> String {
    let listener = loopback();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for _ in 0..count {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1000]);
            let _ = stream.write_all(b"x");
        }
    });
    address
}

/// Listens only while it serves no client. Meanwhile, other clients are refused.
fn serve_and_refuse() -> String {
    let mut listener = listen_again(("127.0.0.1", free_port()));
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        loop {
            let (mut stream, _) = listener.accept().unwrap();
            drop(listener);
            let _ = stream.read(&mut [0; 1000]);
            thread::sleep(Duration::from_millis(5));
            let _ = stream.write_all(b"x");
            listener = listen_again(address);
        }
    });
    address.to_string()
}

#[test]
fn a_server_that_no_attack_has_killed_is_not_killed() {
    let silent = loopback();
    let rows = [
        (serve_few(1), "undecided"),
        (serve_few(2), "undecided"),
        (serve_few(3), "undecided"),
        (serve_and_refuse(), "survived"),
        // This server never answers. The result claims nothing about attacks during an answer.
        (silent.local_addr().unwrap().to_string(), "survived"),
        (serve(loopback(), Duration::ZERO).address.clone(), "survived"),
        (serve(loopback(), Duration::from_millis(300)).address.clone(), "survived"),
    ];
    at_once(&rows, |(address, wanted)| {
        let (result, ran) = result(&format!("{address} --time 2"));
        assert_eq!(result["result"], *wanted, "{ran:?}");
        assert_eq!(result["deaths"], 0, "{ran:?}");
    });
}

#[test]
fn expect_sets_the_exit_status() {
    let rows = [
        ("", "killed", 0),
        ("", "survived", 1),
        ("flag", "killed", 1),
        ("flag", "survived", 0),
        ("serves=1", "killed", 2),
        ("serves=1", "survived", 2),
    ];
    at_once(&rows, |(kind, expected, status)| {
        let port = free_port();
        let line = format!("localhost:{port} --expect {expected} --time 0.2");
        let (_, ran) = result(&format!("{line} --spawn {} port={port} {kind}", *ZOO));
        assert_eq!(ran.status, Some(*status), "{kind} {expected}: {ran:?}");
    });
}

#[test]
fn it_goes_on_after_a_death_and_counts_them() {
    let port = free_port();
    let line = format!("localhost:{port} --attack breath --time 2 --keep-going");
    let (result, ran) = result(&format!("{line} --spawn {} port={port}", *ZOO));
    assert!(result["deaths"].as_u64().unwrap() > 1, "{ran:?}");
    assert!(ran.out.contains("death 2: process "), "{ran:?}");
}

#[test]
fn the_self_test_comes_first() {
    const KILLED: &str = "self-test: an unprotected server was killed by SIGPIPE\n";
    let seen = serve(loopback(), Duration::ZERO);
    at_once(&["", &seen.address], |target| {
        let ran = run(&format!("--self-test {target} --time 0.1"));
        assert_eq!(ran.status, Some(0), "{ran:?}");
        assert!(ran.err.contains(KILLED), "{ran:?}");
        assert_eq!(ran.out.starts_with("survived "), !target.is_empty(), "{ran:?}");
    });
}

#[test]
fn stdout_has_only_the_result_and_quiet_prints_nothing_else() {
    let seen = serve(loopback(), Duration::ZERO);
    at_once(&["--quiet", "--seed 7"], |words| {
        let ran = run(&format!("{} --time 0.1 {words}", seen.address));
        if *words == "--quiet" {
            assert_eq!((&*ran.err, ran.out.lines().count()), ("", 1), "{ran:?}");
            return;
        }
        assert!(ran.err.starts_with(&format!("{}: 0.1 s, seed 7\n", seen.address)), "{ran:?}");
        assert!(ran.out.lines().skip(1).all(|line| line.starts_with("not tried: ")), "{ran:?}");
    });
}

#[test]
fn polite_clients_reset_nothing() {
    let seen = serve(loopback(), Duration::ZERO);
    let (result, ran) = result(&format!("{} --polite --time 0.5", seen.address));
    assert_eq!(result["result"], "undecided", "{ran:?}");
    assert!(result["polite"].as_u64().unwrap() > 10, "{ran:?}");
    assert_eq!(result["attacks"], 0);
    assert_eq!(seen.clients.lock().unwrap().resets, 0);
    // As a control, the same server sees the resets of attacks.
    run(&format!("{} --time 0.5", seen.address));
    assert!(seen.clients.lock().unwrap().resets > 0);
}

/// The connections in the log, without the time of day.
fn log(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("{DIRECTORY}/{name}")).unwrap();
    std::fs::remove_file(format!("{DIRECTORY}/{name}")).unwrap();
    let connections = text.lines().filter(|line| line.contains(" #"));
    connections
        .map(|line| {
            let (time, what) = line.split_once(' ').unwrap();
            assert!(time.len() == 24 && time.starts_with("20") && time.ends_with('Z'), "{line}");
            what.to_owned()
        })
        .collect()
}

#[test]
fn the_log_has_each_connection_and_a_dry_run_lists_what_is_made() {
    let seen = serve(loopback(), Duration::ZERO);
    let name = format!("log-{}", std::process::id());
    let line = format!("{} --total 200", seen.address);
    let dry = run(&format!("{line} --dry-run"));
    assert!(seen.clients.lock().unwrap().all.is_empty(), "a dry run makes no connection");
    assert_eq!(dry.out.lines().filter(|line| line.starts_with('#')).count(), 200, "{dry:?}");

    let (result, ran) = result(&format!("{line} --log {name}"));
    let log = log(&name);
    assert!(log.len() > 150 && log.len() <= 200, "{ran:?}");
    assert_eq!(log.len(), seen.accepted(log.len()), "{ran:?}");
    assert_eq!(result["connections"], log.len(), "{ran:?}");
    let attacks = |lines: &mut dyn Iterator<Item = &str>| -> Vec<String> {
        let names = lines.filter_map(|line| line.split_once(' ')).map(|(_, what)| what.to_owned());
        names.filter(|what| is_attack(what)).collect()
    };
    let made = attacks(&mut log.iter().map(String::as_str));
    let listed = attacks(&mut dry.out.lines().filter(|line| line.starts_with('#')));
    // If a polite answer takes more than 2 ms (`NEAR` in plan.rs), the plan differs, and only the
    // counts are compared.
    let polite = ran.out.split_once("\"milliseconds\":").unwrap().1;
    if polite.split_once(',').unwrap().0.parse::<f64>().unwrap() >= 2.0 {
        return;
    }
    // The control may use more or fewer of the 200 connections.
    let both = made.len().min(listed.len());
    assert!(both > 50, "{made:?}: {listed:?}");
    assert_eq!(made[..both], listed[..both]);
}

fn is_attack(what: &str) -> bool {
    let names = ["breath", "pause", "late", "first-byte", "full"];
    names.iter().any(|name| what.starts_with(name))
}

#[test]
fn a_seed_makes_the_same_plan() {
    // Several cycles, since the first one does not depend on the seed.
    let plan = |seed: u64| run(&format!("localhost:1 --dry-run --rate 50 --time 20 --seed {seed}"));
    let (first, same, other) = (plan(1).out, plan(1).out, plan(2).out);
    assert!(first.lines().count() > 1000, "{first}");
    assert_eq!(first, same);
    assert_ne!(first, other);
}

#[test]
fn it_sends_the_request_of_the_options() {
    let file = format!("request-{}", std::process::id());
    std::fs::write(format!("{DIRECTORY}/{file}"), "hello, ").unwrap();
    let rows: [(&str, &[u8]); 10] = [
        ("", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
        ("--path /a?b", b"GET /a?b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
        ("--request tls", &[22, 3, 1]),
        ("--request modbus", &[0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 10]),
        ("--request redis", b"PING\r\n"),
        ("--request mqtt", &[0x10]),
        ("--request smtp", b"EHLO"),
        ("--request postgresql", &[0, 0, 0]),
        ("--send FILE", b"hello, "),
        ("--send FILE --send FILE --attack breath+pipelined", b"hello, hello, "),
    ];
    at_once(&rows, |(words, wanted)| {
        let seen = serve(loopback(), Duration::ZERO);
        let words = words.replace("FILE", &file);
        let (_, ran) = result(&format!("{} --time 0.1 {words}", seen.address));
        let clients = seen.clients.lock().unwrap();
        let asked = clients.all.iter().any(|(_, request)| request.starts_with(wanted));
        assert!(asked, "{words}: {ran:?}");
    });
}

/// Checks the limits as the server sees them: connections a second, at once, and in all.
fn check_limits(listener: TcpListener, words: &str, rate: f64, open: usize, total: usize) -> Ran {
    let seen = serve(listener, Duration::from_millis(30));
    let (result, ran) = result(&format!("{} {words}", seen.address));
    let clients = seen.clients.lock().unwrap();
    let (all, most_open) = (&clients.all, clients.most_open);
    let seconds = all.last().unwrap().0.duration_since(all[0].0).as_secs_f64();
    assert!(all.len() as f64 <= seconds * rate + 2.0, "{words}: {} in {seconds} s", all.len());
    assert!(most_open <= open, "{words}: {most_open} at once: {ran:?}");
    assert!(all.len() <= total, "{words}: {}", all.len());
    let has_attacks = result["attacks"].as_u64().unwrap() > 0;
    assert_eq!(has_attacks, total > 1, "{words}: {ran:?}");
    ran
}

/// The control: without limits, the same server sees more than each limit below.
fn limits_are_needed() {
    let seen = serve(loopback(), Duration::from_millis(30));
    let (_, ran) = result(&format!("{} --time 2", seen.address));
    let clients = seen.clients.lock().unwrap();
    let seconds = clients.all.last().unwrap().0.duration_since(clients.all[0].0).as_secs_f64();
    assert!(clients.all.len() as f64 > 20.0 * seconds + 2.0, "{ran:?}");
    assert!(clients.all.len() > 30 && clients.most_open > 5, "{ran:?}");
}

#[test]
fn limits_are_kept_as_the_server_counts_them() {
    const ANY: usize = usize::MAX;
    let rows = [
        ("--time 2 --rate 15", 15.0, 64, ANY),
        ("--time 2 --open 2", 1e9, 2, ANY),
        ("--time 2 --open 5", 1e9, 5, ANY),
        ("--time 2 --total 30", 1e9, 64, 30),
        ("--time 2 --total 1", 1e9, 64, 1),
        ("--time 2 --gentle", 1.0, 1, ANY),
        ("--time 2 --open 1", 1e9, 1, ANY),
    ];
    thread::scope(|scope| {
        scope.spawn(limits_are_needed);
        at_once(&rows, |&(words, rate, open, total)| {
            check_limits(loopback(), words, rate, open, total);
        });
    });
}

/// An address of this machine that is not loopback, if it has one. This sends nothing.
fn own_address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_loopback() && !own.is_unspecified()).then(|| own.to_string())
}

#[test]
fn an_address_that_is_not_loopback_needs_permission_and_has_limits() {
    let Some(host) = own_address() else {
        return;
    };
    let listen = || TcpListener::bind((&*host, 0)).unwrap();
    let seen = serve(listen(), Duration::ZERO);
    for words in ["", "--allow-remote localhost", "--allow-remote 0.0.0.0", "--gentle"] {
        let ran = run(&format!("{} {words}", seen.address));
        assert_eq!(ran.status, Some(2), "{words}: {ran:?}");
        assert!(seen.clients.lock().unwrap().all.is_empty(), "{words}: {ran:?}");
    }
    let allowed = format!("--time 2 --allow-remote {host}");
    at_once(&["", "--gentle", "--total 20"], |words| {
        let open = if *words == "--gentle" { 1 } else { 4 };
        let total = if *words == "--total 20" { 20 } else { 1000 };
        let ran = check_limits(listen(), &format!("{allowed} {words}"), 20.0, open, total);
        assert!(ran.out.contains("may crash or hang a fragile device"), "{ran:?}");
        assert!(ran.out.contains("a FIN may be lost"), "{ran:?}");
    });
}
