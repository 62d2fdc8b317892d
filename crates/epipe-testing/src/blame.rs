//! Which function of a stack is to blame. (`tests/testing/watch.rs` includes this file.)

use std::path::Path;

/// It belongs neither to std nor to glibc: by its file, or without one by its name.
pub(super) fn is_to_blame(function: Option<&str>, file: Option<&Path>) -> bool {
    match file {
        Some(file) => !is_of_std(file),
        None => function.is_some_and(is_of_a_crate),
    }
}

/// As rustc names std, as it stands in an installed `rust-src`, and as distributions build glibc:
/// in its source's root, `./misc/writev.c` or, from one of its folders,
/// `../sysdeps/unix/sysv/linux/write.c`.
fn is_of_std(file: &Path) -> bool {
    let name = file.to_string_lossy();
    let of_glibc = ["csu", "debug", "io", "misc", "nptl", "socket", "sysdeps"];
    let in_source = name.strip_prefix("./").or_else(|| name.strip_prefix("../"));
    let folder = in_source.and_then(|name| name.split('/').next());
    name.starts_with("/rustc/")
        || name.contains("/lib/rustlib/src/rust/library/")
        || name.contains("/glibc-")
        || folder.is_some_and(|folder| of_glibc.contains(&folder))
}

/// std's crates, and what rustc calls its own symbols.
const STD: [&str; 7] = ["__rustc", "alloc", "core", "panic_abort", "panic_unwind", "std", "test"];

/// Whether this is a path of Rust with a crate in it that is not std: `mini::request`,
/// `<mini::Client as std::io::Write>::write`, but not `<&mut W as core::fmt::Write>::write_str`.
fn is_of_a_crate(function: &str) -> bool {
    function.split(" as ").any(|path| {
        let path = path.trim_start_matches(['<', '&', '*', '[', '(']);
        let path = path.strip_prefix("mut ").unwrap_or(path);
        path.split_once("::").is_some_and(|(name, _)| !STD.contains(&name))
    })
}
