//! Reading and writing through a shared reference, for the adapters.
//!
//! An `impl Read for &NoSigpipe<T>` that asks for `&T: Read` would make foreign code that only
//! links this crate fail to compile: the compiler looks for a `T` in `NoSigpipe<T>`,
//! `NoSigpipe<NoSigpipe<T>>` and so on (E0275). It stops at a trait of this crate whose self type
//! is not known yet. `tests/support/shapes.rs` holds that.

use std::io::{Read, Write};

/// A type that can be read from through a shared reference.
pub trait SharedRead {
    fn reader(&self) -> impl Read;
}

impl<T> SharedRead for T
where
    for<'a> &'a T: Read,
{
    fn reader(&self) -> impl Read {
        self
    }
}

/// A type that can be written to through a shared reference.
pub trait SharedWrite {
    fn writer(&self) -> impl Write;
}

impl<T> SharedWrite for T
where
    for<'a> &'a T: Write,
{
    fn writer(&self) -> impl Write {
        self
    }
}
