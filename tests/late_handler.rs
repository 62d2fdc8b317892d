//! The control of `tests/before_main.rs`: a handler that `main` installs at its first line is too
//! late.

#![allow(missing_docs, reason = "a test")]
#![allow(unsafe_code, reason = "sections, and the pipe of libc")]

#[cfg(all(sigpipe, not(target_vendor = "apple")))]
#[path = "support/early.rs"]
mod early;

fn main() {
    #[cfg(all(sigpipe, not(target_vendor = "apple")))]
    {
        epipe::sigpipe::ignore().unwrap();
        early::main("a_handler_that_main_installs_is_late", false);
    }
}
