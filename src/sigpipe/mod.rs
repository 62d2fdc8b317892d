//! The signal itself: keep it from this thread ([`guard`], [`suppressed`]), or from the
//! process ([`ignore`]); and ask what would happen ([`disposition`]).
//!
//! The types of this crate need none of it, nor does a handle in [`NoSigpipe`](crate::NoSigpipe) or
//! a writer in [`Guarded`](crate::Guarded). It is for code that writes by itself: a C library,
//! `sendfile`, `splice`, a crate that uses types of its own. [`bindings`](crate::docs::bindings) says
//! which call to use when.
//!
//! # Which one
//!
//! * The process is yours (you wrote `main`): [`ignore`], once, at the top; or [`restore_default`],
//!   if `| head` should end it without a word.
//! * The process is a host's: [`suppressed`] around the call that may write, or [`guard`] for
//!   the length of a scope; for the life of a thread that you own, one guard at its start.
//! * A library has threads of its own: [`suppressed`] around the call that starts them.
//! * C calls your function: [`catch_unwind`] at its entry.
//! * You start programs, or fork by yourself: `default_in_child`, `default_in_this_child` (Unix).

mod disposition;
mod guard;
pub(crate) mod guarded;

#[cfg(unix)]
mod before_main;
#[cfg(unix)]
pub use before_main::{default_in_child, default_in_this_child, ignore_before_main};
pub use disposition::{Disposition, disposition, ignore, restore_default};
pub use guard::{Guard, catch_unwind, guard, suppressed};
