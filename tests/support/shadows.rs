//! The methods of another crate's type that write or make a stream, by its source: those that a
//! type of ours which lends it must replace.

use std::path::PathBuf;

use crate::cargo::{cargo, printed};

/// The folder of a dependency, of its name and the beginning of its version: `tokio-1.`.
pub fn folder(begins: &str) -> PathBuf {
    let version = printed(cargo().arg("-vV"));
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    // Of this platform alone: a fresh machine has not fetched the crates of others.
    let metadata = ["metadata", "--format-version=1", "--offline", "--filter-platform", host];
    let said = printed(cargo().args(metadata));
    let mut manifests = said.split('"').filter_map(|word| word.strip_suffix("/Cargo.toml"));
    let is_it = |folder: &&str| folder.rsplit('/').next().unwrap().starts_with(begins);
    manifests.find(is_it).expect("cargo names the folder").into()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// The public methods of a type, in a source, that write or send by their name, or whose answer
/// names the type itself or one of `gives`.
pub fn methods<'a>(source: &'a str, of: &str, gives: &[&str]) -> Vec<&'a str> {
    let mut found = Vec::new();
    for block in source.split("\nimpl").skip(1) {
        let Some((head, body)) = block.split_once('{') else { continue };
        if words(head).any(|word| word == "for") || !words(head).any(|word| word == of) {
            continue;
        }
        let body = body.split("\n}").next().unwrap();
        // A comment may have the word too, but no `fn` after it.
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
