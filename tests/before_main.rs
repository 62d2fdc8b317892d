//! `ignore_before_main!` is in time for what writes before `main`, in a program without Rust's
//! runtime too. The control is `tests/late_handler.rs`.

#![allow(missing_docs, reason = "a test")]
#![allow(unsafe_code, reason = "sections, the pipe of libc, and main without a runtime")]
#![cfg_attr(target_os = "linux", no_main)]

#[cfg(target_os = "linux")]
#[path = "support/early.rs"]
mod early;

#[cfg(target_os = "linux")]
epipe::sigpipe::ignore_before_main!();

#[cfg(target_os = "linux")]
#[unsafe(no_mangle)]
extern "C" fn main() -> std::ffi::c_int {
    early::main("ignore_before_main_is_in_time", true);
    0
}

#[cfg(not(target_os = "linux"))]
fn main() {}
