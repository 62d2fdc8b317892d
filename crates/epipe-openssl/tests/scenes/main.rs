//! `epipe_openssl`: OpenSSL survives a vanished peer, and the controls with its own BIO die.
//! Otherwise the BIO behaves like OpenSSL's.

#![allow(missing_docs, reason = "a test")]
#![allow(
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    reason = "OpenSSL is C, and each scene keeps alive what it passes"
)]

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod bad_input;
        mod bio;
        mod ending;
        #[path = "../../../../tests/support/guide.rs"]
        mod guide;
        #[path = "../../../../tests/support/ignored_flag.rs"]
        #[allow(dead_code, reason = "unused here")]
        mod ignored_flag;
        mod programs;
        mod raw;
        #[path = "../../../../tests/sigpipe/scene.rs"]
        #[allow(dead_code, reason = "some scenes of other tests need more")]
        mod scene;
        /// Real servers.
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
            println!("Not tested: the scenes run only on Linux.");
        }
    }
}
