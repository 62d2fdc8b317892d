//! All scenes of a program once more, where the system ignores a flag silently or rejects it: by a
//! library that is loaded before libc, or by a seccomp filter. `tests/ecosystem` plays its own so.

use std::env;
use std::process::ExitCode;
use std::sync::OnceLock;

use epipe::verify;
use epipe::verify::{Call, Technique};

use crate::ignored_flag::Preload;
use crate::scene::harness::{Failed, Trial};
use crate::scene::is_child;
use crate::support::{self, is_blocked, is_pending};

/// Tells a suite that it is played under a liar.
const LIED_TO: &str = "EPIPE_LIED_TO";
/// Tells its scenes to ask first.
const VERIFY: &str = "EPIPE_VERIFY";
/// Tells it an error with which every pwritev2 is answered.
const REFUSE: &str = "EPIPE_REFUSE_PWRITEV2";
/// Asks a child whether a liar is loaded.
const IS_LOADED: &str = "EPIPE_IS_LOADED";

pub fn is_lied_to() -> bool {
    env::var_os(LIED_TO).is_some()
}

/// Whether the scenes of this suite begin with `verify`.
pub fn is_told_to_verify() -> bool {
    env::var_os(VERIFY).is_some()
}

/// Asks the system, as a library would before it begins.
pub fn verify_if_told() {
    if is_told_to_verify() {
        let _ = verify();
        assert!(!is_blocked() && !is_pending());
    }
}

/// What is done before all else: a suite's filter, which its scenes inherit; and an answer for
/// [`can_preload`].
pub fn begin() -> Option<ExitCode> {
    if env::var_os(IS_LOADED).is_some() {
        return Some(ExitCode::from(u8::from(counter().is_none())));
    }
    #[cfg(target_os = "linux")]
    if !is_child() {
        if let Ok(error) = env::var(REFUSE) {
            crate::seccomp::refuse_write_flag(error.parse().expect("a number"));
        }
    }
    None
}

/// The runner decides what is played; a scene's child must not ask what its scene does not.
pub fn asked_once(answer: &OnceLock<bool>, ask: impl FnOnce() -> bool) -> bool {
    is_child() || *answer.get_or_init(ask)
}

pub const ON_TCP: &str = "WHERE=kind==TCP";
pub const PWRITEV2: &str = "ONLY=PWRITEV2";

/// Libraries that strip the flag silently, and the call that `verify` names under each.
pub fn strippers() -> [(Preload, Call); 7] {
    let strips = |what, definitions: &[&str], call| (Preload::strips(what, definitions), call);
    [
        strips("all", &[], Call::Send),
        strips("send", &["ONLY=SEND"], Call::Send),
        strips("sendto", &["ONLY=SENDTO"], Call::SendTo),
        strips("sendmsg", &["ONLY=SENDMSG"], Call::SendMsg),
        strips("TCP", &[ON_TCP], Call::Send),
        strips("sendmsg on TCP", &["ONLY=SENDMSG", ON_TCP], Call::SendMsg),
        strips("pwritev2", &[PWRITEV2], Call::Pwritev2),
    ]
}

/// The technique that makes a call.
pub fn technique_of(call: Call) -> Technique {
    match call {
        Call::Pwritev2 => Technique::WriteFlag,
        _ => Technique::SendFlag,
    }
}

/// This crate makes no sendmmsg: who strips it strips nothing of ours.
pub fn strips_sendmmsg() -> Preload {
    Preload::strips("sendmmsg", &["ONLY=SENDMMSG"])
}

/// Accepts every flag of pwritev2 and keeps none that Linux before 6.18 has not. gVisor keeps none
/// on a pipe.
pub fn like_gvisor() -> Preload {
    Preload::strips("pwritev2 and accepts every flag", &[PWRITEV2, "ACCEPTS"])
}

pub const ERRORS: [&str; 3] = ["EINVAL", "EOPNOTSUPP", "ENOPROTOOPT"];

