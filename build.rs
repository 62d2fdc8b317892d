//! Takes rungs away from the table of `src/sys/mod.rs` at the packager's word.
//!
//! Two ways to say it: `EPIPE_REFUSE="send_flag,write_flag"` in the environment, or
//! `--cfg epipe_refused="send_flag"` in `RUSTFLAGS`. Without this script the crate is
//! still right on honest systems.

use std::env;
use std::process::ExitCode;

/// Every rung that can be refused, as `src/sys/` names them. `not_needed` is none of them:
/// a signal that does not exist cannot be refused.
const RUNGS: [&str; 6] = [
    "send_flag",
    "socket_option",
    "fd_flag",
    "write_flag",
    "thread_mask",
    "process_handler",
];

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=EPIPE_REFUSE");
    let values = RUNGS.map(|rung| format!("\"{rung}\"")).join(", ");
    println!("cargo::rustc-check-cfg=cfg(epipe_refused, values({values}))");

    let environment = env::var("EPIPE_REFUSE").unwrap_or_default();
    // Cargo joins the values of one cfg name with commas; rustc itself never checks them.
    let cfg = env::var("CARGO_CFG_EPIPE_REFUSED").ok();

    // An empty variable says "trust the table"; an empty cfg is a slip of the pen.
    let from_environment = environment
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    let from_cfg = cfg.iter().flat_map(|names| names.split(',')).map(str::trim);
    for (name, source) in from_environment
        .map(|name| (name, "EPIPE_REFUSE"))
        .chain(from_cfg.map(|name| (name, "--cfg epipe_refused")))
    {
        if !RUNGS.contains(&name) {
            println!(
                "cargo::error={source}: `{name}` is no rung that can be refused; the rungs are {}",
                RUNGS.join(", ")
            );
            return ExitCode::FAILURE;
        }
        println!("cargo::rustc-cfg=epipe_refused=\"{name}\"");
    }
    ExitCode::SUCCESS
}
