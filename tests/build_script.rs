//! The build script refuses the techniques that it should, and no others, in each environment.
//!
//! A child process plays the script, with the environment that cargo would give it. The parent
//! reads what the script prints.

#![allow(missing_docs, reason = "a test")]

#[path = "../build.rs"]
mod build;
#[path = "support/harness.rs"]
mod harness;
#[cfg(target_os = "linux")]
#[path = "support/ignored_flag.rs"]
mod ignored_flag;
#[cfg(target_os = "linux")]
#[path = "support/seccomp.rs"]
mod seccomp;

use std::collections::BTreeSet;
use std::process::{Command, ExitCode, Output};

use harness::{Failed, Trial};
#[cfg(target_os = "linux")]
use ignored_flag::Preload;

/// Set in a child that plays the script.
const PLAY: &str = "EPIPE_PLAY_BUILD_SCRIPT";

/// The script, in an environment that has only cargo's variables.
struct Script(Command);

/// What the script printed.
#[derive(Debug)]
struct Printed {
    succeeded: bool,
    cfgs: BTreeSet<String>,
    refused: BTreeSet<String>,
    warnings: Vec<String>,
    errors: Vec<String>,
    rerun: BTreeSet<String>,
}

impl Script {
    /// A build for this machine.
    fn native() -> Script {
        Script::run_by(Command::new(std::env::current_exe().unwrap()))
    }

    fn run_by(mut command: Command) -> Script {
        command
            .env_clear()
            .env(PLAY, "1")
            .env("HOST", "x86_64-unknown-linux-gnu")
            .env("TARGET", "x86_64-unknown-linux-gnu")
            .env("CARGO_CFG_TARGET_OS", "linux")
            .env("CARGO_CFG_TARGET_ENV", "gnu");
        Script(command)
    }

    /// A build for another system.
    fn cross(os: &str, libc: &str) -> Script {
        Script::native()
            .env("TARGET", "another")
            .env("CARGO_CFG_TARGET_OS", os)
            .env("CARGO_CFG_TARGET_ENV", libc)
    }

    fn env(mut self, name: &str, value: &str) -> Script {
        self.0.env(name, value);
        self
    }

    fn play(mut self) -> Printed {
        let Output { status, stdout, .. } = self.0.output().unwrap();
        let text = String::from_utf8(stdout).unwrap();
        let all = |key: &str| {
            let values = text.lines().filter_map(|line| line.strip_prefix(key));
            values.map(str::to_owned).collect::<Vec<_>>()
        };
        let refused = all("cargo::rustc-cfg=epipe_refused=");
        Printed {
            succeeded: status.success(),
            cfgs: all("cargo::rustc-cfg=").into_iter().collect(),
            refused: refused.iter().map(|name| name.trim_matches('"').to_owned()).collect(),
            warnings: all("cargo::warning="),
            errors: all("cargo::error="),
            rerun: all("cargo::rerun-if-").into_iter().collect(),
        }
    }
}

impl Printed {
    /// Exactly these techniques are refused, each with one warning that names it and says `why`.
    #[track_caller]
    fn refuses(&self, techniques: &[&str], why: &str) {
        assert!(self.succeeded, "{self:?}");
        assert_eq!(
            self.refused,
            techniques.iter().map(|&technique| technique.to_owned()).collect(),
            "{self:?}"
        );
        assert_eq!(self.warnings.len(), techniques.len(), "{self:?}");
        for technique in techniques {
            let names_it = |warning: &&String| warning.contains(&format!("`{technique}`"));
            let warning = self.warnings.iter().find(names_it).unwrap();
            assert!(warning.contains(why), "{warning}");
            assert!(warning.contains("overrule") || warning.contains("to trust it"), "{warning}");
        }
    }

    #[track_caller]
    fn refuses_nothing(&self) {
        self.refuses(&[], "");
    }

    #[track_caller]
    fn fails_and_lists_the_techniques(&self, name: &str) {
        assert!(!self.succeeded && self.errors.len() == 1, "{self:?}");
        let error = &self.errors[0];
        assert!(error.contains(&format!("{name:?}")), "{error}");
        let techniques =
            "send_flag, socket_option, fd_flag, write_flag, thread_mask, process_handler";
        assert!(error.contains(techniques), "{error}");
    }
}

