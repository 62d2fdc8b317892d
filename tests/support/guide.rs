//! `docs/what-dies.md` names a scene for every call that dies. Each of these scenes exists.

#![allow(dead_code, reason = "each test binary asks for its own names")]

use crate::scene::harness::Trial;

const PAGE: &str = include_str!("../../docs/what-dies.md");

/// The scenes in the last column of the table.
fn named() -> Vec<&'static str> {
    let (_, table) = PAGE.split_once("## Call by call").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| "));
    let scenes = rows.skip(1).flat_map(|row| {
        let cells = row.trim_end_matches(" |").rsplit_once(" | ").unwrap();
        cells.1.split('`').skip(1).step_by(2)
    });
    scenes.collect()
}

/// The first words of the scenes that `tests/ecosystem` plays. In some names they stand after the
/// name of a break.
#[rustfmt::skip]
const ECOSYSTEM: [&str; 15] = [
    "async-io ", "async-process ", "env_logger ", "foreign ", "hyper ", "io_uring", "mio ", "nix ",
    "os_pipe ", "rustix::", "rustls ", "smol ", "tokio ", "tokio-rustls ", "tracing ",
];

/// Whether `tests/ecosystem` plays a scene of this name.
pub fn is_of_the_ecosystem(name: &str) -> bool {
    name.split(": ").any(|part| ECOSYSTEM.iter().any(|begin| part.starts_with(begin)))
}

/// Whether `crates/epipe-openssl/tests` plays it.
pub fn is_of_openssl(name: &str) -> bool {
    name.starts_with("openssl ")
}

/// All other names: a name that no package plays counts as missing from the root package.
pub fn is_of_the_root(name: &str) -> bool {
    !is_of_the_ecosystem(name) && !is_of_openssl(name)
}

/// Checks that `scenes` has every scene of the page that is `ours`.
pub fn trial(scenes: &[String], ours: fn(&str) -> bool) -> Trial {
    let named: Vec<_> = named().into_iter().filter(|name| ours(name)).collect();
    let missing: Vec<_> = named
        .iter()
        .filter(|name| !scenes.iter().any(|scene| scene == **name))
        .map(ToString::to_string)
        .collect();
    let found_any = !named.is_empty();
    Trial::test("docs/what-dies.md names scenes that exist", move || {
        assert!(found_any, "no table");
        if missing.is_empty() {
            return Ok(());
        }
        Err(format!("docs/what-dies.md names scenes that do not exist: {missing:#?}").into())
    })
}
