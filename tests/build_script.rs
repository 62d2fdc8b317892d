//! The build script: it takes away what it should, and nothing else, whatever it runs in.
//!
//! The script itself is played, in a child process that has the environment that cargo would give
//! it; the parent reads what it prints.

#![allow(missing_docs, reason = "a test")]

#[path = "../build.rs"]
mod build;
#[path = "support/harness.rs"]
mod harness;
#[cfg(target_os = "linux")]
#[path = "support/liar.rs"]
mod liar;
#[cfg(target_os = "linux")]
#[path = "support/seccomp.rs"]
mod seccomp;

use std::collections::BTreeSet;
use std::process::{Command, ExitCode, Output};

use harness::{Failed, Trial};
#[cfg(target_os = "linux")]
use liar::Liar;

/// Tells a child to play the script.
const PLAY: &str = "EPIPE_PLAY_BUILD_SCRIPT";

/// The script, in an environment of cargo's and nothing else.
struct Script(Command);

/// What it printed.
#[derive(Debug)]
struct Told {
    succeeded: bool,
    cfgs: BTreeSet<String>,
    refused: BTreeSet<String>,
    warnings: Vec<String>,
    errors: Vec<String>,
    rerun: BTreeSet<String>,
}

impl Script {
    /// For this machine itself.
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

    /// For another system.
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

    fn play(mut self) -> Told {
        let Output { status, stdout, .. } = self.0.output().unwrap();
        let text = String::from_utf8(stdout).unwrap();
        let all = |key: &str| {
            let values = text.lines().filter_map(|line| line.strip_prefix(key));
            values.map(str::to_owned).collect::<Vec<_>>()
        };
        let refused = all("cargo::rustc-cfg=epipe_refused=");
        Told {
            succeeded: status.success(),
            cfgs: all("cargo::rustc-cfg=").into_iter().collect(),
            refused: refused.iter().map(|name| name.trim_matches('"').to_owned()).collect(),
            warnings: all("cargo::warning="),
            errors: all("cargo::error="),
            rerun: all("cargo::rerun-if-").into_iter().collect(),
        }
    }
}

impl Told {
    /// Just these techniques are refused, each by one warning that names it and says `why`.
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
    test("an honest machine: nothing is refused", || {
        Script::native().play().refuses_nothing();
    });
    test("cargo is told what to look at", looks);
    test("the packager's word", packagers_word);
    test("a word that is no technique", no_technique);
    test("known liars", known_liars);
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
    // The same where the script fails: the word may be mended.
    assert_eq!(Script::native().env("EPIPE_REFUSE", "?").play().rerun, expected);
    assert_eq!(Script::native().env("EPIPE_SYSTEM", "?").play().rerun, expected);
    // A file that is not there makes cargo run the script each time.
    for file in expected.iter().filter_map(|line: &String| line.strip_prefix("changed=")) {
        assert!(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file).exists(), "{file}");
    }
}

fn packagers_word() {
    let told = |word| Script::native().env("EPIPE_REFUSE", word).play();
    told("send_flag").refuses(&["send_flag"], "EPIPE_REFUSE says so");
    told(" fd_flag ,write_flag,, fd_flag").refuses(&["fd_flag", "write_flag"], "EPIPE_REFUSE");
    told("").refuses_nothing();
    told(" ").refuses_nothing();
    let by_cfg = |names| Script::native().env("CARGO_CFG_EPIPE_REFUSED", names).play();
    by_cfg("send_flag,thread_mask").refuses(&["send_flag", "thread_mask"], "--cfg epipe_refused");
    // Both ways at once; said twice is said once.
    Script::native()
        .env("EPIPE_REFUSE", "send_flag")
        .env("CARGO_CFG_EPIPE_REFUSED", "send_flag")
        .play()
        .refuses(&["send_flag"], "EPIPE_REFUSE says so");
}

