//! Foreign code: crates and programs that write to a handle which we protect. The scenes are of the
//! same kind as the root's (`tests/sigpipe`).

#![allow(missing_docs, reason = "a test")]
#![allow(unsafe_code, reason = "borrowed descriptors have no safe form")]

cfg_if::cfg_if! {
    // `Cargo.toml` has the same condition.
    if #[cfg(all(
        target_os = "linux",
        target_env = "gnu",
        any(target_arch = "x86_64", target_arch = "aarch64"),
    ))] {
        mod async_io;
        mod foreign;
        #[path = "../../../support/guide.rs"]
        mod guide;
        mod io_uring;
        #[path = "../../../support/ignored_flag.rs"]
        #[allow(dead_code, reason = "the root has more of them")]
        mod ignored_flag;
        mod logging;
        mod mio;
        mod process;
        mod programs;
        #[path = "../../../sigpipe/rows.rs"]
        mod rows;
        mod runtime;
        mod rustls;
        #[path = "../../../sigpipe/scene.rs"]
        #[allow(dead_code, reason = "no single scene has a library loaded here")]
        mod scene;
        #[path = "../../../support/seccomp.rs"]
        mod seccomp;
        #[path = "../../../support/programs.rs"]
        mod servers;
        #[path = "../../../sigpipe/suites.rs"]
        #[allow(dead_code, reason = "the root's own scenes use more of it")]
        mod suites;
        #[path = "../../../support/mod.rs"]
        mod support;
        mod system_calls;
        mod tls;
        mod tokio;

        use epipe::verify::Technique;
        use scene::{Group, Scene};

        /// Whether the library uses a technique's flag here. The root's scenes check that it is
        /// right.
        fn has(technique: Technique) -> bool {
            epipe::verify().is_ok_and(|protection| {
                protection.socket_send().contains(&technique)
                    || protection.pipe_write().contains(&technique)
            })
        }

        /// Whether a guard is a mask. Threads that start under a mask inherit it.
        fn masks_the_thread() -> bool {
            epipe::protection().pipe_write().contains(&Technique::ThreadMask)
        }

        fn main() -> std::process::ExitCode {
            if let Some(code) = suites::begin() {
                return code;
            }
            let groups: &[Group] = &[
                system_calls::scenes,
                rustls::scenes,
                programs::scenes,
                async_io::scenes,
                foreign::scenes,
                mio::scenes,
                process::scenes,
                runtime::scenes,
                tokio::scenes,
                logging::scenes,
                io_uring::scenes,
            ];
            let is_suite = suites::is_suite();
            scene::run(groups, suites::verify_if_asked, is_suite, |scenes| {
                if is_suite {
                    return Vec::new();
                }
                let guide = guide::trial(scenes, guide::is_of_the_ecosystem);
                suites::suites(has, 450).into_iter().chain([guide]).collect()
            })
        }
    } else {
        fn main() {
            println!("These crates do not compile here: no scene was played.");
        }
    }
}
