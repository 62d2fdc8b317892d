//! What this crate writes to a pipe, or to a descriptor of unknown kind, protected: the write flag;
//! else the descriptor flag; else the guard. THE table says which of these a system has.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use super::{call, guard, total};

/// What one descriptor remembers: whether it carries the flag. Nothing on systems without it.
#[derive(Default)]
pub(crate) struct PipeState {
    #[cfg(fd_flag)]
    flag: super::socket_option::Remembered,
}

impl PipeState {
    /// `Write::write`.
    #[inline]
    pub(crate) fn write(&self, fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<usize> {
        self.run(fd, &[IoSlice::new(buf)], || buf.len(), || call::write(fd, buf))
    }

    /// `Write::write_vectored`. Any number of slices: what the system cannot take at once is cut,
    /// as std does.
    #[inline]
    pub(crate) fn write_vectored(
        &self,
        fd: BorrowedFd<'_>,
        bufs: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        let bufs = call::cut(bufs);
        self.run(fd, bufs, || total(bufs), || call::write_vectored(fd, bufs))
    }

    /// One write of `bufs`, `len` bytes; `plain` makes it without a flag.
    #[inline]
    fn run(
        &self,
        fd: BorrowedFd<'_>,
        bufs: &[IoSlice<'_>],
        len: impl Fn() -> usize,
        plain: impl Fn() -> io::Result<usize>,
    ) -> io::Result<usize> {
        // Under a guard the plain call is protected, and cheaper than any technique.
        if guard::is_held() {
            return guard::run(len(), plain);
        }
        // An empty pwritev2 succeeds without asking the file, which may have an opinion (eventfd's is
        // EINVAL).
        #[cfg(write_flag)]
        if super::write_flag::is_in_use() && !call::is_empty(bufs) {
            return match call::pwritev2(fd, bufs, super::constant::RWF_NOSIGNAL) {
                Ok(written) => Ok(written),
                Err(error) => self.failed_with_flag(fd, len(), plain, error),
            };
        }
        #[cfg(not(write_flag))]
        let _ = bufs;
        self.run_otherwise(fd, len(), plain)
    }

    /// The error is the answer, unless it means that the flag is refused.
    #[cfg(write_flag)]
    #[cold]
    #[inline(never)]
    fn failed_with_flag(
        &self,
        fd: BorrowedFd<'_>,
        len: usize,
        plain: impl Fn() -> io::Result<usize>,
        error: io::Error,
    ) -> io::Result<usize> {
        match super::write_flag::unless_refused(error) {
            Some(error) => Err(error),
            None => self.run_otherwise(fd, len, plain),
        }
    }

    fn run_otherwise(
        &self,
        fd: BorrowedFd<'_>,
        len: usize,
        plain: impl Fn() -> io::Result<usize>,
    ) -> io::Result<usize> {
        #[cfg(fd_flag)]
        if self.flag.or_set(|| super::fd_flag::set(fd)) {
            return plain();
        }
        #[cfg(not(fd_flag))]
        let _ = fd;
        guard::run(len, plain)
    }
}
