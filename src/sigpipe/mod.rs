//! The signal: keep it from this thread ([`guard`], [`suppressed`]) or from the process
//! ([`ignore`]), and ask what it would do ([`disposition`]).
//!
//! The types of this crate do not need this module. Nor does a handle in
//! [`NoSigpipe`](crate::NoSigpipe), or a writer in [`Guarded`](crate::Guarded). It is for code that
//! writes without them: a C library, `sendfile`, `splice`, a crate that uses its own types.
//! [`docs::bindings`](crate::docs::bindings) says which call to use when.
//!
//! ```
//! use epipe::sigpipe;
//!
//! # fn call_into_c() -> i32 { 0 }
//! let result = sigpipe::suppressed(|| call_into_c())?; // its write fails with EPIPE
//! # assert_eq!(result, 0);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Which one
//!
//! * The process is yours (you wrote `main`): call [`ignore`] once, at the top. If `| head` should
//!   end the program quietly, call [`restore_default`] instead.
//! * The process is a host's: put [`suppressed`] around the call that may write, or hold a
//!   [`guard`] for a scope. A thread that you own can hold one guard for its whole life.
//! * A library has threads of its own: put [`suppressed`] around the call that starts them.
//! * C calls your function: use [`catch_unwind`] at its entry.
//! * You start programs (Unix): call `default_in_child` on the `Command`.
//! * You call `fork` (Unix): call `default_in_this_child` in the child.

mod disposition;
mod guard;
pub(crate) mod guarded;

#[cfg(unix)]
mod before_main;
#[cfg(unix)]
pub use before_main::{default_in_child, default_in_this_child, ignore_before_main};
pub use disposition::{Disposition, disposition, ignore, restore_default};
pub use guard::{Guard, catch_unwind, guard, suppressed};
