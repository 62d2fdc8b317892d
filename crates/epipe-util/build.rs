//! Turns the target's capabilities into `cfg` names. So only `src/sys/` names systems.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |what: &str| env::var(format!("CARGO_CFG_{what}")).ok();
    let unix = target("UNIX").is_some();
    let windows = target("WINDOWS").is_some();
    let apple = target("TARGET_VENDOR").as_deref() == Some("apple");
    let os = target("TARGET_OS").unwrap_or_default();
    let wasi_p1 = target("TARGET_ENV").as_deref() == Some("p1");

    // Where socket2 compiles. `Cargo.toml` repeats this condition.
    alias("has_socket2", unix || windows || os == "wasi" && !wasi_p1);
    // Where tungstenite compiles. `Cargo.toml` repeats this condition.
    let with_tungstenite = env::var_os("CARGO_FEATURE_TUNGSTENITE").is_some();
    alias("has_tungstenite", with_tungstenite && (unix || windows));
    // `std::os::unix::net` exists.
    alias("has_unix_sockets", unix && os != "espidf");
    let small = ["emscripten", "espidf", "fuchsia", "horizon", "nuttx", "vita", "vxworks"];
    let full_unix = unix && !small.contains(&&*os);
    // FIFOs, and pipe ends of `epipe` that can be made non-blocking.
    alias("has_fifo", full_unix);
    // poll(2), and `MSG_DONTWAIT` or a similar flag.
    alias("has_poll", full_unix);
    // `UnixStream::peer_cred` of `epipe`.
    let with_peer_cred =
        ["android", "cygwin", "dragonfly", "freebsd", "linux", "netbsd", "nto", "openbsd"];
    alias("has_peer_cred", apple || with_peer_cred.contains(&&*os));
}

fn alias(name: &str, holds: bool) {
    println!("cargo::rustc-check-cfg=cfg({name})");
    if holds {
        println!("cargo::rustc-cfg={name}");
    }
}
