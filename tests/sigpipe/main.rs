//! The proof: every write of this crate survives a vanished peer, next to a control that dies in
//! the same scene.
//!
//! A child process plays each scene, as a foreign host would (see `support`). The parent judges it
//! by its exit status. `cfg(epipe_refused)` decides what depends on the techniques: `ci/refused`
//! runs the same table with each technique taken away.
//!
//! The proof is played on every Unix that has SIGPIPE. `cfg(kernel = "linux")` marks what only
//! Linux has or does (preloaded libraries, seccomp, splice). `cfg(target_os)` marks what
//! type-checks only there.

#![allow(missing_docs, reason = "a test")]
#![allow(unsafe_code, reason = "signals, FIFOs and borrowed descriptors have no safe form")]

cfg_if::cfg_if! {
    // Redox has no sendmsg.
    if #[cfg(all(sigpipe, not(target_os = "redox")))] {
        mod adapter;
        mod bad_input;
        mod c_calls;
        mod copies;
        #[cfg(forced)]
        mod counted;
        mod creations;
        mod differences;
        mod exotic;
        mod foreign;
        mod guards;
        mod handler;
        #[cfg_attr(not(kernel = "linux"), allow(dead_code, reason = "none is loaded there"))]
        #[path = "../support/ignored_flag.rs"]
        mod ignored_flag;
        mod pipes;
        mod rows;
        mod scene;
        #[cfg(target_os = "linux")]
        #[path = "../support/seccomp.rs"]
        mod seccomp;
        mod sockets;
        #[cfg_attr(not(kernel = "linux"), allow(dead_code, reason = "no library is loaded there"))]
        mod suites;
        #[path = "../support/mod.rs"]
        mod support;
        mod surroundings;
        mod verify;

        use scene::harness::Trial;
        use scene::{Group, Scene};

        const GROUPS: &[Group] = &[
            sockets::scenes,
            creations::scenes,
            pipes::scenes,
            adapter::scenes,
            c_calls::scenes,
            copies::scenes,
            guards::scenes,
            foreign::scenes,
            handler::scenes,
            bad_input::scenes,
            exotic::scenes,
            surroundings::scenes,
            verify::scenes,
            #[cfg(forced)]
            counted::scenes,
        ];

        cfg_if::cfg_if! {
            if #[cfg(all(target_os = "linux", target_arch = "x86_64"))] {
                #[path = "../support/handlers.rs"]
                mod handlers;
                mod interrupted;
                #[path = "../support/single_step.rs"]
                mod single_step;

                const STEPPED: &[Group] = &[interrupted::scenes];
            } else {
                const STEPPED: &[Group] = &[];
            }
        }

        cfg_if::cfg_if! {
            if #[cfg(kernel = "linux")] {
                #[path = "../support/guide.rs"]
                mod guide;
                mod injected;
                mod ignored_flags;
                mod refusals;
                mod reports;
                /// The probes of the library and of its build script.
                #[allow(dead_code, reason = "the library uses the rest")]
                #[path = "../../src/sys"]
                mod sys {
                    pub mod call;
                    pub mod constant;
                    pub mod probe;
                    pub mod signal;
                    pub mod technique;
                }

                const OF_LINUX: &[Group] = &[
                    adapter::of_linux,
                    c_calls::of_linux,
                    copies::of_linux,
                    exotic::of_linux,
                    guards::of_linux,
                    surroundings::of_linux,
                    verify::of_linux,
                    reports::scenes,
                    injected::scenes,
                    refusals::scenes,
                    ignored_flags::scenes,
                ];

                fn more(scenes: &[String]) -> Vec<Trial> {
                    if suites::is_suite() {
                        return Vec::new();
                    }
                    let guide = guide::trial(scenes, guide::is_of_the_root);
                    suites::suites(ignored_flags::has, 800).into_iter().chain([guide]).collect()
                }
            } else {
                const OF_LINUX: &[Group] = &[];

                fn more(_: &[String]) -> Vec<Trial> {
                    Vec::new()
                }
            }
        }

        fn main() -> std::process::ExitCode {
            if let Some(code) = suites::begin() {
                return code;
            }
            let groups = [GROUPS, STEPPED, OF_LINUX].concat();
            scene::run(&groups, suites::verify_if_asked, suites::is_suite(), more)
        }
    } else {
        fn main() {
            println!("This system has no SIGPIPE, or is Redox: no scene was played.");
        }
    }
}
