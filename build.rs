//! The build script has two tasks:
//!
//! 1. It finds the target's row in THE table (`src/sys/table.rs`), and passes it on as `cfg`s.
//! 2. It refuses techniques, each with a warning:
//!    * those that the packager names: by `EPIPE_REFUSE="send_flag,write_flag"` in the environment,
//!      or by `--cfg epipe_refused="send_flag"` in `RUSTFLAGS`;
//!    * those that are known not to work on the target: it lacks the constant, or rejects the flag;
//!    * a flag that is silently ignored on this machine, if this machine is the target.
//!
//! If `EPIPE_REFUSE` is set and empty, it does not do the last two. A test that cannot be made (in
//! a sandbox, without loopback) refuses nothing. Neither does a flag that this kernel rejects: the
//! user may have another kernel, and at run time a call falls back to the next technique.
//!
//! For tests, `EPIPE_SYSTEM=apple` (or another of [`MODELLED`]) gives a Linux build the row of that
//! system: see `tests/kernels`.

use std::env;
use std::process::ExitCode;

use sys::table::{TABLE, Target};
use sys::technique::{Call, Technique};

/// The files that it shares with the library. Redox (as the host, not the target) has no flag to
/// test.
#[allow(dead_code, reason = "the library needs more of it")]
#[allow(unexpected_cfgs, reason = "the cfgs that this script prints are not its own")]
#[path = "src/sys"]
mod sys {
    #[cfg(all(unix, not(target_os = "redox")))]
    pub mod call;
    #[cfg(target_os = "linux")]
    mod constant;
    #[cfg(all(unix, not(target_os = "redox")))]
    pub mod probe;
    #[cfg(all(unix, not(target_os = "redox")))]
    pub mod signal;
    pub mod table;
    pub mod technique;
}

/// The flags that this machine silently ignores, each with the call that showed it.
#[cfg(all(unix, not(target_os = "redox")))]
fn silently_ignored() -> Vec<(Technique, Call)> {
    use sys::{probe, signal};

    // The signal stays blocked: this process is the script's own.
    if signal::block().is_err() {
        return Vec::new();
    }
    // Rust starts with the signal ignored, and some systems do not queue an ignored signal.
    #[allow(unsafe_code, reason = "std cannot set a disposition")]
    // SAFETY: the default action is a valid disposition.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL)
    };
    let mut found = Vec::new();
    if let Ok(Some(call)) = probe::send_flag() {
        found.push((Technique::SendFlag, call));
    }
    #[cfg(target_os = "linux")]
    if let Ok(Some(call)) = probe::write_flag() {
        found.push((Technique::WriteFlag, call));
    }
    found
}

#[cfg(not(all(unix, not(target_os = "redox"))))]
fn silently_ignored() -> Vec<(Technique, Call)> {
    Vec::new()
}

/// How to use a technique that this script has refused, and not the packager.
const TRUST_THE_TABLE: &str = "to trust it anyway, build with EPIPE_REFUSE set to an empty value";

/// The script. `tests/build_script.rs` also calls it.
pub fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=src/sys");
    println!("cargo::rerun-if-changed=build.rs");
    // A library that is loaded before libc may ignore a flag.
    println!("cargo::rerun-if-env-changed=LD_PRELOAD");
    println!("cargo::rerun-if-env-changed=EPIPE_REFUSE");
    println!("cargo::rerun-if-env-changed=EPIPE_SYSTEM");
    let target = target();
    if let Some(error) = why_not_forced(&target) {
        println!("cargo::error={error}");
        return ExitCode::FAILURE;
    }
    pass_on_the_row(&target);

    let values = quoted(&Technique::REFUSABLE.map(Technique::name));
    println!("cargo::rustc-check-cfg=cfg(epipe_refused, values({values}))");
    let word = env::var_os("EPIPE_REFUSE").map(|word| word.to_string_lossy().into_owned());
    let mut refused = Vec::new();
    if let Err(error) = packagers_word(&mut refused, word.as_deref()) {
        println!("cargo::error={error}");
        return ExitCode::FAILURE;
    }
    if word.is_none_or(|word| !word.trim().is_empty()) {
        known_targets(&mut refused, &target);
        if env::var_os("HOST") == env::var_os("TARGET") {
            for (technique, call) in silently_ignored() {
                let why = format!("on this machine {call} raises SIGPIPE in spite of its flag");
                refuse(&mut refused, technique, &why, TRUST_THE_TABLE);
            }
        }
    }
    ExitCode::SUCCESS
}

