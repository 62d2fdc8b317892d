//! Sets `has_sendfile` if the crate has `raw::sendfile`. It has none under the row of a system
//! without that call, which `EPIPE_SYSTEM` forces (`ci/models`).

fn main() {
    println!("cargo::rerun-if-env-changed=EPIPE_SYSTEM");
    println!("cargo::rustc-check-cfg=cfg(has_sendfile)");
    let system = std::env::var("EPIPE_SYSTEM").unwrap_or_default();
    if !["netbsd", "openbsd"].contains(&&*system) {
        println!("cargo::rustc-cfg=has_sendfile");
    }
}
