//! `ignore_before_main!` is in time for what writes before `main`, in a program without Rust's runtime too. The control is
//! `tests/late_handler.rs`.

#![allow(missing_docs, reason = "a test")]
#![allow(
    unsafe_code,
    reason = "sections, the pipe of libc, and main without a runtime"
)]
#![cfg_attr(all(target_os = "linux", target_env = "gnu"), no_main)]

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[path = "support/early.rs"]
mod early;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
epipe::sigpipe::ignore_before_main!();

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[unsafe(no_mangle)]
extern "C" fn main() -> std::ffi::c_int {
    early::main("ignore_before_main_is_in_time", true);
    0
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn main() {}
