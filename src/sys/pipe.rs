//! What this crate writes to a pipe, or to a descriptor of unknown kind, protected: the write flag;
//! else the descriptor flag; else the guard. THE table says which of these a system has.
//!
//! What is written to here may be a socket. Where there is a descriptor flag, a socket gets the
//! option in its place: on NetBSD the next setsockopt of anybody would erase the flag.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use super::{call, guard, total};

/// What one descriptor remembers: whether it carries the option (then it is a socket), or the flag.
/// Nothing on systems without them.
#[derive(Default)]
pub(crate) struct PipeState {
    #[cfg(fd_flag)]
    option: super::socket_option::Remembered,
    #[cfg(fd_flag)]
    flag: super::socket_option::Remembered,
}

/// The same write without a flag.
type Plain = fn(BorrowedFd<'_>, &[IoSlice<'_>]) -> io::Result<usize>;

impl PipeState {
    /// `Write::write`.
    #[inline]
    pub(crate) fn write(&self, fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<usize> {
        // Under a guard the plain call is protected, and cheaper than any technique.
        if guard::is_held() {
            return guard::run_held(fd, buf.len(), |fd| call::write(fd, buf));
        }
        self.run(fd, &[IoSlice::new(buf)], |fd, bufs| call::write(fd, &bufs[0]))
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
        if guard::is_held() {
            return guard::run_held(fd, total(bufs), |fd| call::write_vectored(fd, bufs));
        }
        self.run(fd, bufs, call::write_vectored)
    }

    #[inline]
    fn run(&self, fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>], plain: Plain) -> io::Result<usize> {
        // An empty pwritev2 succeeds without asking the file, which may have an opinion (eventfd's
        // is EINVAL).
        #[cfg(write_flag)]
        if super::write_flag::is_in_use() && !call::is_empty(bufs) {
            match call::pwritev2(fd, bufs, super::constant::RWF_NOSIGNAL) {
                Ok(written) => return Ok(written),
                Err(error) => super::write_flag::unless_refused(error)?,
            }
        }
        self.run_otherwise(fd, bufs, plain)
    }

    #[inline(never)]
    fn run_otherwise(
        &self,
        fd: BorrowedFd<'_>,
        bufs: &[IoSlice<'_>],
        plain: Plain,
    ) -> io::Result<usize> {
        #[cfg(fd_flag)]
        if self.option.or_set(|| super::socket_option::set_on_borrowed(fd))
            || self.flag.or_set(|| super::fd_flag::set(fd))
        {
            return plain(fd, bufs);
        }
        guard::run(total(bufs), || plain(fd, bufs))
    }
}
