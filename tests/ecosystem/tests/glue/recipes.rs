//! `docs/recipes.md` shows the programs that are played here, and its table shows the results.
//! `docs/programs.md` and `docs/bindings.md` show those of `guide/`, which are compiled here.

use crate::scene::harness::Trial;

const RECIPES: &str = include_str!("../../../../docs/recipes.md");
const PROGRAMS_PAGE: &str = include_str!("../../../../docs/programs.md");
const BINDINGS: &str = include_str!("../../../../docs/bindings.md");

/// In the order in which the page shows them.
const PROGRAMS: [&str; 13] = [
    include_str!("programs/tcp_proxy.rs"),
    include_str!("programs/unix_server.rs"),
    include_str!("programs/axum.rs"),
    include_str!("programs/hyper.rs"),
    include_str!("programs/hyper_util.rs"),
    include_str!("programs/tonic_server.rs"),
    include_str!("programs/tonic_client.rs"),
    include_str!("programs/reqwest.rs"),
    include_str!("programs/reqwest_blocking.rs"),
    include_str!("programs/redis.rs"),
    include_str!("programs/tokio_postgres.rs"),
    include_str!("programs/tokio_tungstenite.rs"),
    include_str!("programs/ureq.rs"),
];

/// Those of the page for programs, and then of the guide for bindings.
const GUIDE: [&str; 3] = [
    include_str!("guide/tracing.rs"),
    include_str!("guide/env_logger.rs"),
    include_str!("guide/runtime.rs"),
];

/// The code of a page that its doctests leave out, because the root lacks the crates.
fn shown(page: &'static str) -> Vec<&'static str> {
    let blocks = page.split("```rust,ignore\n").skip(1);
    blocks.map(|block| block.split_once("```").unwrap().0).collect()
}

/// The scenes that the table's rows name, by their second and last columns.
fn named() -> Vec<String> {
    let (_, section) = RECIPES.split_once("## Programs that were run\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    let scenes = rows.flat_map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let scene = cells[3].trim_matches('`');
        let bare = match cells[1] {
            "**killed**" => ": control",
            "lives" => ", bare",
            other => panic!("unknown result {other} in the row {row}"),
        };
        [scene.to_owned(), format!("{scene}{bare}")]
    });
    scenes.collect()
}

pub fn trials(scenes: &[String]) -> Vec<Trial> {
    let named = named();
    let missing: Vec<_> = named.iter().filter(|name| !scenes.contains(name)).cloned().collect();
    let is_killed = |name: &&String| name.ends_with(": control");
    let killed = named.iter().filter(is_killed).count();
    let controls = scenes.iter().filter(is_killed).count();
    vec![
        Trial::test("the recipes are the programs that are played", || {
            assert_eq!(
                shown(RECIPES),
                PROGRAMS.map(|program| program.replace("super::", "epipe::"))
            );
            Ok(())
        }),
        Trial::test("the guide shows programs that compile", || {
            assert_eq!([shown(PROGRAMS_PAGE), shown(BINDINGS)].concat(), GUIDE);
            Ok(())
        }),
        Trial::test("the guide's runtime runs a program", || {
            Ok(crate::guide::runtime::run(async { Ok(()) })?)
        }),
        Trial::test("the recipes' table has the result of each program", move || {
            assert!(missing.is_empty(), "the table names scenes that do not exist: {missing:#?}");
            assert_eq!(killed, controls, "the table lacks a program");
            Ok(())
        }),
    ]
}
