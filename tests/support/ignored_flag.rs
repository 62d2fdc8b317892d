//! Builds the libraries that are loaded before libc: the one of `tests/ignored_flags/`, which
//! ignores or rejects a flag, and the models of `tests/kernels/`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

#[path = "cc.rs"]
mod cc;

/// One library: its name in the tests, its source, and the definitions for the compiler.
#[derive(Clone, Debug)]
pub struct Preload {
    pub name: String,
    source: &'static str,
    definitions: Vec<String>,
}

impl Preload {
    /// A library that silently strips the flag. Its source lists the `definitions`.
    pub fn strips(what: &str, definitions: &[&str]) -> Preload {
        Preload {
            name: format!("strips {what}"),
            source: "tests/ignored_flags/preload.c",
            definitions: definitions.iter().map(|&word| word.into()).collect(),
        }
    }

    /// A library that rejects the flag by an error.
    pub fn rejects(what: &str, error: &str, definitions: &[&str]) -> Preload {
        let mut preload = Preload::strips(what, definitions);
        preload.name = format!("rejects {what} by {error}");
        preload.definitions.push(format!("REJECTS={error}"));
        preload
    }

    /// The model of a kernel, by its name in the source.
    #[allow(dead_code, reason = "tests/build_script.rs needs none")]
    pub fn model(kernel: &str) -> Preload {
        Preload {
            name: format!("model of {kernel}"),
            source: "tests/kernels/model.c",
            definitions: vec![format!("KERNEL={kernel}")],
        }
    }

    /// The library's path, or why there is no C compiler here. Each run of the tests builds it
    /// once.
    pub fn build(&self) -> Result<PathBuf, String> {
        static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
        let mut built = BUILT.lock().unwrap();
        if let Some(library) = built.get(&self.name) {
            return Ok(library.clone());
        }
        let definitions = self.definitions.iter().map(|word| format!("-D{word}"));
        let options = ["-shared", "-fPIC", "-ldl"].map(String::from).into_iter().chain(definitions);
        let name = format!("{}.so", self.name.replace(' ', "-"));
        let library = cc::build(self.source, &name, options)?;
        built.insert(self.name.clone(), library.clone());
        Ok(library)
    }
}
