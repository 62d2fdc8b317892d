//! What this crate writes to a pipe, or to a descriptor of unknown kind, protected: the write flag;
//! else the descriptor flag; else the guard. THE table says which of these a system has.
//!
//! What is written to here may be a socket, and another thing at each call. So nothing is
//! remembered: the descriptor flag is set each time.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use super::{call, guard, total};

/// The same write without a flag.
pub(super) type Plain = fn(BorrowedFd<'_>, &[IoSlice<'_>]) -> io::Result<usize>;

/// `Write::write`.
#[inline]
pub(crate) fn write(fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<usize> {
    run(fd, &[IoSlice::new(buf)], |fd, bufs| call::write(fd, &bufs[0]))
}

/// `Write::write_vectored`. Any number of slices: what the system cannot take at once is cut,
/// as std does.
#[inline]
pub(crate) fn write_vectored(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    run(fd, call::cut(bufs), call::write_vectored)
}

#[inline]
fn run(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>], plain: Plain) -> io::Result<usize> {
    by_flag_or(fd, bufs, || run_otherwise(fd, bufs, plain))
}

#[inline(never)]
fn run_otherwise(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>], plain: Plain) -> io::Result<usize> {
    #[cfg(fd_flag)]
    // XNU refuses to set it on a socket that is shut down, but may tell that it is set. What does
    // not stay set spares a host its own handler; there the guard protects.
    if (super::fd_flag::set(fd) || super::socket_option::set_on_borrowed(fd)) && cfg!(stays_set) {
        return plain(fd, bufs);
    }
    #[cfg(write_flag)]
    if super::write_flag::is_unproven() && !call::is_empty(bufs) {
        return unproven(fd, bufs, plain);
    }
    guard::run(total(bufs), || plain(fd, bufs))?
}

/// A write with the flag; `otherwise` if that is not in use, or refused. Under a guard too: foreign
/// code or a forked child may have unblocked SIGPIPE.
#[inline]
fn by_flag_or(
    fd: BorrowedFd<'_>,
    bufs: &[IoSlice<'_>],
    otherwise: impl FnOnce() -> io::Result<usize>,
) -> io::Result<usize> {
    // Linux answers an empty pwritev2 by itself. A plain empty write asks the file (an eventfd:
    // EINVAL).
    #[cfg(write_flag)]
    if super::write_flag::is_in_use() && !call::is_empty(bufs) {
        match call::pwritev2(fd, bufs, super::constant::RWF_NOSIGNAL) {
            Ok(written) => return Ok(written),
            Err(error) => super::write_flag::unless_refused(fd, error)?,
        }
    }
    #[cfg(not(write_flag))]
    let _ = (fd, bufs);
    otherwise()
}

/// The flag could not be asked about. It is passed under the guard: if it works, no signal is
/// raised that a sandbox may forbid to take. Where no guard can be entered, it is better than a
/// write that fails.
#[cfg(write_flag)]
#[cold]
fn unproven(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>], plain: Plain) -> io::Result<usize> {
    // None: it is refused. A sandbox may also report success without doing it.
    let flagged = || match call::pwritev2(fd, bufs, super::constant::RWF_NOSIGNAL) {
        Err(error) if super::trust::is_refusal_of_call(&error) => None,
        Ok(0) => None,
        answer => Some(answer),
    };
    // One that is pending is the host's, which blocks it. To take one back might take that one.
    if matches!(super::signal::pending(), Ok(true)) {
        if let Some(answer) = flagged() {
            return answer;
        }
    }
    match guard::run(total(bufs), || flagged().unwrap_or_else(|| plain(fd, bufs))) {
        Ok(answer) => answer,
        Err(error) => flagged().unwrap_or(Err(error)),
    }
}

/// A write to a regular file, which may be swapped for a pipe. A flag protects it then; a guard
/// costs too many system calls for what is rare.
#[inline]
pub(super) fn write_to_file(
    fd: BorrowedFd<'_>,
    bufs: &[IoSlice<'_>],
    plain: Plain,
) -> io::Result<usize> {
    by_flag_or(fd, bufs, || {
        #[cfg(fd_flag)]
        super::fd_flag::set(fd);
        plain(fd, bufs)
    })
}

/// A pipe was just made, so the system allows it: asks about the write flag now, if it is unproven.
/// A sandbox that comes later may kill for it.
pub(crate) fn ask_about_write_flag() {
    #[cfg(write_flag)]
    super::write_flag::is_in_use();
}
