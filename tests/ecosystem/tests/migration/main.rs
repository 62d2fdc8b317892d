//! What is left after the migration: `contrib/clippy.toml` and `contrib/migrate.py` point at every
//! known hole, and `migrate.py` changes what it should and nothing else.

#![cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
))]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const HOLES: &str = include_str!("holes.rs");
const CLEAN: &str = include_str!("clean.rs");
const MANIFEST: &str = r#"
[package]
name = "NAME"
version = "0.0.0"
edition = "2024"

[dependencies]
epipe = { path = "ROOT", features = ["mio", "tokio"] }
hidden = { path = "../hidden" }
libc = "0.2"
mio = { version = "1", features = ["net", "os-ext"] }
nix = { version = "0.31", features = ["fs", "socket", "uio", "zerocopy"] }
rustix = { version = "1", features = ["fs", "net", "pipe"] }
socket2 = { version = "0.6", features = ["all"] }
tokio = { version = "1", features = ["io-std", "io-util", "net", "process"] }
"#;
/// A crate whose streams are std's, which its users do not see.
const HIDDEN: &str = "
pub struct Server(pub std::io::BufReader<std::net::TcpStream>);
pub fn send(_: std::os::fd::OwnedFd) -> std::io::Result<()> {
    Ok(())
}
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(folder.join("src"));
    fs::create_dir_all(folder.join("src")).unwrap();
    folder
}

