//! All scenes of a program once more, on a system that silently ignores a flag, or rejects it. A
//! library that is loaded before libc does so, or a seccomp filter. `tests/ecosystem` plays its
//! scenes in the same way.

use std::env;
use std::process::ExitCode;
use std::sync::OnceLock;

use epipe::verify;
use epipe::verify::{Call, Technique};

use crate::ignored_flag::Preload;
use crate::scene::harness::{Failed, Trial};
use crate::scene::is_child;
use crate::support::{self, is_blocked, is_pending};

/// Set for a suite: all scenes, under a library or a filter.
const SUITE: &str = "EPIPE_SUITE";
/// Set for a suite whose scenes call `verify` first.
const VERIFY: &str = "EPIPE_VERIFY";
/// The error with which a filter of the suite answers every pwritev2.
const REFUSE: &str = "EPIPE_REFUSE_PWRITEV2";
/// Asks a child whether a library is loaded.
const IS_LOADED: &str = "EPIPE_IS_LOADED";

/// Whether this process plays a suite under a library or a filter.
pub fn is_suite() -> bool {
    env::var_os(SUITE).is_some()
}

/// Whether the scenes of this suite begin with `verify`.
pub fn begins_with_verify() -> bool {
    env::var_os(VERIFY).is_some()
}

/// Calls `verify` if the suite wants it, as a program would at its start.
pub fn verify_if_asked() {
    if begins_with_verify() {
        let _ = verify();
        assert!(!is_blocked() && !is_pending());
    }
}

/// The first step of `main`. Installs a suite's filter, which the scenes inherit, and answers
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

/// Asks once, in the runner, which decides what is played. A scene's child must not make calls that
/// its scene does not make.
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

/// This crate never calls sendmmsg, so a library that strips it strips no flag of ours.
pub fn strips_sendmmsg() -> Preload {
    Preload::strips("sendmmsg", &["ONLY=SENDMMSG"])
}

/// Accepts every flag of pwritev2, and ignores those that Linux before 6.18 lacks. On a pipe,
/// gVisor ignores every flag.
pub fn like_gvisor() -> Preload {
    Preload::strips("pwritev2 and accepts every flag", &[PWRITEV2, "ACCEPTS"])
}

pub const ERRORS: [&str; 3] = ["EINVAL", "EOPNOTSUPP", "ENOPROTOOPT"];

/// Libraries that reject the flag of sends: everywhere, in one call, or on one family.
pub fn rejecters(error: &str) -> Vec<(&'static str, Preload)> {
    let libraries: [(&str, &[&str]); 5] = [
        ("all", &[]),
        ("send", &["ONLY=SEND"]),
        ("sendto", &["ONLY=SENDTO"]),
        ("sendmsg", &["ONLY=SENDMSG"]),
        ("TCP", &[ON_TCP]),
    ];
    let library = |(what, definitions)| (what, Preload::rejects(what, error, definitions));
    libraries.into_iter().map(library).collect()
}

/// The loaded library's count of the calls that it has rejected.
fn counter() -> Option<extern "C" fn() -> i32> {
    // SAFETY: the name is a C string. The library defines a function of this name and type.
    unsafe {
        let found = libc::dlsym(libc::RTLD_DEFAULT, c"preload_rejected".as_ptr());
        (!found.is_null()).then(|| std::mem::transmute(found))
    }
}

/// The count of calls that a library has rejected in this process.
pub fn rejected() -> i32 {
    counter().map_or(0, |count| count())
}

/// Whether a library can be built and loaded before libc here. It cannot without a C compiler, or
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

/// Whether a library loaded before libc finds a flag that it can strip or reject. `has` reports
/// which flags this build uses here.
pub fn can_affect(technique: Technique, has: fn(Technique) -> bool) -> bool {
    has(technique) && can_preload()
}

/// All scenes of this program once more, in each of these ways. At least `at_least` scenes must
/// pass.
pub fn suites(has: fn(Technique) -> bool, at_least: usize) -> Vec<Trial> {
    let mut suites = Vec::new();
    let silent = strippers().map(|(library, call)| (library, technique_of(call)));
    for (library, technique) in silent.into_iter().chain([(strips_sendmmsg(), Technique::SendFlag)])
    {
        let name = format!("library {}: all scenes, after verify", library.name);
        let play = move || suite(Some(&library), Some((VERIFY, "1")), at_least);
        suites.push(Trial::test(name, play).with_ignored_flag(!can_affect(technique, has)));
    }
    let is_affected = can_affect(Technique::SendFlag, has);
    // The write flag must first prove itself, so this library needs no `verify`.
    let library = like_gvisor();
    let name = format!("library {}: all scenes", library.name);
    let play = move || suite(Some(&library), None, at_least);
    suites.push(Trial::test(name, play).with_ignored_flag(!can_preload()));
    for (_, library) in ERRORS.into_iter().flat_map(rejecters) {
        let name = format!("library {}: all scenes", library.name);
        let play = move || suite(Some(&library), None, at_least);
        suites.push(Trial::test(name, play).with_ignored_flag(!is_affected));
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

/// Runs the suite of all scenes, and checks that it was not empty.
fn suite(
    library: Option<&Preload>,
    variable: Option<(&str, &str)>,
    at_least: usize,
) -> Result<(), Failed> {
    let mut child = support::this_program();
    child.arg("--quiet").env(SUITE, "1").envs(variable);
    if let Some(library) = library {
        child.env("LD_PRELOAD", library.build()?);
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
