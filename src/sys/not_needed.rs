//! The system has no SIGPIPE: a vanished peer is already an error, EPIPE or Windows' 10053 and
//! 10054. Every call is std's or socket2's own, and what a type remembers is nothing.

use std::ffi::c_int;
use std::io;
#[cfg(has_fd)]
use std::{io::Write as _, os::fd::BorrowedFd};

use super::Disposition;
#[cfg(has_fd)]
use super::handle::as_file;

#[derive(Default)]
pub(crate) struct SocketState;

impl SocketState {
    #[inline]
    pub(crate) fn adopted<S>(_: &S) -> SocketState {
        SocketState
    }

    #[inline]
    pub(crate) fn send<S>(
        &self,
        _: &S,
        _: impl Fn() -> usize,
        call: impl Fn(c_int) -> io::Result<usize>,
    ) -> io::Result<usize> {
        call(0)
    }

    #[inline]
    pub(crate) fn run<S>(&self, _: &S, call: impl Fn() -> io::Result<usize>) -> io::Result<usize> {
        call()
    }
}

/// Of the adapter.
#[cfg(not(has_fd))]
#[derive(Default)]
pub(crate) struct DescriptorState;

/// Of a pipe, or of a descriptor of any kind.
#[cfg(has_fd)]
#[derive(Default)]
pub(crate) struct PipeState;

#[cfg(has_fd)]
impl PipeState {
    /// Any handle will do.
    pub(crate) fn adopt(&self, _: BorrowedFd<'_>) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn write(&self, fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<usize> {
        as_file(fd, |mut file| file.write(buf))
    }

    pub(crate) fn write_vectored(
        &self,
        fd: BorrowedFd<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> io::Result<usize> {
        as_file(fd, |mut file| file.write_vectored(bufs))
    }
}

pub(crate) mod guard {
    pub(crate) struct Held;

    pub(crate) fn enter() -> std::io::Result<Held> {
        Ok(Held)
    }

    pub(crate) fn around<T>(f: impl FnOnce() -> T) -> std::io::Result<T> {
        Ok(f())
    }
}

pub(crate) fn disposition() -> io::Result<Disposition> {
    Ok(Disposition::Ignored)
}

pub(crate) fn ignore() -> io::Result<Disposition> {
    Ok(Disposition::Ignored)
}