/// What `migrate.py` prints; nothing where there is no Python.
fn migrate(arguments: &[&str], file: &Path) -> Option<String> {
    let program = root().join("contrib/migrate.py");
    let mut command = Command::new("python3");
    let output = command.arg(program).args(arguments).arg(file).output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// The holes: what clippy should say of each, its name, and its lines.
fn holes() -> Vec<(bool, &'static str, std::ops::Range<usize>)> {
    let lines: Vec<_> = HOLES.lines().collect();
    let starts: Vec<_> =
        (0..lines.len()).filter(|&at| lines[at].starts_with("// clippy: ")).collect();
    let ends = starts.iter().skip(1).copied().chain([lines.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(&at, end)| (lines[at].ends_with("yes"), lines[at + 1], at..end))
        .collect()
}

/// The line numbers, from 0, of messages that begin with `PREFIX:LINE:`.
fn pointed_at(messages: &str, prefix: &str) -> BTreeSet<usize> {
    let numbers = messages.lines().filter_map(|line| {
        let number = line.strip_prefix(prefix)?.strip_prefix(':')?.split(':').next()?;
        Some(number.parse::<usize>().ok()? - 1)
    });
    numbers.collect()
}

/// Every path in the file exists, too: a misspelt one would be silent, by its `allow-invalid`.
#[test]
fn clippy_points_at_what_it_can_see() {
    let has_clippy = Command::new("cargo").args(["clippy", "--version"]).output();
    if !has_clippy.is_ok_and(|output| output.status.success()) {
        return eprintln!("not tested: there is no clippy");
    }
    let work = folder("migration");
    let root = root();
    for (name, code) in [("holes", HOLES), ("clean", CLEAN), ("hidden", HIDDEN)] {
        fs::create_dir_all(work.join(name).join("src")).unwrap();
        let manifest = MANIFEST.replace("NAME", name).replace("ROOT", root.to_str().unwrap());
        let manifest = match name {
            "hidden" => manifest.split("[dep").next().unwrap(),
            _ => &manifest,
        };
        fs::write(work.join(name).join("Cargo.toml"), manifest).unwrap();
        fs::write(work.join(name).join("src/lib.rs"), code).unwrap();
    }
    let workspace = "[workspace]\nresolver = \"2\"\nmembers = [\"holes\", \"clean\"]\n";
    fs::write(work.join("Cargo.toml"), workspace).unwrap();
    fs::copy(root.join("Cargo.lock"), work.join("Cargo.lock")).unwrap();
    let config = fs::read_to_string(root.join("contrib/clippy.toml")).unwrap();
    let strict: Vec<_> = config
        .lines()
        .map(|line| match ["async_", "os_pipe::"].iter().any(|name| line.contains(name)) {
            true => line.to_string(),
            false => line.replace(", allow-invalid = true", ""),
        })
        .collect();
    fs::write(work.join("clippy.toml"), strict.join("\n")).unwrap();

    let mut clippy = Command::new("cargo");
    clippy.args(["clippy", "--offline", "--message-format=short", "-p", "holes", "-p", "clean"]);
    clippy.current_dir(&work).env("CARGO_TARGET_DIR", work.join("target"));
    let output = clippy.output().unwrap();
    let messages = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{messages}");

    let seen = pointed_at(&messages, "holes/src/lib.rs");
    for (expected, name, lines) in holes() {
        let found = lines.clone().any(|line| seen.contains(&line));
        assert_eq!(found, expected, "{name}\n{messages}");
    }
    assert!(pointed_at(&messages, "clean/src/lib.rs").is_empty(), "{messages}");
    let misspelt: Vec<_> = messages.lines().filter(|line| line.contains("refer to")).collect();
    assert!(misspelt.is_empty(), "{}", misspelt.join("\n"));
}

/// What clippy does not see, the list has.
#[test]
fn the_list_has_the_other_holes() {
    let file = folder("list").join("src/holes.rs");
    fs::write(&file, HOLES).unwrap();
    let Some(list) = migrate(&["--left"], &file) else { return };
    let seen = pointed_at(&list, file.to_str().unwrap());
    for (by_clippy, name, lines) in holes() {
        let found = lines.clone().any(|line| seen.contains(&line));
        assert!(by_clippy || found, "{name}\n{list}");
    }
}

/// Each kind of line on the list has its row in the page.
#[test]
fn the_page_explains_the_list() {
    let program = fs::read_to_string(root().join("contrib/migrate.py")).unwrap();
    let page = fs::read_to_string(root().join("docs/migration.md")).unwrap();
    let (_, rest) = program.split_once("LEFT = {").unwrap();
    let (kinds, _) = rest.split_once("\n}").unwrap();
    let kinds: Vec<_> = kinds
        .lines()
        .filter_map(|line| line.strip_prefix("    \"")?.split_once("\": r").map(|(kind, _)| kind))
        .collect();
    assert!(kinds.len() > 10, "{kinds:?}");
    for kind in kinds {
        assert!(page.contains(&format!("| `{kind}` |")), "the page has no row for {kind}");
    }
}

#[test]
fn migrate_changes_what_writes() {
    #[rustfmt::skip]
    const SAMPLES: [(&str, &str); 27] = [
        // One word where all of it is ours, or re-exported.
        ("use std::net::TcpStream;", "use epipe::net::TcpStream;"),
        ("use std::net::{SocketAddr, TcpStream as Tcp};", "use epipe::net::{SocketAddr, TcpStream as Tcp};"),
        ("use ::std::os::unix::net::UnixStream;", "use ::epipe::os::unix::net::UnixStream;"),
        ("use socket2::{Domain, Socket};", "use epipe::socket2::{Domain, Socket};"),
        ("use tokio::net::{TcpListener, UdpSocket};", "use epipe::tokio::net::{TcpListener, UdpSocket};"),
        // What does not write stays.
        ("use std::net::{IpAddr, SocketAddr};", "use std::net::{IpAddr, SocketAddr};"),
        ("use std::io::{self, Read, Write};\nfn f() -> io::Result<()>;", "use std::io::{self, Read, Write};\nfn f() -> io::Result<()>;"),
        ("use std::fmt; // std::net::TcpStream", "use std::fmt; // std::net::TcpStream"),
        (r##"const S: &str = r#"use std::net::TcpStream;"#;"##, r##"const S: &str = r#"use std::net::TcpStream;"#;"##),
        ("/// use std::net::TcpStream;\nfn f() {}", "/// use std::net::TcpStream;\nfn f() {}"),
        ("const Q: char = '\"'; use std::io::pipe; const R: char = '\"';", "const Q: char = '\"'; use epipe::io::pipe; const R: char = '\"';"),
        ("fn f<'a>() -> impl Sized + use<'a> { std::mem::drop::<&'a str> }", "fn f<'a>() -> impl Sized + use<'a> { std::mem::drop::<&'a str> }"),
        // Split.
        ("use std::{fmt, net::TcpStream};", "use std::fmt;\nuse epipe::net::TcpStream;"),
        ("use std::{\n    io::{self, Write},\n    net::{self, TcpListener, UdpSocket},\n    sync::Arc,\n};",
         "use std::{io::{self, Write}, net, sync::Arc};\nuse epipe::net::{TcpListener, UdpSocket};"),
        ("mod m {\n    #[cfg(unix)]\n    pub(crate) use std::{fs, os::unix::net::UnixStream};\n}",
         "mod m {\n    #[cfg(unix)]\n    pub(crate) use std::fs;\n    #[cfg(unix)]\n    pub(crate) use epipe::os::unix::net::UnixStream;\n}"),
        ("#[cfg(any(\n    unix,\n    windows,\n))]\n/// Docs.\npub use std::{fmt, net::TcpStream};",
         "#[cfg(any(\n    unix,\n    windows,\n))]\n/// Docs.\npub use std::fmt;\n#[cfg(any(\n    unix,\n    windows,\n))]\n/// Docs.\npub use epipe::net::TcpStream;"),
        ("use std::{\n    fmt, // why\n    net::TcpStream,\n};", "// why\nuse std::fmt;\nuse epipe::net::TcpStream;"),
        ("use std::{r#fn, net::TcpStream};", "use std::r#fn;\nuse epipe::net::TcpStream;"),
        // A module, if the file names by it what writes.
        ("use std::io;\nfn f() { io::stdout(); }", "use epipe::io;\nfn f() { io::stdout(); }"),
        ("use std::{io as sio, net::{self}};\nfn f(_: net::TcpStream) -> sio::Result<()>;",
         "use std::io as sio;\nuse epipe::net;\nfn f(_: net::TcpStream) -> sio::Result<()>;"),
        ("use std::os::unix;\nfn f(_: unix::net::UnixStream);", "use epipe::os::unix;\nfn f(_: unix::net::UnixStream);"),
        ("use std::net::*;\nfn f(_: TcpStream);", "use epipe::net::*;\nfn f(_: TcpStream);"),
        ("use std::net::*;\nfn f(_: IpAddr);", "use std::net::*;\nfn f(_: IpAddr);"),
        // Never `use epipe::tokio`.
        ("use tokio::{self, net, io::AsyncWriteExt};\nfn f(_: net::TcpStream);",
         "use tokio::{self, io::AsyncWriteExt};\nuse epipe::tokio::net;\nfn f(_: net::TcpStream);"),
        // Full paths.
        ("fn f(_: std::net::TcpStream, _: tokio::process::Command, _: crate::std::net::TcpStream);",
         "fn f(_: epipe::net::TcpStream, _: epipe::tokio::process::Command, _: crate::std::net::TcpStream);"),
        ("impl From<::std::io::Stdout> for X {} type A = std::net::SocketAddr;", "impl From<::epipe::io::Stdout> for X {} type A = std::net::SocketAddr;"),
        ("macro_rules! m { () => { use std::net::TcpStream; std::io::stdout() } }", "macro_rules! m { () => { use std::net::TcpStream; std::io::stdout() } }"),
    ];
    let file = folder("samples").join("src/sample.rs");
    for (before, after) in SAMPLES {
        fs::write(&file, before).unwrap();
        if migrate(&[], &file).is_none() {
            return eprintln!("not tested: there is no python3");
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), after);
        migrate(&[], &file);
        assert_eq!(fs::read_to_string(&file).unwrap(), after, "twice");
    }
}

#[test]
fn migrate_reports_what_it_leaves() {
    let file = folder("reports").join("src/sample.rs");
    fs::write(&file, "use std::fmt;\nmacro_rules! m { () => { std::io::stdout() } }\n").unwrap();
    let Some(list) = migrate(&["--dry-run"], &file) else { return };
    assert_eq!(
        list,
        format!(
            "left to look at:\n{}:2: original: macro_rules! m {{ () => {{ std::io::stdout() }} }}\n",
            file.display()
        )
    );
}

/// A list that is too long is not read.
#[test]
fn migrate_leaves_out_what_does_not_write() {
    let file = folder("silent").join("src/sample.rs");
    let harmless = "use std::io::prelude::*;\nuse std::io::ErrorKind::*;\n\
                    fn f(_: &mut impl fmt::Write, _: &mut dyn std::fmt::Write) {}\n\
                    impl io::Write for Connection {}\n\
                    fn g() -> Result<()> { Err(ErrorKind::ConnectionReset.into()) }\n";
    let writes = "fn h<W: io::Write>(_: impl Write + Send, stream: T) { self.stream.into() }\n\
                  fn i(_: Box<dyn tokio::io::AsyncWrite>) { use std::net::*; }\n";
    fs::write(&file, format!("{harmless}{writes}")).unwrap();
    let Some(list) = migrate(&["--left"], &file) else { return };
    assert_eq!(pointed_at(&list, file.to_str().unwrap()), BTreeSet::from([5, 6]), "{list}");
    for kind in ["6: into, writer:", "7: writer, original:"] {
        assert!(list.contains(kind), "{kind}\n{list}");
    }
}

/// The line goes into `Cargo.toml` once.
#[test]
fn migrate_adds_the_dependency() {
    let package = folder("dependency");
    let line = "epipe = \"0.1\"";
    let modern = "[package]\nname = \"x\"\nedition = \"2018\"\n\n[dependencies]\nlibc = \"0.2\"\n";
    let first = modern.replace("edition = \"2018\"\n", "");
    for old in [modern, modern, &first, &modern.replace("2018", "2015")] {
        fs::write(package.join("Cargo.toml"), old).unwrap();
        for _ in 0..2 {
            let mut command = Command::new("python3");
            command.arg(root().join("contrib/migrate.py")).args(["--dependency", line]);
            let Ok(output) = command.current_dir(&package).output() else { return };
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.ends_with("nothing is left to look at\n"), "{said}");
            assert_eq!(said.contains("`extern crate epipe;`"), !old.contains("2018"), "{said}");
            let new = fs::read_to_string(package.join("Cargo.toml")).unwrap();
            assert_eq!(new, old.replace("libc", &format!("{line}\nlibc")));
        }
    }
}