fn main() -> ExitCode {
    if std::env::var_os(PLAY).is_some() {
        #[cfg(target_os = "linux")]
        sandbox::enter();
        return build::main();
    }
    let mut trials = Vec::new();
    let mut test = |name: &str, test: fn()| {
        trials.push(Trial::test(name, move || {
            test();
            Ok::<_, Failed>(())
        }));
    };
    test("a machine that honours the flags: nothing is refused", || {
        Script::native().play().refuses_nothing();
    });
    test("the script names the files and variables that it reads", looks);
    test("the packager refuses techniques", packagers_word);
    test("an unknown technique is an error", no_technique);
    test("targets with wrong constants", wrong_constants);
    test("the row of a model", row_of_a_model);
    #[cfg(target_os = "linux")]
    trials.extend(on_linux::trials());
    harness::run(trials)
}

fn looks() {
    let files = ["build.rs", "src/sys"];
    let variables = ["EPIPE_REFUSE", "EPIPE_SYSTEM", "LD_PRELOAD"];
    let files = files.iter().map(|file| format!("changed={file}"));
    let variables = variables.iter().map(|variable| format!("env-changed={variable}"));
    let expected = files.chain(variables).collect();
    assert_eq!(Script::native().play().rerun, expected);
    // The same where the script fails: the variable may be corrected.
    assert_eq!(Script::native().env("EPIPE_REFUSE", "?").play().rerun, expected);
    assert_eq!(Script::native().env("EPIPE_SYSTEM", "?").play().rerun, expected);
    // If a file is missing, cargo runs the script each time.
    for file in expected.iter().filter_map(|line: &String| line.strip_prefix("changed=")) {
        assert!(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file).exists(), "{file}");
    }
}

fn packagers_word() {
    let with = |word| Script::native().env("EPIPE_REFUSE", word).play();
    with("send_flag").refuses(&["send_flag"], "EPIPE_REFUSE says so");
    with(" fd_flag ,write_flag,, fd_flag").refuses(&["fd_flag", "write_flag"], "EPIPE_REFUSE");
    with("").refuses_nothing();
    with(" ").refuses_nothing();
    let by_cfg = |names| Script::native().env("CARGO_CFG_EPIPE_REFUSED", names).play();
    by_cfg("send_flag,thread_mask").refuses(&["send_flag", "thread_mask"], "--cfg epipe_refused");
    // A technique that is refused in both ways is refused once.
    Script::native()
        .env("EPIPE_REFUSE", "send_flag")
        .env("CARGO_CFG_EPIPE_REFUSED", "send_flag")
        .play()
        .refuses(&["send_flag"], "EPIPE_REFUSE says so");
}

fn no_technique() {
    let with = |word| Script::native().env("EPIPE_REFUSE", word).play();
    with("nonsense").fails_and_lists_the_techniques("nonsense");
    with("send_flag,not_needed").fails_and_lists_the_techniques("not_needed");
    with("SEND_FLAG").fails_and_lists_the_techniques("SEND_FLAG");
    let by_cfg = |names| Script::native().env("CARGO_CFG_EPIPE_REFUSED", names).play();
    by_cfg("nonsense").fails_and_lists_the_techniques("nonsense");
    by_cfg("").fails_and_lists_the_techniques("");
}

fn wrong_constants() {
    Script::cross("horizon", "newlib").play().refuses(&["socket_option"], "SO_NOSIGPIPE");
    Script::cross("vita", "newlib").play().refuses(&["socket_option"], "newlib");
    Script::cross("espidf", "newlib").play().refuses(&["send_flag", "socket_option"], "");
    for preview in ["p1", "p2", "p3"] {
        Script::cross("wasi", preview).play().refuses(&["send_flag"], "EOPNOTSUPP");
    }
    // The packager overrules the script.
    Script::cross("wasi", "p2").env("EPIPE_REFUSE", "").play().refuses_nothing();
    for (os, libc) in [
        ("linux", "musl"),
        ("freebsd", ""),
        ("netbsd", ""),
        ("macos", ""),
        ("windows", "msvc"),
        ("illumos", ""),
        ("unknown", ""),
    ] {
        Script::cross(os, libc).play().refuses_nothing();
    }
}

