//! Builds the liars of `tests/liars/`: libraries that are loaded before libc.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// One liar: how its trials call it, and what it is built with.
#[derive(Clone, Debug)]
pub struct Liar {
    pub name: String,
    definitions: Vec<String>,
}

impl Liar {
    /// One that strips the flag in silence; `definitions` as the source lists them.
    pub fn strips(what: &str, definitions: &[&str]) -> Liar {
        Liar {
            name: format!("strips {what}"),
            definitions: definitions.iter().map(|&word| word.into()).collect(),
        }
    }

    /// One that rejects the flag by an error.
    pub fn rejects(what: &str, error: &str, definitions: &[&str]) -> Liar {
        let mut liar = Liar::strips(what, definitions);
        liar.name = format!("rejects {what} by {error}");
        liar.definitions.push(format!("REJECTS={error}"));
        liar
    }

    /// The library's path, or why there is no C compiler here. Built once in each run of the tests.
    pub fn build(&self) -> Result<PathBuf, String> {
        static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
        let mut built = BUILT.lock().unwrap();
        if let Some(library) = built.get(&self.name) {
            return Ok(library.clone());
        }
        // Other packages of this workspace use this file too.
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .map(|folder| folder.join("tests/liars/preload.c"))
            .find(|source| source.exists())
            .ok_or("the library's source is not here")?;
        let name = self.name.replace(' ', "-");
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.so"));
        // Another process may have the old one loaded, or make the same.
        let new = library.with_extension(std::process::id().to_string());
        let output = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(&new)
            .args(self.definitions.iter().map(|word| format!("-D{word}")))
            .arg(source)
            .arg("-ldl")
            // The compiler itself must not be lied to.
            .env_remove("LD_PRELOAD")
            .output()
            .map_err(|error| format!("cc: {error}"))?;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        std::fs::rename(&new, &library).unwrap();
        built.insert(self.name.clone(), library.clone());
        Ok(library)
    }
}
