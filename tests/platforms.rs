//! The README's platform table says what THE table does, and no more than was done: it is checked
//! against `src/sys/mod.rs`, and against the tables of last runs in `ci/README.md`.
//!
//! THE table is read as text and evaluated for each target with the cfgs that rustc has for it.

#![allow(missing_docs, reason = "a test")]
#![cfg(not(target_family = "wasm"))] // where no compiler can be asked

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The systems that the README may name, each with the targets that stand for it.
const SYSTEMS: [(&str, &[&str]); 35] = [
    ("Linux 6.18 and later", &["x86_64-unknown-linux-gnu", "x86_64-unknown-linux-musl"]),
    (BEFORE_6_18, &["x86_64-unknown-linux-gnu", "s390x-unknown-linux-gnu"]),
    ("Android", &["aarch64-linux-android"]),
    ("macOS", &["x86_64-apple-darwin"]),
    ("iOS", &["aarch64-apple-ios"]),
    ("tvOS", &["aarch64-apple-tvos"]),
    ("watchOS", &["aarch64-apple-watchos"]),
    ("visionOS", &["aarch64-apple-visionos"]),
    ("FreeBSD", &["x86_64-unknown-freebsd"]),
    ("DragonFly", &["x86_64-unknown-dragonfly"]),
    ("NetBSD", &["x86_64-unknown-netbsd"]),
    ("OpenBSD", &["x86_64-unknown-openbsd"]),
    ("illumos", &["x86_64-unknown-illumos"]),
    ("Solaris 11.4", &["x86_64-pc-solaris"]),
    ("Haiku", &["x86_64-unknown-haiku"]),
    ("Cygwin", &["x86_64-pc-cygwin"]),
    ("Hurd", &["i686-unknown-hurd-gnu"]),
    ("QNX 7.0", &["aarch64-unknown-nto-qnx700"]),
    ("QNX 7.1", &["x86_64-pc-nto-qnx710"]),
    ("QNX 8", &["x86_64-pc-nto-qnx800"]),
    ("AIX", &["powerpc64-ibm-aix"]),
    ("Redox", &["x86_64-unknown-redox"]),
    ("any other Unix", &["x86_64-unknown-l4re-uclibc"]),
    ("Windows", &["x86_64-pc-windows-gnu", "x86_64-pc-windows-msvc"]),
    ("WASI", &["wasm32-wasip1", "wasm32-wasip2"]),
    ("Emscripten", &["wasm32-unknown-emscripten"]),
    ("bare WebAssembly", &["wasm32-unknown-unknown"]),
    ("ESP-IDF", &["riscv32imc-esp-espidf"]),
    ("Horizon", &["armv6k-nintendo-3ds"]),
    ("NuttX", &["thumbv7em-nuttx-eabihf"]),
    ("Vita", &["armv7-sony-vita-newlibeabihf"]),
    ("Hermit", &["x86_64-unknown-hermit"]),
    ("Fuchsia", &["x86_64-unknown-fuchsia"]),
    ("VxWorks", &["x86_64-wrs-vxworks"]),
    ("RTEMS", &["armv7-rtems-eabihf"]),
];

/// The kernel refuses `write_flag` there, at run time.
const BEFORE_6_18: &str = "Linux before 6.18";

/// What may be said of a row besides runs and type checks: nothing that a machine has done.
const READ: [&str; 3] = ["read in source", "read in documentation", "not verified"];

fn text(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

// ------------------------------------------------------------------------- THE table ----

/// What a target is: `unix`, `target_os="linux"` and so on.
fn cfgs(target: &str) -> BTreeSet<String> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let output = Command::new(rustc).args(["--print", "cfg", "--target", target]).output().unwrap();
    assert!(output.status.success(), "rustc knows no {target}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Source text, without comments, from which items are cut.
struct Source<'a>(&'a str);

impl<'a> Source<'a> {
    /// Drops `word` if the text begins with it.
    fn takes(&mut self, word: &str) -> bool {
        let rest = self.0.trim_start().strip_prefix(word);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// The text between an opening bracket, which is next, and the closing one that belongs to it.
    fn bracketed(&mut self) -> &'a str {
        let text = self.0.trim_start();
        let mut depth = 0;
        for (at, c) in text.char_indices() {
            match c {
                '(' | '{' | '[' => depth += 1,
                ')' | '}' | ']' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.0 = &text[at + 1..];
                return &text[1..at];
            }
        }
        panic!("no end of {text}");
    }
}

/// Whether a condition of `#[cfg(…)]` holds.
fn holds(condition: &str, cfgs: &BTreeSet<String>) -> bool {
    let condition = condition.trim();
    let (name, arguments) = match condition.split_once('(') {
        Some((name, _)) => (name, Source(&condition[name.len()..]).bracketed()),
        None => return cfgs.contains(&condition.replace(' ', "")),
    };
    // At the commas that stand in no bracket.
    let mut depth = 0;
    let arguments = arguments.split(|c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    });
    let mut arguments = arguments.filter(|part| !part.trim().is_empty());
    match name {
        "any" => arguments.any(|part| holds(part, cfgs)),
        "all" => arguments.all(|part| holds(part, cfgs)),
        "not" => !arguments.any(|part| holds(part, cfgs)),
        _ => panic!("cfg({condition})"),
    }
}

