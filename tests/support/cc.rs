//! Builds the C files of the tests.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The path of the built file, or why it cannot be built here. Options that name libraries come
/// last in the command.
pub fn build(
    source: &str,
    name: &str,
    options: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<PathBuf, String> {
    // Other packages of this workspace also use this file.
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|directory| directory.join(source))
        .find(|source| source.exists())
        .ok_or("the source is not here")?;
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // Another process may have the old file loaded, or may build the same file.
    let new = built.with_extension(std::process::id().to_string());
    // `ci/foreign` names a compiler that builds for another processor.
    let compiler = std::env::var_os("EPIPE_CC").unwrap_or("cc".into());
    let output = Command::new(compiler)
        .arg("-o")
        .arg(&new)
        .arg(source)
        .args(options)
        // The library must not be loaded into the compiler.
        .env_remove("LD_PRELOAD")
        .output()
        .map_err(|error| format!("cc: {error}"))?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::rename(&new, &built).unwrap();
    Ok(built)
}
