//! For systems without SIGPIPE: a vanished peer is already an error, EPIPE or Windows' 10053 and
//! 10054. Every call is std's or socket2's own.

use std::ffi::c_int;
use std::io;
#[cfg(has_fd)]
use std::os::fd::BorrowedFd;

use super::Disposition;
#[cfg(has_fd)]
use super::handle::as_file;

pub(crate) mod socket {
    use super::{c_int, io};

    pub(crate) fn adopt<S>(_: &S) {}

    #[inline]
    pub(crate) fn send<S>(
        _: &S,
        _: impl Fn() -> usize,
        call: impl Fn(c_int) -> io::Result<usize>,
    ) -> io::Result<usize> {
        call(0)
    }

    #[inline]
    pub(crate) fn run<S>(_: &S, call: impl Fn() -> io::Result<usize>) -> io::Result<usize> {
        call()
    }
}

/// The adapter's state: none.
#[derive(Default)]
pub(crate) struct DescriptorState {}

#[cfg(has_fd)]
impl DescriptorState {
    /// Every handle is accepted.
    pub(crate) fn adopt(&self, _: BorrowedFd<'_>) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn write(&self, fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<usize> {
        pipe::write(fd, buf)
    }

    pub(crate) fn write_vectored(
        &self,
        fd: BorrowedFd<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> io::Result<usize> {
        pipe::write_vectored(fd, bufs)
    }
}

/// Writes to a pipe, or to a descriptor of any kind.
#[cfg(has_fd)]
pub(crate) mod pipe {
    use super::{BorrowedFd, as_file, io};

    pub(crate) fn write(fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<usize> {
        as_file(fd, |mut file| io::Write::write(&mut file, buf))
    }

    pub(crate) fn write_vectored(
        fd: BorrowedFd<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> io::Result<usize> {
        as_file(fd, |mut file| io::Write::write_vectored(&mut file, bufs))
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

pub(crate) fn restore_default() -> io::Result<Disposition> {
    Ok(Disposition::Ignored)
}