fn row_of_a_model() {
    let with = |script: Script, system, width| {
        script.env("CARGO_CFG_TARGET_POINTER_WIDTH", width).env("EPIPE_SYSTEM", system).play()
    };
    for system in ["apple", "freebsd", "netbsd", "openbsd"] {
        let printed = with(Script::native(), system, "64");
        printed.refuses_nothing();
        assert!(printed.cfgs.contains(&format!("kernel=\"{system}\"")), "{printed:?}");
        assert!(printed.cfgs.contains("forced"), "{printed:?}");
    }
    for (script, system, width, why) in [
        (Script::native(), "mac\nos", "64", "\"mac\\nos\"; the models are apple, freebsd"),
        (Script::native(), "", "64", "no model of \"\""),
        (Script::native(), "apple", "32", "64-bit Linux"),
        (Script::cross("freebsd", ""), "netbsd", "64", "64-bit Linux"),
    ] {
        let printed = with(script, system, width);
        assert!(!printed.succeeded && printed.cfgs.is_empty(), "{printed:?}");
        assert!(printed.errors.len() == 1 && printed.errors[0].contains(why), "{printed:?}");
    }
    assert!(!Script::native().play().cfgs.contains("forced"));
}

/// Forbids the script system calls, from its first line on.
#[cfg(target_os = "linux")]
mod sandbox {
    use crate::seccomp::{Which, filter};

    /// System calls by their numbers, and the action on them: `41,42=327681`.
    pub const FILTER: &str = "EPIPE_TEST_FILTER";

    pub fn enter() {
        let Ok(printed) = std::env::var(FILTER) else {
            return;
        };
        let (numbers, action) = printed.split_once('=').unwrap();
        for number in numbers.split(',') {
            filter(number.parse().unwrap(), Which::All, action.parse().unwrap());
        }
    }
}

#[cfg(target_os = "linux")]
mod on_linux {
    use super::*;
    use crate::seccomp::{DEADLY, can_be_filtered, refusing};

    impl Script {
        fn filtered(self, numbers: &[libc::c_long], action: u32) -> Script {
            let numbers: Vec<_> = numbers.iter().map(|number| number.to_string()).collect();
            self.env(sandbox::FILTER, &format!("{}={action}", numbers.join(",")))
        }

        fn under(self, library: &Preload) -> Script {
            self.env("LD_PRELOAD", library.build().unwrap().to_str().unwrap())
        }

        /// In its own namespaces, where no network is up. Without `with_proc`, /proc is empty.
        fn apart(with_proc: bool) -> Script {
            let mut command = Command::new("unshare");
            command.args(["--map-root-user", "--net"]);
            if !with_proc {
                command.args(["--mount", "sh", "-c"]);
                command.arg("mount -t tmpfs none /proc && exec \"$0\"");
            }
            command.arg(std::env::current_exe().unwrap());
            Script::run_by(command).env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        }
    }

    /// Whether a library can be loaded before libc. It cannot in a static program.
    fn can_preload() -> bool {
        let printed = strips("all", &[]).build().map(|_| preloaded("all", &[]).play());
        printed.is_ok_and(|printed| !printed.refused.is_empty())
    }

    fn strips(what: &str, definitions: &[&str]) -> Preload {
        Preload::strips(what, definitions)
    }

    fn preloaded(what: &str, definitions: &[&str]) -> Script {
        Script::native().under(&strips(what, definitions))
    }

    pub fn trials() -> Vec<Trial> {
        let can_unshare = Command::new("unshare")
            .args(["--map-root-user", "--net", "--mount", "true"])
            .output()
            .is_ok_and(|output| output.status.success());
        let (can_be_filtered, can_preload) = (can_be_filtered(), can_preload());
        let tests: [(&str, bool, fn()); 7] = [
            ("flags that are silently ignored", can_preload, silently_ignored),
            ("ignored flags, and refusals of the packager", can_preload, ignored_and_refused),
            ("rejected flags are not refused", can_preload, rejected),
            ("a build for another system tests nothing", can_preload && can_be_filtered, not_asked),
            ("a sandbox without a network, or /proc", can_preload && can_unshare, no_network),
            ("a sandbox that forbids calls", can_preload && can_be_filtered, forbidden_calls),
            ("the script starts and signals no process", can_be_filtered, no_other_process),
        ];
        tests
            .map(|(name, can_be_played, test)| {
                let test = move || {
                    test();
                    Ok::<_, Failed>(())
                };
                Trial::test(name, test).with_ignored_flag(!can_be_played)
            })
            .into()
    }

