//! Finds the function to blame in a stack. (`tests/kit/watch.rs` includes this file.)

use std::path::Path;

/// Whether a function belongs neither to std nor to glibc. Its file decides; without one, its name.
pub(super) fn is_to_blame(function: Option<&str>, file: Option<&Path>) -> bool {
    match file {
        Some(file) => !is_of_std_or_glibc(file),
        None => function.is_some_and(is_of_a_crate),
    }
}

/// Whether this file is std's or glibc's.
///
/// std's paths are those that rustc writes, or those of an installed `rust-src`. Distributions
/// build glibc in the root of its source (`./misc/writev.c`), or from one of its directories
/// (`../sysdeps/unix/sysv/linux/write.c`).
fn is_of_std_or_glibc(file: &Path) -> bool {
    let name = file.to_string_lossy();
    let of_glibc = ["csu", "debug", "io", "misc", "nptl", "socket", "sysdeps"];
    let in_source = name.strip_prefix("./").or_else(|| name.strip_prefix("../"));
    let directory = in_source.and_then(|name| name.split('/').next());
    name.starts_with("/rustc/")
        || name.contains("/lib/rustlib/src/rust/library/")
        || name.contains("/glibc-")
        || directory.is_some_and(|directory| of_glibc.contains(&directory))
}

/// std's crates, and the name that rustc gives to its own symbols.
const STD: [&str; 7] = ["__rustc", "alloc", "core", "panic_abort", "panic_unwind", "std", "test"];

/// Whether this is a Rust path that names a crate other than std.
///
/// `mini::request` and `<mini::Client as std::io::Write>::write` do.
/// `<&mut W as core::fmt::Write>::write_str` does not.
fn is_of_a_crate(function: &str) -> bool {
    function.split(" as ").any(|path| {
        let path = path.trim_start_matches(['<', '&', '*', '[', '(']);
        let path = path.strip_prefix("mut ").unwrap_or(path);
        path.split_once("::").is_some_and(|(name, _)| !STD.contains(&name))
    })
}