/// What is left of the text for a target, after each `cfg_if!` in it has been decided.
fn decide(text: &str, cfgs: &BTreeSet<String>) -> String {
    let Some((before, rest)) = text.split_once("cfg_if! ") else {
        return text.to_owned();
    };
    let mut rest = Source(rest);
    let mut branches = Source(rest.bracketed());
    let mut decided = before.to_owned();
    loop {
        let is_taken = if branches.takes("if #") {
            let condition = branches.bracketed().trim_start_matches("cfg");
            holds(Source(condition).bracketed(), cfgs)
        } else {
            true // the last else
        };
        let body = branches.bracketed();
        if is_taken {
            decided.push_str(&decide(body, cfgs));
            break;
        }
        if !branches.takes("else") {
            break;
        }
    }
    decided + &decide(rest.0, cfgs)
}

/// A row: how the README should write a system's sockets and pipes.
fn row(table: &str, target: &str) -> (String, String) {
    let decided = decide(table, &cfgs(target));
    let defined = |name: &str| {
        let definition = decided.split_once(&format!("type {name} = "))?;
        Some(definition.1.split(';').next().unwrap())
    };
    if defined("SocketShield").unwrap().starts_with("not_needed") {
        return ("–".into(), "–".into());
    }
    let guard = defined("ThreadGuard").unwrap().split("::").next().unwrap();
    let ladder = |name: &str| {
        let words =
            defined(name).unwrap().split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
        let techniques = words.filter(|word| !word.is_empty()).filter_map(|word| {
            Some(match word.split_once("::") {
                Some((technique, "Inside")) => format!("`{guard}` with `{technique}`"),
                // In a ladder of pipes it is there for sockets of unknown kind.
                Some(("socket_option", _)) if name == "Pipes" => return None,
                Some((technique, _)) => format!("`{technique}`"),
                None => format!("`{guard}`"),
            })
        });
        techniques.collect::<Vec<_>>().join(", ")
    };
    (ladder("Sockets"), ladder("Pipes"))
}

