//! `ignore_before_main!` acts before code that writes before `main`, also in a program without
//! Rust's runtime. The control is `tests/late_handler.rs`. (Apple's systems do not promise that
//! either is the first of a program's initialisers.)

#![allow(missing_docs, reason = "a test")]
#![allow(unsafe_code, reason = "sections, the pipe of libc, and main without a runtime")]
#![cfg_attr(all(sigpipe, not(target_vendor = "apple")), no_main)]

#[cfg(all(sigpipe, not(target_vendor = "apple")))]
#[path = "support/early.rs"]
mod early;

#[cfg(all(sigpipe, not(target_vendor = "apple")))]
epipe::sigpipe::ignore_before_main!();

#[cfg(all(sigpipe, not(target_vendor = "apple")))]
#[unsafe(no_mangle)]
extern "C" fn main() -> std::ffi::c_int {
    early::main("ignore_before_main_is_in_time", true);
    0
}

#[cfg(not(all(sigpipe, not(target_vendor = "apple"))))]
fn main() {}
