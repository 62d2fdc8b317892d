//! Takes trust away from techniques of THE table (`src/sys/mod.rs`); it never gives any. Without this
//! script the crate is still right on honest systems.
//!
//! For three reasons, in this order:
//! 1. the packager's word: `EPIPE_REFUSE="send_flag,write_flag"` in the environment, or
//!    `--cfg epipe_refused="send_flag"` in `RUSTFLAGS`;
//! 2. known liars, by the target's name;
//! 3. behaviour, where this machine is the target: a flag that does not keep the signal away.
//!
//! `EPIPE_REFUSE` set to nothing turns 2 and 3 off. What cannot be asked (a sandbox, no
//! loopback) takes nothing away; neither does a flag that is rejected: the kernel of the build is
//! not the user's, and at run time a call falls to the next technique.

use std::env;
use std::process::ExitCode;

use sys::technique::Technique;

#[allow(dead_code, reason = "the library needs more of it")]
#[path = "src/sys"]
mod sys {
    pub mod technique;

    cfg_if::cfg_if! {
        // Where a flag can be asked about, and Rust builds natively. This is the machine that runs
        // the script, not the target.
        if #[cfg(any(
            target_vendor = "apple",
            target_os = "android",
            target_os = "dragonfly",
            target_os = "freebsd",
            target_os = "haiku",
            target_os = "illumos",
            target_os = "linux",
            target_os = "netbsd",
            target_os = "openbsd",
            target_os = "solaris",
        ))] {
            mod call;
            #[cfg(target_os = "linux")]
            mod constant;
            mod probe;
            mod signal;

            use technique::{Call, Technique};

            /// The techniques that lie on this machine, each with the call that showed it.
            pub fn liars() -> Vec<(Technique, Call)> {
                // For good: this process is the script's own.
                if signal::block().is_err() {
                    return Vec::new();
                }
                // Rust starts with the signal ignored, and some systems queue no ignored signal.
                #[allow(unsafe_code, reason = "a disposition has no safe form")]
                // SAFETY: the default action is a valid disposition.
                unsafe {
                    libc::signal(libc::SIGPIPE, libc::SIG_DFL)
                };
                let answers = [
                    (Technique::SendFlag, probe::send_flag()),
                    #[cfg(target_os = "linux")]
                    (Technique::WriteFlag, probe::write_flag()),
                ];
                let lies = answers.into_iter().filter_map(|(technique, answer)| Some((technique, answer.ok()??)));
                lies.collect()
            }
        } else {
            pub fn liars() -> Vec<(technique::Technique, technique::Call)> {
                Vec::new()
            }
        }
    }
}

/// How to say that a liar is none.
const TRUST_THE_TABLE: &str = "to trust it all the same, build with EPIPE_REFUSE set to nothing";
/// The same where the table has no use for the technique.
const NOTHING_LOST: &str =
    "no call needs it there; to overrule, build with EPIPE_REFUSE set to nothing";

/// The oldest releases that honour MSG_NOSIGNAL; older ones ignore it in silence (xnu-6153 has no
/// such flag, xnu-7195 has).
const SEND_FLAG_SINCE: [(&str, &str, u32); 4] = [
    ("macos", "MACOSX_DEPLOYMENT_TARGET", 11),
    ("ios", "IPHONEOS_DEPLOYMENT_TARGET", 14),
    ("tvos", "TVOS_DEPLOYMENT_TARGET", 14),
    ("watchos", "WATCHOS_DEPLOYMENT_TARGET", 7),
];

/// What this script has refused so far.
struct Refused(Vec<Technique>);

impl Refused {
    /// Refuses a technique, and says so once.
    fn add(&mut self, technique: Technique, why: &str, overrule: &str) {
        if !self.0.contains(&technique) {
            self.0.push(technique);
            println!("cargo::rustc-cfg=epipe_refused=\"{technique}\"");
            println!("cargo::warning=the technique `{technique}` is refused: {why}; {overrule}");
        }
    }
}