/// THE table's file, without comments.
fn the_table() -> String {
    let source = text("src/sys/mod.rs");
    let lines = source.lines().map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

// ------------------------------------------------------------------- tables in Markdown ----

/// The cells of the table under a heading line, row by row.
fn markdown_table(text: &str, heading: &str) -> Vec<Vec<String>> {
    let (_, rest) = text.split_once(heading).unwrap_or_else(|| panic!("no table {heading}"));
    let rows = rest.trim_start().lines().skip(1).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| {
        let cells = row.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    rows.map(cells).collect()
}

/// The rows of the targets in `ci/README.md`: what the last run of `ci/targets` has checked.
fn targets() -> Vec<Vec<String>> {
    let heading = "| target | std | checked | last run | result |";
    markdown_table(&text("ci/README.md"), heading)
}

fn checked_targets() -> BTreeSet<String> {
    let ok = targets().into_iter().filter(|row| row[4] == "ok");
    ok.map(|row| row[0].clone()).collect()
}

/// What an environment of `ci/README.md` is an instance of, for the README.
const ENVIRONMENTS: [(&str, &str); 6] = [
    ("Linux 6.18", "Linux 6.18 and later"),
    ("static musl", "Linux 6.18 and later"),
    ("Linux 6.1", BEFORE_6_18),
    ("s390x under qemu-user", BEFORE_6_18), // which knows no pwritev2
    ("aarch64 under qemu-user", BEFORE_6_18),
    ("Windows under Wine", "Windows"),
];

/// The environments in which tests were run without a death, by `ci/README.md`.
fn environments() -> BTreeSet<String> {
    let heading = "| environment | scenes played | ignored | last run | result |";
    let rows = markdown_table(&text("ci/README.md"), heading).into_iter();
    let ok = rows.filter(|row| {
        let has_scenes = row[1].parse().is_ok_and(|played: u32| played > 0);
        row[4].starts_with("0 deaths") && (has_scenes || row[4].contains("other tests pass"))
    });
    ok.map(|row| row[0].clone()).collect()
}

/// A claim without its `(a, b)`, and what stands there.
fn parse_claim(claim: &str) -> (&str, Vec<&str>) {
    match claim.split_once(" (") {
        Some((claim, list)) => (claim, list.trim_end_matches(')').split(", ").collect()),
        None => (claim, Vec::new()),
    }
}

#[test]
fn the_readme_says_what_the_table_does() {
    let table = the_table();
    let targets: BTreeMap<_, _> = SYSTEMS.into();
    let mut named = BTreeSet::new();
    let mut wrong = Vec::new();
    for cells in markdown_table(&text("README.md"), "| system | sockets | pipes | verified |") {
        for system in cells[0].split(", ") {
            assert!(named.insert(system.to_owned()), "{system} stands there twice");
            let targets = targets.get(system).unwrap_or_else(|| panic!("{system} is unknown"));
            for target in *targets {
                let (sockets, mut pipes) = row(&table, target);
                if system == BEFORE_6_18 {
                    pipes = pipes.replace("`write_flag`, ", "");
                }
                if (&cells[1], &cells[2]) != (&sockets, &pipes) {
                    wrong.push(format!("| {system} | {sockets} | {pipes} | by {target}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "THE table says:\n{}", wrong.join("\n"));
    let missing: Vec<_> = targets.keys().filter(|system| !named.contains(**system)).collect();
    assert!(missing.is_empty(), "the README does not name {missing:?}");
}

#[test]
fn a_row_claims_no_more_than_was_done() {
    let (checked, environments) = (checked_targets(), environments());
    let targets: BTreeMap<_, _> = SYSTEMS.into();
    for cells in markdown_table(&text("README.md"), "| system | sockets | pipes | verified |") {
        let systems: Vec<_> = cells[0].split(", ").collect();
        for claim in cells[3].split("; ") {
            let (claim, list) = parse_claim(claim);
            match claim {
                "run" => {
                    assert!(!list.is_empty(), "{systems:?}: where was it run?");
                    for environment in list {
                        let ran = environments.contains(environment);
                        assert!(ran, "nothing ran in {environment}");
                        let system =
                            ENVIRONMENTS.into_iter().find(|(name, _)| *name == environment);
                        let (_, system) = system.expect("a known environment");
                        assert!(systems.contains(&system), "{environment} is no {systems:?}");
                    }
                }
                "type-checked" => {
                    let claimed = if list.is_empty() { systems.clone() } else { list };
                    for system in claimed {
                        assert!(systems.contains(&system), "{system} is not of {systems:?}");
                        for target in targets[system] {
                            assert!(checked.contains(*target), "{target} was not checked");
                        }
                    }
                }
                _ => assert!(READ.contains(&claim), "what is {claim:?}?"),
            }
        }
    }
}

/// The lines of a list in a shell script, `name=(` to `)`, without quotes.
fn shell_list(script: &str, name: &str) -> BTreeSet<String> {
    let (_, rest) = script.split_once(&format!("\n{name}=(\n")).expect(name);
    let lines = rest.lines().take_while(|line| *line != ")");
    lines.map(|line| line.trim().trim_matches('\'').to_owned()).collect()
}

#[test]
fn the_tables_of_targets_are_those_of_the_script() {
    let script = text("ci/targets");
    let mut checked = shell_list(&script, "quick");
    checked.extend(shell_list(&script, "others"));
    let rows = targets().into_iter().map(|row| row[0].clone());
    assert_eq!(rows.collect::<BTreeSet<_>>(), checked);

    let rows = markdown_table(&text("ci/README.md"), "| cannot be checked | why |");
    let rows = rows.into_iter().map(|row| row.join(" | "));
    assert_eq!(rows.collect::<BTreeSet<_>>(), shell_list(&script, "hopeless"));
}

#[cfg(target_os = "linux")]
#[test]
fn the_reader_of_the_table_reads_what_the_library_does() {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let (sockets, pipes) = row(&the_table(), &target);
    let spell = |techniques: &[epipe::verify::Technique]| {
        let names = techniques.iter().map(|technique| format!("`{technique}`"));
        names.collect::<Vec<_>>().join(", ")
    };
    let protection = epipe::protection();
    if cfg!(not(any(
        epipe_refused = "send_flag",
        epipe_refused = "write_flag",
        epipe_refused = "thread_mask"
    ))) {
        assert_eq!(sockets, spell(protection.socket_send()));
        assert_eq!(pipes, spell(protection.pipe_write()));
    }
}

#[test]
fn conditions_and_branches() {
    let cfgs: BTreeSet<_> = ["unix", "target_os=\"linux\""].map(str::to_owned).into();
    assert!(holds("unix", &cfgs) && !holds("windows", &cfgs));
    assert!(holds("any(windows, all(unix, target_os = \"linux\"))", &cfgs));
    assert!(!holds("all(unix, not(target_os = \"linux\"),)", &cfgs));
    let text = "a cfg_if! { if #[cfg(windows)] { b } else if #[cfg(unix)] { c cfg_if! { if \
                #[cfg(unix)] { d } } e } else { f } } g";
    let decided = decide(text, &cfgs);
    assert_eq!(decided.split_whitespace().collect::<Vec<_>>(), ["a", "c", "d", "e", "g"]);
}
