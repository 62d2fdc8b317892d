//! The proof: every write that this crate owns survives a vanished peer, next to a control
//! that dies in the same scene.
//!
//! Each scene is played by a child process that is a foreign host (see `support`); the parent
//! judges it by its exit status. What depends on the techniques is told by `cfg(epipe_refused)`:
//! `ci/refused` runs the same table with each technique taken away.

#![allow(missing_docs, reason = "a test")]
#![allow(unsafe_code, reason = "signals, FIFOs and borrowed descriptors have no safe form")]

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod adapter;
        mod bad_input;
        mod c_calls;
        mod copies;
        mod creations;
        mod differences;
        mod exotic;
        #[path = "../support/guide.rs"]
        mod guide;
        mod guards;
        mod handler;
        mod injected;
        #[cfg(target_arch = "x86_64")]
        #[path = "../support/handlers.rs"]
        mod handlers;
        #[cfg(target_arch = "x86_64")]
        mod interrupted;
        #[path = "../support/liar.rs"]
        mod liar;
        mod liars;
        mod pipes;
        mod refusals;
        mod reports;
        mod rows;
        mod scene;
        #[path = "../support/seccomp.rs"]
        mod seccomp;
        #[cfg(target_arch = "x86_64")]
        #[path = "../support/single_step.rs"]
        mod single_step;
        mod sockets;
        mod suites;
        #[path = "../support/mod.rs"]
        mod support;
        mod surroundings;
        /// The questions of the library and of its build script.
        #[allow(dead_code, reason = "the library's own")]
        #[path = "../../src/sys"]
        mod sys {
            pub mod call;
            pub mod constant;
            pub mod probe;
            pub mod technique;
            pub mod signal;
        }

        mod verify;

        use scene::{Group, Scene};

        fn main() -> std::process::ExitCode {
            if let Some(code) = suites::begin() {
                return code;
            }
            let groups: &[Group] = &[
                sockets::scenes,
                creations::scenes,
                pipes::scenes,
                adapter::scenes,
                c_calls::scenes,
                copies::scenes,
                guards::scenes,
                handler::scenes,
                #[cfg(target_arch = "x86_64")]
                interrupted::scenes,
                bad_input::scenes,
                reports::scenes,
                injected::scenes,
                exotic::scenes,
                surroundings::scenes,
                refusals::scenes,
                liars::scenes,
                verify::scenes,
            ];
            let lied_to = suites::is_lied_to();
            scene::run(groups, suites::verify_if_told, lied_to, |scenes| {
                if lied_to {
                    return Vec::new();
                }
                let guide = guide::trial(scenes, guide::is_of_the_root);
                suites::suites(liars::has, 800).into_iter().chain([guide]).collect()
            })
        }
    } else {
        fn main() {
            println!("The scenes break connections as Linux does: nothing was played here.");
        }
    }
}