/// The script. `tests/build_script.rs` calls it too.
pub fn main() -> ExitCode {
    for file in ["call", "constant", "probe", "technique", "signal"] {
        println!("cargo::rerun-if-changed=src/sys/{file}.rs");
    }
    println!("cargo::rerun-if-changed=build.rs");
    // A library that is loaded before libc may lie.
    for variable in ["EPIPE_REFUSE", "LD_PRELOAD"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    for (_, variable, _) in SEND_FLAG_SINCE {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let values = Technique::REFUSABLE
        .map(|technique| format!("\"{technique}\""))
        .join(", ");
    println!("cargo::rustc-check-cfg=cfg(epipe_refused, values({values}))");

    let word = env::var_os("EPIPE_REFUSE").map(|word| word.to_string_lossy().into_owned());
    let mut refused = Refused(Vec::new());
    if let Err(error) = packagers_word(&mut refused, word.as_deref()) {
        println!("cargo::error={error}");
        return ExitCode::FAILURE;
    }
    if word.is_none_or(|word| !word.trim().is_empty()) {
        known_liars(&mut refused);
        if env::var_os("HOST") == env::var_os("TARGET") {
            for (technique, call) in sys::liars() {
                let why = format!("on this machine {call} raises SIGPIPE in spite of its flag");
                refused.add(technique, &why, TRUST_THE_TABLE);
            }
        }
    }
    ExitCode::SUCCESS
}

fn packagers_word(refused: &mut Refused, word: Option<&str>) -> Result<(), String> {
    let from_environment = word
        .unwrap_or_default()
        .split(',')
        .filter(|name| !name.trim().is_empty())
        .map(|name| (name, "EPIPE_REFUSE", "unset it to overrule"));
    // Cargo joins the values of one cfg name with commas; rustc itself never checks them. An empty
    // one is a slip of the pen.
    let cfg = env::var("CARGO_CFG_EPIPE_REFUSED").ok();
    let from_cfg = cfg.iter().flat_map(|names| names.split(',')).map(|name| {
        let overrule = "take it out of the compiler's flags to overrule";
        (name, "--cfg epipe_refused", overrule)
    });
    for (name, source, overrule) in from_environment.chain(from_cfg) {
        let name = name.trim();
        let known = Technique::REFUSABLE
            .into_iter()
            .find(|technique| technique.to_string() == name);
        let Some(technique) = known else {
            return Err(format!(
                "{source}: {name:?} is no technique that can be refused; the techniques are {}",
                Technique::REFUSABLE
                    .map(|technique| technique.to_string())
                    .join(", ")
            ));
        };
        refused.add(technique, &format!("{source} says so"), overrule);
    }
    Ok(())
}

/// Constants that headers or bindings define and the system lacks, and flags that it rejects or
/// is too old for.
fn known_liars(refused: &mut Refused) {
    let of_target = |what: &str| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    let (os, libc) = (of_target("OS"), of_target("ENV"));

    if libc == "newlib" {
        let why = "the libc crate defines SO_NOSIGPIPE for all of newlib, and most systems lack it";
        refused.add(Technique::SocketOption, why, NOTHING_LOST);
    }
    if os == "espidf" {
        let why = "lwIP answers EOPNOTSUPP to MSG_NOSIGNAL in sendmsg";
        refused.add(Technique::SendFlag, why, NOTHING_LOST);
    }
    if os == "wasi" {
        let why = "WASI answers EOPNOTSUPP to MSG_NOSIGNAL (preview 1: always; preview 2: on UDP)";
        refused.add(Technique::SendFlag, why, NOTHING_LOST);
    }
    for (system, variable, since) in SEND_FLAG_SINCE {
        let target = env::var(variable).unwrap_or_default();
        let major = target
            .split('.')
            .next()
            .and_then(|major| major.trim().parse::<u32>().ok());
        if os == system && major.is_some_and(|major| major < since) {
            let why =
                format!("{variable} is {target:?}, and MSG_NOSIGNAL is ignored before {since}");
            refused.add(Technique::SendFlag, &why, TRUST_THE_TABLE);
        }
    }
}
