//! Does a server survive clients that ask and vanish? `--help` has the rest.

use std::process::ExitCode;

#[cfg(any(not(unix), target_family = "wasm", target_os = "fuchsia"))]
fn main() -> ExitCode {
    eprintln!("epipe-reset is for systems that have SIGPIPE");
    ExitCode::from(2)
}

#[cfg(not(any(not(unix), target_family = "wasm", target_os = "fuchsia")))]
fn main() -> ExitCode {
    unix::main()
}

#[cfg(not(any(not(unix), target_family = "wasm", target_os = "fuchsia")))]
mod unix;
