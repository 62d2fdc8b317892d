//! The migration: `contrib/migrate.py` changes the names that it should and nothing else. It and
//! `contrib/clippy.toml` point at every known hole that is left.

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
const SAMPLES: &str = include_str!("samples.txt");
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
/// A crate with streams of std's, which its users do not see.
const HIDDEN: &str = "
pub struct Server(pub std::io::BufReader<std::net::TcpStream>);
pub fn send(_: std::os::fd::OwnedFd) -> std::io::Result<()> {
    Ok(())
}
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A new directory with an empty `src`.
fn package(name: &str) -> PathBuf {
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(package.join("src"));
    fs::create_dir_all(package.join("src")).unwrap();
    package
}

/// The output of `migrate.py`, or `None` where there is no Python.
fn migrate(arguments: &[&str], file: &Path) -> Option<String> {
    let program = root().join("contrib/migrate.py");
    let mut command = Command::new("python3");
    let output = command.arg(program).args(arguments).arg(file).output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// The holes: whether clippy should see each, its name, and its lines.
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

/// Also, every path in the file exists: `allow-invalid` would hide a misspelt one.
#[test]
fn clippy_points_at_the_holes_that_it_can_see() {
    let has_clippy = Command::new("cargo").args(["clippy", "--version"]).output();
    if !has_clippy.is_ok_and(|output| output.status.success()) {
        return eprintln!("not tested: clippy is missing");
    }
    let work = package("migration");
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

/// The list has the holes that clippy does not see.
#[test]
fn the_list_has_the_other_holes() {
    let file = package("list").join("src/holes.rs");
    fs::write(&file, HOLES).unwrap();
    let Some(list) = migrate(&["--left"], &file) else { return };
    let seen = pointed_at(&list, file.to_str().unwrap());
    for (by_clippy, name, lines) in holes() {
        let found = lines.clone().any(|line| seen.contains(&line));
        assert!(by_clippy || found, "{name}\n{list}");
    }
}

/// Each kind of line on the list has its row on the page.
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

/// Each sample before and after.
fn samples() -> Vec<(&'static str, &'static str)> {
    let samples = SAMPLES.split("-- before\n").skip(1).map(|sample| {
        let (before, after) = sample.split_once("\n-- after\n").unwrap();
        let after = after.split("## ").next().unwrap().trim_end();
        (before, if after == "(the same)" { before } else { after })
    });
    samples.collect()
}

#[test]
fn migrate_changes_names_that_write() {
    let file = package("samples").join("src/sample.rs");
    assert_eq!(samples().len(), 27);
    for (before, after) in samples() {
        fs::write(&file, before).unwrap();
        if migrate(&[], &file).is_none() {
            return eprintln!("not tested: python3 is missing");
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), after);
        migrate(&[], &file);
        assert_eq!(fs::read_to_string(&file).unwrap(), after, "migrated twice");
    }
}

#[test]
fn migrate_lists_the_lines_it_leaves() {
    let file = package("reports").join("src/sample.rs");
    fs::write(&file, "use std::fmt;\nmacro_rules! m { () => { std::io::stdout() } }\n").unwrap();
    let Some(list) = migrate(&["--dry-run"], &file) else { return };
    assert_eq!(
        list,
        format!(
            "left to look at:\n\
             {}:2: original: macro_rules! m {{ () => {{ std::io::stdout() }} }}\n",
            file.display()
        )
    );
}

/// The list leaves out harmless lines. A list that is too long is not read.
#[test]
fn migrate_leaves_out_harmless_lines() {
    let file = package("silent").join("src/sample.rs");
    let harmless = "use std::io::prelude::*;\nuse std::io::ErrorKind::*;\n\
                    fn f(_: &mut impl fmt::Write, _: &mut dyn std::fmt::Write) {}\n\
                    impl io::Write for Connection {}\n\
                    fn g() -> Result<()> { Err(ErrorKind::ConnectionReset.into()) }\n";
    let writes = "fn h<W: io::Write>(_: impl Write + Send, stream: T) { self.stream.into() }\n\
                  fn i(_: Box<dyn tokio::io::AsyncWrite>) { use std::net::*; }\n\
                  pub async fn j(&self, stream: TcpStream) {}\n";
    fs::write(&file, format!("{harmless}{writes}")).unwrap();
    let Some(list) = migrate(&["--left"], &file) else { return };
    assert_eq!(pointed_at(&list, file.to_str().unwrap()), BTreeSet::from([5, 6, 7]), "{list}");
    for kind in ["6: into, writer:", "7: writer, original:", "8: edge:"] {
        assert!(list.contains(kind), "{kind}\n{list}");
    }
}

/// The line goes into `Cargo.toml` once.
#[test]
fn migrate_adds_the_dependency() {
    let package = package("dependency");
    let line = "epipe = \"0.1\"";
    let modern = "[package]\nname = \"x\"\nedition = \"2018\"\n\n[dependencies]\nlibc = \"0.2\"\n";
    let first = modern.replace("edition = \"2018\"\n", "");
    for old in [modern, modern, &first, &modern.replace("2018", "2015")] {
        fs::write(package.join("Cargo.toml"), old).unwrap();
        for _ in 0..2 {
            let mut command = Command::new("python3");
            command.arg(root().join("contrib/migrate.py")).args(["--dependency", line]);
            let Ok(output) = command.current_dir(&package).output() else { return };
            let printed = String::from_utf8_lossy(&output.stdout);
            assert!(printed.ends_with("nothing is left to look at\n"), "{printed}");
            let names_the_crate = printed.contains("`extern crate epipe;`");
            assert_eq!(names_the_crate, !old.contains("2018"), "{printed}");
            let new = fs::read_to_string(package.join("Cargo.toml")).unwrap();
            assert_eq!(new, old.replace("libc", &format!("{line}\nlibc")));
        }
    }
}
