//! Builds the libraries that are loaded before libc: the liars of `tests/liars/`, and the models of
//! `tests/kernels/`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

#[path = "cc.rs"]
mod cc;

/// One library: how its trials call it, and what it is built of and with.
#[derive(Clone, Debug)]
pub struct Liar {
    pub name: String,
    source: &'static str,
    definitions: Vec<String>,
}

impl Liar {
    /// One that strips the flag in silence; `definitions` as the source lists them.
    pub fn strips(what: &str, definitions: &[&str]) -> Liar {
        Liar {
            name: format!("strips {what}"),
            source: "tests/liars/preload.c",
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

    /// The model of a kernel, by its name in the source.
    #[allow(dead_code, reason = "tests/build_script.rs needs none")]
    pub fn model(kernel: &str) -> Liar {
        Liar {
            name: format!("model of {kernel}"),
            source: "tests/kernels/model.c",
            definitions: vec![format!("KERNEL={kernel}")],
        }
    }

    /// The library's path, or why there is no C compiler here. Built once in each run of the tests.
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
