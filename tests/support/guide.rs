//! The guide's last table names a scene for every row that kills: they exist.

#![allow(dead_code, reason = "each test binary asks for its own names")]

use crate::scene::harness::Trial;

const GUIDE: &str = include_str!("../../docs/bindings.md");

/// The scenes in the last column of the table.
fn named() -> Vec<&'static str> {
    let (_, table) = GUIDE.split_once("## Every row that kills").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| "));
    let scenes = rows.skip(1).flat_map(|row| {
        let cells = row.trim_end_matches(" |").rsplit_once(" | ").unwrap();
        cells.1.split('`').skip(1).step_by(2)
    });
    scenes.collect()
}

/// What the names of those scenes begin with that `tests/ecosystem` plays; some follow a break.
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

/// All others are the root's: a name that belongs nowhere is missing there.
pub fn is_of_the_root(name: &str) -> bool {
    !is_of_the_ecosystem(name) && !is_of_openssl(name)
}

/// Whether those of the named scenes that are `ours` are among these.
pub fn trial(scenes: &[String], ours: fn(&str) -> bool) -> Trial {
    let named: Vec<_> = named().into_iter().filter(|name| ours(name)).collect();
    let missing: Vec<_> = named
        .iter()
        .filter(|name| !scenes.iter().any(|scene| scene == **name))
        .map(ToString::to_string)
        .collect();
    let found_any = !named.is_empty();
    Trial::test("the guide names scenes that exist", move || {
        assert!(found_any, "no table");
        if missing.is_empty() {
            return Ok(());
        }
        Err(format!("docs/bindings.md names what is no scene: {missing:#?}").into())
    })
}