fn target() -> Target {
    let word = |name: &str| env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    Target {
        os: word("OS"),
        vendor: word("VENDOR"),
        env: word("ENV"),
        arch: word("ARCH"),
        pointer_width: word("POINTER_WIDTH"),
        is_unix: env::var_os("CARGO_CFG_UNIX").is_some(),
        forced: env::var("EPIPE_SYSTEM").ok(),
    }
}

/// The systems that have a model, `tests/kernels/model.c`.
const MODELLED: [&str; 4] = ["apple", "freebsd", "netbsd", "openbsd"];

/// Why the target cannot have the row of another system.
fn why_not_forced(target: &Target) -> Option<String> {
    let system = target.forced.as_deref()?;
    if !MODELLED.contains(&system) {
        let known = MODELLED.join(", ");
        Some(format!("EPIPE_SYSTEM: there is no model of {system:?}; the models are {known}"))
    } else if target.os != "linux" || target.pointer_width != "64" {
        Some("EPIPE_SYSTEM is only for tests, whose models need 64-bit Linux; unset it".into())
    } else {
        None
    }
}

fn pass_on_the_row(target: &Target) {
    let mut kernels = Vec::new();
    for row in TABLE {
        kernels.extend_from_slice(row.kernels);
    }
    println!("cargo::rustc-check-cfg=cfg(kernel, values({}))", quoted(&kernels));
    if kernels.contains(&target.kernel()) {
        println!("cargo::rustc-cfg=kernel=\"{}\"", target.kernel());
    }
    for (name, holds) in target.cfgs() {
        println!("cargo::rustc-check-cfg=cfg({name})");
        if holds {
            println!("cargo::rustc-cfg={name}");
        }
    }
}

fn quoted(words: &[&str]) -> String {
    format!("\"{}\"", words.join("\", \""))
}

/// Refuses a technique. Only the first call for a technique prints a warning.
fn refuse(refused: &mut Vec<Technique>, technique: Technique, why: &str, overrule: &str) {
    if !refused.contains(&technique) {
        refused.push(technique);
        println!("cargo::rustc-cfg=epipe_refused=\"{technique}\"");
        println!("cargo::warning=the technique `{technique}` is refused: {why}; {overrule}");
    }
}

fn packagers_word(refused: &mut Vec<Technique>, word: Option<&str>) -> Result<(), String> {
    for name in word.unwrap_or_default().split(',') {
        if !name.trim().is_empty() {
            refuse_by_name(refused, name, "EPIPE_REFUSE", "unset it to overrule")?;
        }
    }
    // Cargo joins the values of one cfg name with commas. rustc does not check them. An empty value
    // is an error.
    if let Ok(names) = env::var("CARGO_CFG_EPIPE_REFUSED") {
        let overrule = "remove it from the compiler's flags to overrule";
        for name in names.split(',') {
            refuse_by_name(refused, name, "--cfg epipe_refused", overrule)?;
        }
    }
    Ok(())
}

fn refuse_by_name(
    refused: &mut Vec<Technique>,
    name: &str,
    source: &str,
    overrule: &str,
) -> Result<(), String> {
    let name = name.trim();
    for technique in Technique::REFUSABLE {
        if technique.name() == name {
            refuse(refused, technique, &format!("{source} says so"), overrule);
            return Ok(());
        }
    }
    let techniques = Technique::REFUSABLE.map(Technique::name).join(", ");
    Err(format!(
        "{source}: {name:?} is not a technique that can be refused; these can: {techniques}"
    ))
}

/// Constants that headers or bindings define and the system lacks, and flags that it rejects. Each
/// has the target's `target_os` or `target_env`, and the reason.
const WRONG_CONSTANTS: [(&str, Technique, &str); 3] = [
    (
        "newlib",
        Technique::SocketOption,
        "the libc crate defines SO_NOSIGPIPE for newlib, but most systems lack it",
    ),
    ("espidf", Technique::SendFlag, "lwIP reports EOPNOTSUPP for MSG_NOSIGNAL in sendmsg"),
    ("wasi", Technique::SendFlag, "WASI reports EOPNOTSUPP for MSG_NOSIGNAL (preview 2 on UDP)"),
];

fn known_targets(refused: &mut Vec<Technique>, target: &Target) {
    for (name, technique, why) in WRONG_CONSTANTS {
        if target.os == name || target.env == name {
            refuse(refused, technique, why, TRUST_THE_TABLE);
        }
    }
}
