//! Reading and writing through a shared reference, for the adapters.
//!
//! An `impl Read for &NoSigpipe<T>` could ask for `&T: Read`. Then other code that only links this
//! crate would fail to compile. The compiler would look for a `T` in `NoSigpipe<T>`, in
//! `NoSigpipe<NoSigpipe<T>>` and so on (E0275). So the adapters ask for `SharedRead` and
//! `SharedWrite`: a trait of this crate stops that search if the self type is not known yet.
//! `tests/support/shapes.rs` checks it.

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
