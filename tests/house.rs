//! The rules of the house that a compiler does not check: where a system may be named, and where
//! `unsafe` may stand.

#![allow(missing_docs, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};

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

#[test]
fn only_sys_names_systems() {
    const CFG: [&str; 10] = [
        "cfg",
        "cfg_if",
        "cfg_attr",
        "target_os",
        "target_vendor",
        "target_env",
        "target_family",
        "target_arch",
        "target_pointer_width",
        "target_endian",
    ];
    const SYSTEMS: [&str; 44] = [
        "aix",
        "android",
        "apple",
        "cygwin",
        "darwin",
        "dragonfly",
        "emscripten",
        "espidf",
        "freebsd",
        "fuchsia",
        "haiku",
        "hermit",
        "horizon",
        "hurd",
        "illumos",
        "ios",
        "l4re",
        "libc",
        "linux",
        "macos",
        "motor",
        "musl",
        "netbsd",
        "newlib",
        "nto",
        "nuttx",
        "openbsd",
        "redox",
        "rtems",
        "sgx",
        "solaris",
        "solid_asp3",
        "trusty",
        "tvos",
        "uefi",
        "unix",
        "visionos",
        "vita",
        "vxworks",
        "wasi",
        "wasm",
        "watchos",
        "windows",
        "xous",
    ];
    let mut named = Vec::new();
    for (file, code) in source() {
        // The two rooms: all of sys, and the gates of whole modules.
        if file.starts_with("sys/") || file == "os/mod.rs" {
            continue;
        }
        for (number, line) in code.iter().enumerate() {
            for (before, word) in words(line) {
                // A path of std, mirrored: `std::os::unix::net`, `crate::os::unix`; or one of tokio, mio or
                // socket2, who call a family of sockets so.
                let is_a_path = ["os::", "mio::", "tokio::net::", "SockAddr::"]
                    .iter()
                    .any(|path| before.ends_with(path));
                // docs.rs's own attributes name no system.
                let is_docs = before.ends_with("#![") && line.contains("docsrs");
                if SYSTEMS.contains(&word) && !is_a_path || CFG.contains(&word) && !is_docs {
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
            || file == "raw.rs"
            || file.starts_with("raw/")
            // The features that call C, or implement an unsafe trait.
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
        let mut text = fs::read_to_string(root.join(&file)).unwrap();
        text.retain(|c| !c.is_whitespace());
        let allowed_whole = text.contains("#![allow(unsafe_code,reason=");
        let allowed_in_macro = text.contains("#[allow(unsafe_code)]//");
        assert!(allowed_whole || allowed_in_macro, "src/{file}: allow unsafe_code with a reason");
    }
}

#[test]
fn the_strippers_strip() {
    let stripped = code("let a = \"unsafe // \\\" x\"; // windows\n/// linux\nunix();");
    assert_eq!(stripped, ["let a = ; ", "", "unix();"]);
    let found: Vec<_> = words("std::os::unix::x").into_iter().map(|(_, word)| word).collect();
    assert_eq!(found, ["std", "os", "unix", "x"]);
}
