//! `epipe_openssl`: OpenSSL survives a vanished peer, next to controls with its own BIO that die;
//! and in all else the BIO answers as OpenSSL's.

#![allow(missing_docs, reason = "a test")]
#![allow(
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    reason = "OpenSSL is C, and each scene holds what it passes"
)]

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod bad_input;
        mod bio;
        mod ending;
        #[path = "../../../../tests/support/guide.rs"]
        mod guide;
        #[path = "../../../../tests/support/ignored_flag.rs"]
        #[allow(dead_code, reason = "no liar is loaded here")]
        mod ignored_flag;
        mod programs;
        mod raw;
        #[path = "../../../../tests/sigpipe/scene.rs"]
        #[allow(dead_code, reason = "no liar is loaded here")]
        mod scene;
        /// The servers.
        #[path = "../../../../tests/support/programs.rs"]
        mod servers;
        #[path = "../../../../tests/support/mod.rs"]
        mod support;
        mod sweep;
        mod tls;

        use scene::{Group, Scene};

        fn main() -> std::process::ExitCode {
            let groups: &[Group] = &[
                tls::scenes,
                bio::scenes,
                bad_input::scenes,
                programs::scenes,
                sweep::scenes,
                ending::scenes,
            ];
            scene::run(groups, || {}, false, |scenes| {
                vec![guide::trial(scenes, |name| name.starts_with("openssl "))]
            })
        }
    } else {
        fn main() {
            println!("The scenes break connections as Linux does: nothing was played here.");
        }
    }
}
