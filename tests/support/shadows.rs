//! Finds, in the source of another crate, the methods of a type that write or make a stream. A type
//! of ours that lends that type must replace them.

use std::path::PathBuf;

use crate::cargo::{cargo, printed};

/// The directory of a dependency, by its name and the beginning of its version: `tokio-1.`.
pub fn directory(begins: &str) -> PathBuf {
    let version = printed(cargo().arg("-vV"));
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    // Only this platform: a fresh machine has not fetched the crates of others.
    let metadata = ["metadata", "--format-version=1", "--offline", "--filter-platform", host];
    let said = printed(cargo().args(metadata));
    let mut manifests = said.split('"').filter_map(|word| word.strip_suffix("/Cargo.toml"));
    let is_it = |path: &&str| path.rsplit('/').next().unwrap().starts_with(begins);
    manifests.find(is_it).expect("cargo names the directory").into()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// The public methods of a type in a source. They have `write` or `send` in their names, or return
/// the type or one of `gives`.
pub fn methods<'a>(source: &'a str, of: &str, gives: &[&str]) -> Vec<&'a str> {
    let mut found = Vec::new();
    for block in source.split("\nimpl").skip(1) {
        let Some((head, body)) = block.split_once('{') else { continue };
        if words(head).any(|word| word == "for") || !words(head).any(|word| word == of) {
            continue;
        }
        let body = body.split("\n}").next().unwrap();
        // A comment may also have this word, but without `fn` after it.
        for item in body.split(" pub ").skip(1) {
            let signature = item.split('{').next().unwrap();
            let is_fn = ["fn ", "async fn ", "unsafe fn ", "const fn "];
            if !is_fn.iter().any(|begin| signature.starts_with(begin)) {
                continue;
            }
            let name = words(signature.split_once("fn ").unwrap().1).next().unwrap();
            let answer = signature.rsplit_once("->").map_or("", |(_, answer)| answer);
            let is_given = |word| word == "Self" || word == of || gives.contains(&word);
            if name.contains("write") || name.starts_with("send") || words(answer).any(is_given) {
                found.push(name);
            }
        }
    }
    found
}
