//! `docs/recipes.md` shows the programs that are played here, and its table what became of them.

use crate::scene::harness::Trial;

const RECIPES: &str = include_str!("../../../../docs/recipes.md");

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

/// The code of the page.
fn shown() -> Vec<&'static str> {
    let blocks = RECIPES.split("```rust\n").skip(1);
    blocks.map(|block| block.split_once("```").unwrap().0).collect()
}

/// The scenes that the table's rows speak of, by their last two columns.
fn named() -> Vec<String> {
    let rows = RECIPES.lines().filter(|line| line.starts_with("| ")).skip(1);
    let scenes = rows.flat_map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let scene = cells[3].trim_matches('`');
        let bare = match cells[1] {
            "**killed**" => ": control",
            "lives" => ", bare",
            other => panic!("{other} in the row {row}"),
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
            let shown = shown();
            assert_eq!(shown.len(), PROGRAMS.len());
            for (shown, program) in shown.into_iter().zip(PROGRAMS) {
                assert_eq!(shown, program.replace("super::", "epipe::"));
            }
            Ok(())
        }),
        Trial::test("the recipes' table says what became of each program", move || {
            assert!(missing.is_empty(), "no such scenes: {missing:#?}");
            assert_eq!(killed, controls, "a program is missing in the table");
            Ok(())
        }),
    ]
}