/// What rejects the flag of sends: everywhere, in one call, on one family.
pub fn rejecters(error: &str) -> Vec<(&'static str, Preload)> {
    let liars: [(&str, &[&str]); 5] = [
        ("all", &[]),
        ("send", &["ONLY=SEND"]),
        ("sendto", &["ONLY=SENDTO"]),
        ("sendmsg", &["ONLY=SENDMSG"]),
        ("TCP", &[ON_TCP]),
    ];
    let liar = |(what, definitions)| (what, Preload::rejects(what, error, definitions));
    liars.into_iter().map(liar).collect()
}

/// The liar's own count of what it has rejected, if it is loaded.
fn counter() -> Option<extern "C" fn() -> i32> {
    // SAFETY: the name is a C string, and the liar defines such a function by it.
    unsafe {
        let found = libc::dlsym(libc::RTLD_DEFAULT, c"liar_rejected".as_ptr());
        (!found.is_null()).then(|| std::mem::transmute(found))
    }
}

/// How many calls a liar has rejected in this process.
pub fn rejected() -> i32 {
    counter().map_or(0, |count| count())
}

/// Whether a library can be built and loaded before libc here: not without a C compiler, and not
/// into a static program.
pub fn can_preload() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    asked_once(&ANSWER, || {
        let Ok(library) = strips_sendmmsg().build() else {
            return false;
        };
        let mut child = support::this_program();
        child.env(IS_LOADED, "?").env("LD_PRELOAD", library);
        child.status().is_ok_and(|status| status.success())
    })
}

/// Whether a library loaded before libc finds a flag that it can strip or reject; `has` says which
/// flags this build uses here.
pub fn can_lie_about(technique: Technique, has: fn(Technique) -> bool) -> bool {
    has(technique) && can_preload()
}

/// All scenes of this program once more, in each of these ways. At least so many must pass.
pub fn suites(has: fn(Technique) -> bool, at_least: usize) -> Vec<Trial> {
    let mut suites = Vec::new();
    let silent = strippers().map(|(liar, call)| (liar, technique_of(call)));
    for (liar, technique) in silent.into_iter().chain([(strips_sendmmsg(), Technique::SendFlag)]) {
        let name = format!("liar {}: all scenes, after verify", liar.name);
        let play = move || suite(Some(&liar), Some((VERIFY, "1")), at_least);
        suites.push(Trial::test(name, play).with_ignored_flag(!can_lie_about(technique, has)));
    }
    let can_lie = can_lie_about(Technique::SendFlag, has);
    // The write flag has to prove itself, so this lie needs no `verify`.
    let liar = like_gvisor();
    let name = format!("liar {}: all scenes", liar.name);
    let play = move || suite(Some(&liar), None, at_least);
    suites.push(Trial::test(name, play).with_ignored_flag(!can_preload()));
    for (_, liar) in ERRORS.into_iter().flat_map(rejecters) {
        let name = format!("liar {}: all scenes", liar.name);
        let play = move || suite(Some(&liar), None, at_least);
        suites.push(Trial::test(name, play).with_ignored_flag(!can_lie));
    }
    for (name, error) in [
        ("ENOSYS", libc::ENOSYS),
        ("EOPNOTSUPP", libc::EOPNOTSUPP),
        ("EPERM", libc::EPERM),
        ("EACCES", libc::EACCES),
    ] {
        let name = format!("seccomp answers {name} to pwritev2: all scenes");
        let play = move || suite(None, Some((REFUSE, &error.to_string())), at_least);
        suites.push(Trial::test(name, play).with_ignored_flag(!has(Technique::WriteFlag)));
    }
    suites
}

/// Runs the suite of all scenes, and looks that it was not empty.
fn suite(
    liar: Option<&Preload>,
    variable: Option<(&str, &str)>,
    at_least: usize,
) -> Result<(), Failed> {
    let mut child = support::this_program();
    child.arg("--quiet").env(LIED_TO, "1").envs(variable);
    if let Some(liar) = liar {
        child.env("LD_PRELOAD", liar.build()?);
    }
    let output = child.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let played = text
        .split_once("test result: ok. ")
        .and_then(|(_, rest)| rest.split(' ').next()?.parse::<usize>().ok());
    if output.status.success() && played.is_some_and(|played| played >= at_least) {
        return Ok(());
    }
    Err(format!("{text}\n{}", String::from_utf8_lossy(&output.stderr)).into())
}
