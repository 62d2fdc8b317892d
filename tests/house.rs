//! The rules of the house that a compiler does not check: where a system may be named, where
//! `unsafe` may stand, that `src/sys` imports nothing from above it, and the budget.

#![allow(missing_docs, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};

/// The budget: code lines, traits and macros of `src` and `build.rs`, the features apart. To exceed
/// it, change the number and say why.
///
/// 4,000 lines were planned. 511 more are what it took to close holes that killed or hung: guards
/// that signal handlers and forked children may take (`threads.rs`, `process_handler.rs`: 280), a
/// flag that proves itself (`write_flag.rs`, `trust.rs`, `pipe.rs`: 180), and errors that a socket
/// reports once (`send_flag.rs`, `copy.rs`, `sendfile.rs`: 60). 17 more are what is left of the
/// rows that a test can force (50), after what a handle remembered of itself was deleted.
const BUDGET: [(&str, usize); 3] = [("code lines", 4528), ("traits", 10), ("macros", 16)];

/// Every Rust file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found
}

/// The code of a file, by line: without comments, docs and strings.
fn code(text: &str) -> Vec<String> {
    let mut in_string = false;
    text.lines()
        .map(|line| {
            let mut code = String::new();
            let mut chars = line.chars().peekable();
            while let Some(c) = chars.next() {
                match c {
                    '\\' if in_string => drop(chars.next()),
                    '"' => in_string = !in_string,
                    '/' if !in_string && chars.peek() == Some(&'/') => break,
                    _ if in_string => {}
                    _ => code.push(c),
                }
            }
            code
        })
        .collect()
}

/// The words of a line of code, each with what stands before it.
fn words(line: &str) -> Vec<(&str, &str)> {
    let mut words = Vec::new();
    let mut rest = 0;
    for word in line.split(|c: char| !c.is_alphanumeric() && c != '_') {
        let start = rest + line[rest..].find(word).unwrap();
        rest = start + word.len();
        if !word.is_empty() {
            words.push((&line[..start], word));
        }
    }
    words
}

fn source() -> impl Iterator<Item = (String, Vec<String>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    files(&root).into_iter().map(move |path| {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
        (name, code(&text))
    })
}

/// A `cfg` elsewhere asks for a capability, by a name that `build.rs` has from THE table.
#[test]
fn only_sys_names_systems() {
    const TARGETS: [&str; 8] = [
        "kernel",
        "target_os",
        "target_vendor",
        "target_env",
        "target_family",
        "target_arch",
        "target_pointer_width",
        "target_endian",
    ];
    #[rustfmt::skip]
    const SYSTEMS: [&str; 41] = [
        "aix", "android", "apple", "cygwin", "darwin", "dragonfly", "emscripten", "espidf", "freebsd",
        "fuchsia", "haiku", "hermit", "horizon", "hurd", "illumos", "ios", "l4re", "linux", "macos",
        "motor", "musl", "netbsd", "newlib", "nto", "nuttx", "openbsd", "redox", "rtems", "sgx",
        "solaris", "solid_asp3", "trusty", "tvos", "uefi", "visionos", "vita", "vxworks", "wasi",
        "watchos", "windows", "xous",
    ];
    let mut named = Vec::new();
    for (file, code) in source() {
        // The two rooms: all of sys, and the gates of whole modules.
        if file.starts_with("sys/") || file == "os/mod.rs" {
            continue;
        }
        for (number, line) in code.iter().enumerate() {
            for (before, word) in words(line) {
                // A path of std, mirrored: `std::os::linux::net`.
                let is_a_path = before.ends_with("os::");
                if SYSTEMS.contains(&word) && !is_a_path || TARGETS.contains(&word) {
                    named.push(format!("src/{file}:{}: {}", number + 1, line.trim()));
                }
            }
        }
    }
    assert!(named.is_empty(), "systems are named outside src/sys:\n{}", named.join("\n"));
}

#[test]
fn unsafe_stands_only_where_it_may_and_says_why() {
    let may = |file: &str| {
        file.starts_with("sys/")
            || file.starts_with("sigpipe/")
            // It implements an unsafe trait.
            || file == "async_io.rs"
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (file, code) in source() {
        let has = code.iter().any(|line| {
            words(line).iter().any(|(_, word)| *word == "unsafe" || *word == "unsafe_code")
        });
        if !has {
            continue;
        }
        assert!(may(&file), "src/{file} has unsafe code and is none of the rooms for it");
        // A file inside a folder may leave the reason to the file that has it as a module.
        let parent = root.join(&file).parent().unwrap().with_extension("rs");
        let says_why = [root.join(&file), parent].iter().any(|path| {
            let mut text = fs::read_to_string(path).unwrap_or_default();
            text.retain(|c| !c.is_whitespace());
            text.contains("#![allow(unsafe_code,reason=")
                || text.contains("#[allow(unsafe_code)]//")
        });
        assert!(says_why, "src/{file}: allow unsafe_code with a reason");
    }
}

#[test]
fn sys_imports_nothing_from_above_it() {
    let mut upwards = Vec::new();
    for (file, code) in source().filter(|(file, _)| file.starts_with("sys/")) {
        for (number, line) in code.iter().enumerate() {
            // `$crate` in a macro is where that is used.
            for (at, _) in line.match_indices("crate::") {
                let is_of_a_macro = line[..at].ends_with('$');
                if !is_of_a_macro && !line[at..].starts_with("crate::sys") {
                    upwards.push(format!("src/{file}:{}: {}", number + 1, line.trim()));
                }
            }
        }
    }
    assert!(upwards.is_empty(), "src/sys looks upwards:\n{}", upwards.join("\n"));
}

#[test]
fn the_budget_is_kept() {
    const FEATURES: [&str; 3] = ["async_io.rs", "mio.rs", "tokio.rs"];
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("build.rs");
    let build = ("build.rs".to_owned(), code(&fs::read_to_string(build).unwrap()));
    let mut counts = [0; 3];
    for (file, code) in source().chain([build]) {
        if FEATURES.contains(&file.as_str()) {
            continue;
        }
        for line in code.iter().filter(|line| !line.trim().is_empty()) {
            let words: Vec<_> = words(line).into_iter().map(|(_, word)| word).collect();
            let is_trait = words.iter().take(4).any(|word| *word == "trait");
            let is_macro = words.first() == Some(&"macro_rules");
            for (count, is_one) in counts.iter_mut().zip([true, is_trait, is_macro]) {
                *count += usize::from(is_one);
            }
        }
    }
    for ((what, most), count) in BUDGET.into_iter().zip(counts) {
        println!("{count} {what} of {most}");
        assert!(count <= most, "{count} {what}: the budget is {most}");
    }
}

#[test]
fn the_strippers_strip() {
    let stripped = code("let a = \"unsafe // \\\" x\"; // windows\n/// linux\nunix();");
    assert_eq!(stripped, ["let a = ; ", "", "unix();"]);
    let found: Vec<_> = words("std::os::unix::x").into_iter().map(|(_, word)| word).collect();
    assert_eq!(found, ["std", "os", "unix", "x"]);
}
