//! Finds out whether a server survives clients that send a request and vanish. See `--help`.

use std::process::ExitCode;

#[cfg(any(not(unix), target_family = "wasm", target_os = "fuchsia"))]
fn main() -> ExitCode {
    eprintln!("epipe-reset: this program needs a Unix system that has SIGPIPE");
    ExitCode::from(2)
}

#[cfg(not(any(not(unix), target_family = "wasm", target_os = "fuchsia")))]
fn main() -> ExitCode {
    unix::main()
}

#[cfg(not(any(not(unix), target_family = "wasm", target_os = "fuchsia")))]
mod unix;