fn no_technique() {
    let told = |word| Script::native().env("EPIPE_REFUSE", word).play();
    told("nonsense").fails_and_lists_the_techniques("nonsense");
    told("send_flag,not_needed").fails_and_lists_the_techniques("not_needed");
    told("SEND_FLAG").fails_and_lists_the_techniques("SEND_FLAG");
    let by_cfg = |names| Script::native().env("CARGO_CFG_EPIPE_REFUSED", names).play();
    by_cfg("nonsense").fails_and_lists_the_techniques("nonsense");
    by_cfg("").fails_and_lists_the_techniques("");
}

fn known_liars() {
    Script::cross("horizon", "newlib").play().refuses(&["socket_option"], "SO_NOSIGPIPE");
    Script::cross("vita", "newlib").play().refuses(&["socket_option"], "newlib");
    Script::cross("espidf", "newlib").play().refuses(&["send_flag", "socket_option"], "");
    for preview in ["p1", "p2", "p3"] {
        Script::cross("wasi", preview).play().refuses(&["send_flag"], "EOPNOTSUPP");
    }
    // The packager knows better.
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
    let told = |script: Script, system, width| {
        script.env("CARGO_CFG_TARGET_POINTER_WIDTH", width).env("EPIPE_SYSTEM", system).play()
    };
    for system in ["apple", "freebsd", "netbsd", "openbsd"] {
        let told = told(Script::native(), system, "64");
        told.refuses_nothing();
        assert!(told.cfgs.contains(&format!("kernel=\"{system}\"")), "{told:?}");
        assert!(told.cfgs.contains("forced"), "{told:?}");
    }
    for (script, system, width, why) in [
        (Script::native(), "mac\nos", "64", "\"mac\\nos\"; there are those of apple, freebsd"),
        (Script::native(), "", "64", "no model of \"\""),
        (Script::native(), "apple", "32", "64-bit Linux"),
        (Script::cross("freebsd", ""), "netbsd", "64", "64-bit Linux"),
    ] {
        let told = told(script, system, width);
        assert!(!told.succeeded && told.cfgs.is_empty(), "{told:?}");
        assert!(told.errors.len() == 1 && told.errors[0].contains(why), "{told:?}");
    }
    assert!(!Script::native().play().cfgs.contains("forced"));
}

/// What forbids the script a system call, from its first line on.
#[cfg(target_os = "linux")]
mod sandbox {
    use crate::seccomp::{Which, filter};

    /// System calls by their numbers, and the action on them: `41,42=327681`.
    pub const FILTER: &str = "EPIPE_TEST_FILTER";