    fn silently_ignored() {
        let sends = [("SEND", "send"), ("SENDTO", "sendto"), ("SENDMSG", "sendmsg")];
        for (definition, call) in sends {
            let only = format!("ONLY={definition}");
            let says = format!("on this machine {call} raises SIGPIPE");
            preloaded(call, &[&only]).play().refuses(&["send_flag"], &says);
            for family in ["TCP", "UNIX"] {
                let on = format!("WHERE=kind=={family}");
                let script = preloaded(&format!("{call} on {family}"), &[&only, &on]);
                script.play().refuses(&["send_flag"], &says);
            }
        }
        preloaded("all", &[]).play().refuses(&["send_flag"], "send raises SIGPIPE");
        preloaded("with an address", &["WHERE=address"])
            .play()
            .refuses(&["send_flag"], "sendto raises");
        preloaded("sendmmsg", &["ONLY=SENDMMSG"]).play().refuses_nothing();
        preloaded("pwritev2", &["ONLY=PWRITEV2"])
            .play()
            .refuses(&["write_flag"], "pwritev2 raises");
        for kind in ["TCP", "UNIX", "PIPE"] {
            let on = format!("WHERE=kind=={kind}");
            let script = preloaded(&format!("pwritev2 on {kind}"), &["ONLY=PWRITEV2", &on]);
            script.play().refuses(&["write_flag"], "pwritev2 raises");
        }
        preloaded("sends and pwritev2", &["ONLY=31"])
            .play()
            .refuses(&["send_flag", "write_flag"], "");
    }

    /// The flags are still tested if the packager refuses a technique.
    fn ignored_and_refused() {
        let script = preloaded("all", &[]).env("EPIPE_REFUSE", "fd_flag");
        script.play().refuses(&["fd_flag", "send_flag"], "");
        let script = preloaded("all", &[]).env("EPIPE_REFUSE", "");
        let script = script.env("CARGO_CFG_EPIPE_REFUSED", "fd_flag");
        script.play().refuses(&["fd_flag"], "--cfg epipe_refused says so");
    }

    /// The user may have another kernel. At run time a call falls back to the next technique.
    fn rejected() {
        for error in ["EINVAL", "EOPNOTSUPP", "ENOPROTOOPT"] {
            let library = Preload::rejects("all", error, &[]);
            Script::native().under(&library).play().refuses_nothing();
            let library = Preload::rejects("pwritev2", error, &["ONLY=PWRITEV2"]);
            Script::native().under(&library).play().refuses_nothing();
        }
    }

    const ASKING: [libc::c_long; 4] =
        [libc::SYS_socket, libc::SYS_socketpair, libc::SYS_pipe2, libc::SYS_pwritev2];

    fn not_asked() {
        let strips = strips("all", &[]);
        // The control: a native build makes the tests, and dies of it.
        let native = Script::native().filtered(&ASKING, DEADLY);
        assert!(!native.play().succeeded);
        for script in [Script::cross("linux", "musl"), Script::native().env("EPIPE_REFUSE", "")] {
            script.under(&strips).filtered(&ASKING, DEADLY).play().refuses_nothing();
        }
    }

    fn no_network() {
        for with_proc in [true, false] {
            Script::apart(with_proc).play().refuses_nothing();
            // The tests that are still possible are made.
            let preloaded = Script::apart(with_proc).under(&strips("all", &[]));
            preloaded.play().refuses(&["send_flag"], "send raises SIGPIPE");
        }
    }

    fn forbidden_calls() {
        let asking = [
            libc::SYS_bind,
            libc::SYS_listen,
            libc::SYS_connect,
            libc::SYS_getsockname,
            libc::SYS_setsockopt,
            libc::SYS_fcntl,
            libc::SYS_ioctl,
            libc::SYS_shutdown,
            libc::SYS_sendto,
            libc::SYS_sendmsg,
            libc::SYS_rt_sigaction,
            libc::SYS_rt_sigprocmask,
            libc::SYS_rt_sigpending,
            libc::SYS_rt_sigtimedwait,
        ];
        for error in [libc::EPERM, libc::ENOSYS] {
            for number in asking.into_iter().chain(ASKING) {
                Script::native().filtered(&[number], refusing(error)).play().refuses_nothing();
            }
            Script::native().filtered(&asking, refusing(error)).play().refuses_nothing();
            // Without TCP the Unix pair is tested, and without the pair TCP.
            for number in [libc::SYS_socket, libc::SYS_socketpair] {
                let preloaded = Script::native().under(&strips("all", &[]));
                let printed = preloaded.filtered(&[number], refusing(error)).play();
                printed.refuses(&["send_flag"], "send raises SIGPIPE");
            }
        }
    }

    fn no_other_process() {
        let others = [
            libc::SYS_clone,
            libc::SYS_clone3,
            libc::SYS_execve,
            libc::SYS_kill,
            libc::SYS_tgkill,
            libc::SYS_rt_sigqueueinfo,
            libc::SYS_ptrace,
        ];
        Script::native().filtered(&others, DEADLY).play().refuses_nothing();
    }
}
