//! Programs as people write them, on this crate's types and on the original ones. On this crate's
//! types each lives through 200 peers that vanish. Beside it stands a control that is killed.
//!
//! They are separate from the other scenes because they need many crates to build.

#![allow(missing_docs, reason = "a test")]
#![allow(unsafe_code, reason = "borrowed descriptors have no safe form")]

cfg_if::cfg_if! {
    // `Cargo.toml` has the same condition.
    if #[cfg(all(
        target_os = "linux",
        target_env = "gnu",
        any(target_arch = "x86_64", target_arch = "aarch64"),
    ))] {
        #[allow(clippy::duplicate_mod, reason = "the programs are compiled twice")]
        mod bare;
        #[allow(dead_code, reason = "no test installs a logger")]
        mod guide {
            mod env_logger;
            pub mod runtime;
            mod tracing;
        }
        #[path = "../../../support/ignored_flag.rs"]
        #[allow(dead_code, reason = "no library is loaded here")]
        mod ignored_flag;
        #[allow(clippy::duplicate_mod, reason = "the programs are compiled twice")]
        mod ours;
        mod peers;
        mod recipes;
        #[path = "../../../sigpipe/scene.rs"]
        #[allow(dead_code, reason = "the other scenes use more of it")]
        mod scene;
        mod scenes;
        #[path = "../../../support/mod.rs"]
        mod support;
        #[allow(clippy::duplicate_mod, reason = "the programs are compiled twice")]
        mod unflagged;

        fn main() -> std::process::ExitCode {
            scene::run(&[scenes::scenes], || {}, false, recipes::trials)
        }
    } else {
        fn main() {
            println!("These crates need more than cargo to compile here: nothing was played.");
        }
    }
}