    pub fn enter() {
        let Ok(told) = std::env::var(FILTER) else {
            return;
        };
        let (numbers, action) = told.split_once('=').unwrap();
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

        fn under(self, liar: &Liar) -> Script {
            self.env("LD_PRELOAD", liar.build().unwrap().to_str().unwrap())
        }

        /// In namespaces of its own, without a network that is up, and if told with nothing in
        /// /proc.
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

    /// Whether libraries can be loaded before libc: not into a static program.
    fn can_preload() -> bool {
        let told = strips("all", &[]).build().map(|_| liar("all", &[]).play());
        told.is_ok_and(|told| !told.refused.is_empty())
    }

    fn strips(what: &str, definitions: &[&str]) -> Liar {
        Liar::strips(what, definitions)
    }

    fn liar(what: &str, definitions: &[&str]) -> Script {
        Script::native().under(&strips(what, definitions))
    }

    pub fn trials() -> Vec<Trial> {
        let can_unshare = Command::new("unshare")
            .args(["--map-root-user", "--net", "--mount", "true"])
            .output()
            .is_ok_and(|output| output.status.success());
        let (can_be_filtered, can_preload) = (can_be_filtered(), can_preload());
        let tests: [(&str, bool, fn()); 7] = [
            ("liars that strip in silence", can_preload, silent_liars),
            ("liars beside a packager's word", can_preload, liars_beside_a_word),
            ("liars that reject keep their trust", can_preload, rejecting_liars),
            ("what is not this machine is not asked", can_preload && can_be_filtered, not_asked),
            ("a sandbox without a network, or /proc", can_preload && can_unshare, no_network),
            ("a sandbox that forbids calls", can_preload && can_be_filtered, forbidden_calls),
            ("no other process is touched", can_be_filtered, no_other_process),
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

    fn silent_liars() {
        let sends = [("SEND", "send"), ("SENDTO", "sendto"), ("SENDMSG", "sendmsg")];
        for (definition, call) in sends {
            let only = format!("ONLY={definition}");
            let says = format!("on this machine {call} raises SIGPIPE");
            liar(call, &[&only]).play().refuses(&["send_flag"], &says);
            for family in ["TCP", "UNIX"] {
                let on = format!("WHERE=kind=={family}");
                let liar = liar(&format!("{call} on {family}"), &[&only, &on]);
                liar.play().refuses(&["send_flag"], &says);
            }
        }
        liar("all", &[]).play().refuses(&["send_flag"], "send raises SIGPIPE");
        liar("with an address", &["WHERE=address"]).play().refuses(&["send_flag"], "sendto raises");
        liar("sendmmsg", &["ONLY=SENDMMSG"]).play().refuses_nothing();
        liar("pwritev2", &["ONLY=PWRITEV2"]).play().refuses(&["write_flag"], "pwritev2 raises");
        for kind in ["TCP", "UNIX", "PIPE"] {
            let on = format!("WHERE=kind=={kind}");
            let liar = liar(&format!("pwritev2 on {kind}"), &["ONLY=PWRITEV2", &on]);
            liar.play().refuses(&["write_flag"], "pwritev2 raises");
        }
        liar("sends and pwritev2", &["ONLY=31"]).play().refuses(&["send_flag", "write_flag"], "");
    }

    /// A word that says something leaves the question open.
    fn liars_beside_a_word() {
        let script = liar("all", &[]).env("EPIPE_REFUSE", "fd_flag");
        script.play().refuses(&["fd_flag", "send_flag"], "");
        let script = liar("all", &[]).env("EPIPE_REFUSE", "");
        let script = script.env("CARGO_CFG_EPIPE_REFUSED", "fd_flag");
        script.play().refuses(&["fd_flag"], "--cfg epipe_refused says so");
    }

    /// This kernel is not the user's: at run time a call falls to the next technique.
    fn rejecting_liars() {
        for error in ["EINVAL", "EOPNOTSUPP", "ENOPROTOOPT"] {
            let liar = Liar::rejects("all", error, &[]);
            Script::native().under(&liar).play().refuses_nothing();
            let liar = Liar::rejects("pwritev2", error, &["ONLY=PWRITEV2"]);
            Script::native().under(&liar).play().refuses_nothing();
        }
    }

    const ASKING: [libc::c_long; 4] =
        [libc::SYS_socket, libc::SYS_socketpair, libc::SYS_pipe2, libc::SYS_pwritev2];

    fn not_asked() {
        let strips = strips("all", &[]);
        // The control: a native build asks, and dies of it.
        let native = Script::native().filtered(&ASKING, DEADLY);
        assert!(!native.play().succeeded);
        for script in [Script::cross("linux", "musl"), Script::native().env("EPIPE_REFUSE", "")] {
            script.under(&strips).filtered(&ASKING, DEADLY).play().refuses_nothing();
        }
    }

    fn no_network() {
        for with_proc in [true, false] {
            Script::apart(with_proc).play().refuses_nothing();
            // What can still be asked is asked.
            let lied_to = Script::apart(with_proc).under(&strips("all", &[]));
            lied_to.play().refuses(&["send_flag"], "send raises SIGPIPE");
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
            // Without TCP the Unix pair is asked, and without that TCP.
            for number in [libc::SYS_socket, libc::SYS_socketpair] {
                let lied_to = Script::native().under(&strips("all", &[]));
                let told = lied_to.filtered(&[number], refusing(error)).play();
                told.refuses(&["send_flag"], "send raises SIGPIPE");
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
