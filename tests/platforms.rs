//! The table of `docs/platforms.md` agrees with THE table (`src/sys/table.rs`), and claims no more
//! than was done: `ci/README.md` has the last runs.

#![allow(missing_docs, reason = "a test")]
#![cfg(not(target_family = "wasm"))] // no file can be read there

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

#[allow(dead_code, reason = "build.rs needs more of it")]
#[path = "../src/sys/table.rs"]
mod table;

use table::{RaisedAt, SendFlag, TABLE, Target};

/// rustc's name of a system, whether it is a Unix, and the targets that stand for it.
type System = (&'static str, bool, &'static [&'static str]);

/// The systems that the page may name.
const SYSTEMS: [(&str, System); 36] = [
    (
        "Linux 6.18 and later",
        ("linux", true, &["x86_64-unknown-linux-gnu", "x86_64-unknown-linux-musl"]),
    ),
    (BEFORE_6_18, ("linux", true, &["x86_64-unknown-linux-gnu", "s390x-unknown-linux-gnu"])),
    (GVISOR, ("linux", true, &["x86_64-unknown-linux-musl"])),
    ("Android", ("android", true, &["aarch64-linux-android"])),
    ("macOS", ("macos", true, &["x86_64-apple-darwin"])),
    ("iOS", ("ios", true, &["aarch64-apple-ios"])),
    ("tvOS", ("tvos", true, &["aarch64-apple-tvos"])),
    ("watchOS", ("watchos", true, &["aarch64-apple-watchos"])),
    ("visionOS", ("visionos", true, &["aarch64-apple-visionos"])),
    ("FreeBSD", ("freebsd", true, &["x86_64-unknown-freebsd"])),
    ("DragonFly", ("dragonfly", true, &["x86_64-unknown-dragonfly"])),
    ("NetBSD", ("netbsd", true, &["x86_64-unknown-netbsd"])),
    ("OpenBSD", ("openbsd", true, &["x86_64-unknown-openbsd"])),
    ("illumos", ("illumos", true, &["x86_64-unknown-illumos"])),
    ("Solaris 11.4", ("solaris", true, &["x86_64-pc-solaris"])),
    ("Haiku", ("haiku", true, &["x86_64-unknown-haiku"])),
    ("Cygwin", ("cygwin", true, &["x86_64-pc-cygwin"])),
    ("Hurd", ("hurd", true, &["i686-unknown-hurd-gnu"])),
    ("QNX 7.0", ("nto", true, &["aarch64-unknown-nto-qnx700"])),
    ("QNX 7.1", ("nto", true, &["x86_64-pc-nto-qnx710"])),
    ("QNX 8", ("nto", true, &["x86_64-pc-nto-qnx800"])),
    ("AIX", ("aix", true, &["powerpc64-ibm-aix"])),
    ("Redox", ("redox", true, &["x86_64-unknown-redox"])),
    ("any other Unix", ("l4re", true, &["x86_64-unknown-l4re-uclibc"])),
    ("Windows", ("windows", false, &["x86_64-pc-windows-gnu", "x86_64-pc-windows-msvc"])),
    ("WASI", ("wasi", false, &["wasm32-wasip1", "wasm32-wasip2"])),
    ("Emscripten", ("emscripten", true, &["wasm32-unknown-emscripten"])),
    ("bare WebAssembly", ("unknown", false, &["wasm32-unknown-unknown"])),
    ("ESP-IDF", ("espidf", true, &["riscv32imc-esp-espidf"])),
    ("Horizon", ("horizon", true, &["armv6k-nintendo-3ds"])),
    ("NuttX", ("nuttx", true, &["thumbv7em-nuttx-eabihf"])),
    ("Vita", ("vita", true, &["armv7-sony-vita-newlibeabihf"])),
    ("Hermit", ("hermit", false, &["x86_64-unknown-hermit"])),
    ("Fuchsia", ("fuchsia", true, &["x86_64-unknown-fuchsia"])),
    ("VxWorks", ("vxworks", true, &["x86_64-wrs-vxworks"])),
    ("RTEMS", ("rtems", true, &["armv7-rtems-eabihf"])),
];

/// Its kernels reject `write_flag` at run time.
const BEFORE_6_18: &str = "Linux before 6.18";

/// It silently ignores `write_flag`, and the first write finds that out.
const GVISOR: &str = "gVisor";

/// Sources that may stand in brackets after *read*, in place of the system's own source.
const READ: [&str; 2] = ["documentation", "std"];

const PAGE: &str = "docs/platforms.md";

fn text(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

// ------------------------------------------------------------------------- THE table ----

/// The techniques of a system in THE table, as the page writes them: for sockets and for pipes.
fn row(os: &str, is_unix: bool) -> (String, String) {
    let vendor = if APPLE.contains(&os) { "apple" } else { "" };
    let word = str::to_owned;
    let (env, arch, pointer_width) = (String::new(), String::new(), word("64"));
    let vendor = word(vendor);
    let target = Target { os: word(os), vendor, env, arch, pointer_width, is_unix, forced: None };
    let row = target.row();
    let guard = match row.raised_at {
        RaisedAt::Thread => "thread_mask",
        RaisedAt::Process => "process_handler",
        _ => return ("–".into(), "–".into()),
    };
    let list = |techniques: [(bool, &str); 3]| {
        let used = techniques.into_iter().filter(|(is_used, _)| *is_used);
        used.map(|(_, name)| format!("`{}`", name.replace(' ', "` with `"))).collect::<Vec<_>>()
    };
    let last = match row.send_flag {
        SendFlag::Absent | SendFlag::Alone => guard.into(),
        _ => format!("{guard} send_flag"),
    };
    let sockets = [
        (row.send_flag == SendFlag::Alone, "send_flag"),
        (row.socket_option, "socket_option"),
        (true, &last),
    ];
    let pipes = [(row.write_flag, "write_flag"), (row.fd_flag, "fd_flag"), (true, guard)];
    let (sockets, pipes) = (list(sockets).join(", "), list(pipes).join(", "));
    if !row.stays_set {
        // Option and flag do not protect alone: the page names them after the guard.
        let with_the_guard = |set: &str, techniques: String| {
            let (set, guard) = (format!("`{set}`"), format!("`{guard}`"));
            techniques.replace(&format!("{set}, {guard}"), &format!("{guard} with {set}"))
        };
        return (with_the_guard("socket_option", sockets), with_the_guard("fd_flag", pipes));
    }
    (sockets, pipes)
}

const APPLE: [&str; 5] = ["ios", "macos", "tvos", "visionos", "watchos"];

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

/// The rows of the targets in `ci/README.md`: the results of the last run of `ci/targets`.
fn targets() -> Vec<Vec<String>> {
    let heading = "| target | std | checked | last run | result |";
    markdown_table(&text("ci/README.md"), heading)
}

fn checked_targets() -> BTreeSet<String> {
    let ok = targets().into_iter().filter(|row| row[4] == "ok");
    ok.map(|row| row[0].clone()).collect()
}

/// The environments and models of `ci/README.md`: the page's word for what was done there, and the
/// system that each stands for.
const ENVIRONMENTS: [(&str, &str, &str); 19] = [
    ("Linux 6.18", "run", "Linux 6.18 and later"),
    ("static musl", "run", "Linux 6.18 and later"),
    ("dynamic musl", "run", "Linux 6.18 and later"),
    ("i686", "run", "Linux 6.18 and later"),
    (GVISOR, "run", GVISOR),
    ("Linux 6.1", "run", BEFORE_6_18),
    ("s390x under qemu-user", "emulated", BEFORE_6_18), // qemu-user lacks pwritev2
    ("aarch64 under qemu-user", "emulated", BEFORE_6_18),
    ("armv7 under qemu-user", "emulated", BEFORE_6_18),
    ("riscv64 under qemu-user", "emulated", BEFORE_6_18),
    ("Windows under Wine", "emulated", "Windows"),
    ("WASI preview 1", "run", "WASI"),
    ("WASI preview 2", "run", "WASI"),
    ("Emscripten", "run", "Emscripten"),
    ("XNU 6153", "modelled", "macOS"),
    ("XNU 7195", "modelled", "macOS"),
    ("NetBSD", "modelled", "NetBSD"),
    ("FreeBSD", "modelled", "FreeBSD"),
    ("OpenBSD", "modelled", "OpenBSD"),
];

/// The environments or models in which all scenes survived, by `ci/README.md`.
fn played(word: &str) -> BTreeSet<String> {
    let kind = if word == "modelled" { "model" } else { "environment" };
    let heading = format!("| {kind} | scenes played | ignored | last run | result |");
    let rows = markdown_table(&text("ci/README.md"), &heading).into_iter();
    let ok = rows.filter(|row| {
        let has_scenes = row[1].parse().is_ok_and(|played: u32| played > 0);
        row[4].starts_with("0 deaths") && (has_scenes || row[4].contains("other tests pass"))
    });
    ok.map(|row| row[0].clone()).collect()
}

/// Splits a claim `word (a, b)` into its word and the list in brackets.
fn parse_claim(claim: &str) -> (&str, Vec<&str>) {
    match claim.split_once(" (") {
        Some((claim, list)) => (claim, list.trim_end_matches(')').split(", ").collect()),
        None => (claim, Vec::new()),
    }
}

#[test]
fn the_page_says_what_the_table_does() {
    let systems: BTreeMap<_, _> = SYSTEMS.into();
    let mut named = BTreeSet::new();
    let mut wrong = Vec::new();
    for cells in markdown_table(&text(PAGE), "| system | sockets | pipes | verified |") {
        for system in cells[0].split(", ") {
            assert!(named.insert(system.to_owned()), "{PAGE} names {system} twice");
            let known = systems.get(system);
            let (os, is_unix, _) =
                known.unwrap_or_else(|| panic!("{PAGE} names {system}, which is unknown"));
            let (sockets, mut pipes) = row(os, *is_unix);
            if [BEFORE_6_18, GVISOR].contains(&system) {
                pipes = pipes.replace("`write_flag`, ", "");
            }
            if (&cells[1], &cells[2]) != (&sockets, &pipes) {
                wrong.push(format!("| {system} | {sockets} | {pipes} |"));
            }
        }
    }
    assert!(wrong.is_empty(), "THE table says:\n{}", wrong.join("\n"));
    let missing: Vec<_> = systems.keys().filter(|system| !named.contains(**system)).collect();
    assert!(missing.is_empty(), "{PAGE} does not name {missing:?}");
}

#[test]
fn a_row_claims_no_more_than_was_done() {
    let checked = checked_targets();
    let targets: BTreeMap<_, _> = SYSTEMS.into();
    for cells in markdown_table(&text(PAGE), "| system | sockets | pipes | verified |") {
        let systems: Vec<_> = cells[0].split(", ").collect();
        for claim in cells[3].split("; ") {
            let (word, list) = parse_claim(claim);
            match word {
                "run" | "modelled" | "emulated" => {
                    assert!(!list.is_empty(), "{systems:?}: {word} needs a place in brackets");
                    let played = played(word);
                    for place in list {
                        assert!(played.contains(place), "nothing was {word} in {place}");
                        let stands_for =
                            |system: &&str| ENVIRONMENTS.contains(&(place, word, *system));
                        let is_here = systems.iter().any(stands_for);
                        assert!(is_here, "{place} was not {word} for any of {systems:?}");
                    }
                }
                "type-checked" => {
                    let claimed = if list.is_empty() { systems.clone() } else { list };
                    for system in claimed {
                        assert!(
                            systems.contains(&system),
                            "{system} is not in the row of {systems:?}"
                        );
                        for target in targets[system].2 {
                            assert!(checked.contains(*target), "{target} was not checked");
                        }
                    }
                }
                "read" => {
                    for what in list {
                        assert!(READ.contains(&what), "{systems:?}: {what} is no source of *read*");
                    }
                }
                _ => panic!("{systems:?}: {word:?} is none of the five words of {PAGE}"),
            }
        }
    }
}

/// The lines of a list in a shell script, from `name=(` to `)`, without quotes.
fn shell_list(script: &str, name: &str) -> BTreeSet<String> {
    let (_, rest) = script.split_once(&format!("\n{name}=(\n")).expect(name);
    let lines = rest.lines().take_while(|line| *line != ")");
    lines.map(|line| line.trim().trim_matches('\'').to_owned()).collect()
}

#[test]
fn the_tables_of_targets_are_those_of_the_script() {
    let script = text("ci/targets");
    let mut checked = shell_list(&script, "quick");
    checked.extend(shell_list(&script, "alike"));
    checked.extend(shell_list(&script, "others"));
    let rows = targets().into_iter().map(|row| row[0].clone());
    assert_eq!(rows.collect::<BTreeSet<_>>(), checked);

    let rows = markdown_table(&text("ci/README.md"), "| cannot be checked | why |");
    let rows = rows.into_iter().map(|row| row.join(" | "));
    assert_eq!(rows.collect::<BTreeSet<_>>(), shell_list(&script, "hopeless"));
}

#[test]
fn the_build_has_the_row_of_its_target() {
    let spell = |techniques: &[epipe::verify::Technique]| {
        let names = techniques.iter().map(|technique| format!("`{technique}`"));
        names.collect::<Vec<_>>().join(", ").replace("`not_needed`", "–")
    };
    let (sockets, pipes) = row(std::env::consts::OS, cfg!(unix));
    let _pipe = epipe::io::pipe().unwrap(); // it finds out about the write flag
    let protection = epipe::protection();
    if cfg!(not(any(
        epipe_refused = "send_flag",
        epipe_refused = "write_flag",
        epipe_refused = "thread_mask"
    ))) {
        // `protection` lists only the techniques that protect alone.
        assert_eq!(sockets.replace(" with `send_flag`", ""), spell(protection.socket_send()));
        // The kernel may be older than the write flag.
        let without_flag = pipes.replace("`write_flag`, ", "");
        assert!([pipes, without_flag].contains(&spell(protection.pipe_write())), "{protection}");
    }
}

#[test]
fn every_kernel_stands_in_one_row() {
    let kernels: Vec<_> = TABLE.iter().flat_map(|row| row.kernels).collect();
    assert_eq!(kernels.len(), kernels.iter().collect::<BTreeSet<_>>().len());
}
