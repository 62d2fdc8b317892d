//! Protected writes to a pipe, or to a descriptor of unknown kind. They use the write flag, else
//! the descriptor flag, else the guard. THE table says which of these a system has.
//!
//! The descriptor may be a socket, and something else at each call. So nothing is remembered: the
//! descriptor flag is set each time.

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

/// `Write::write_vectored`. It takes any number of slices, and cuts those that the system cannot
/// take at once, as std does.
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
    // XNU rejects F_SETNOSIGPIPE on a socket that is shut down, where the option may be set
    // already. On NetBSD the flag can be cleared, so the guard protects there. The flag only
    // spares the host's own handler.
    if (super::fd_flag::set(fd) || super::socket_option::set_on_borrowed(fd)) && cfg!(stays_set) {
        return plain(fd, bufs);
    }
    #[cfg(write_flag)]
    if super::write_flag::is_unproven() && !call::is_empty(bufs) {
        return unproven(fd, bufs, plain);
    }
    guard::run(total(bufs), || plain(fd, bufs))?
}

/// A write with the flag, or `otherwise` if the flag is not in use or is refused. The flag is also
/// used under a guard: foreign code or a forked child may have unblocked SIGPIPE.
#[inline]
fn by_flag_or(
    fd: BorrowedFd<'_>,
    bufs: &[IoSlice<'_>],
    otherwise: impl FnOnce() -> io::Result<usize>,
) -> io::Result<usize> {
    // Linux answers an empty pwritev2 without the file. A plain empty write asks the file (an
    // eventfd reports EINVAL).
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

/// For a flag that could not be tested. It is passed under the guard: if it works, no signal is
/// raised, which a sandbox may forbid to take. If no guard can be entered, the flag alone is better
/// than a write that fails.
#[cfg(write_flag)]
#[cold]
fn unproven(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>], plain: Plain) -> io::Result<usize> {
    // `None`: the flag is refused. A sandbox may also report success (0) without doing it.
    let flagged = || match call::pwritev2(fd, bufs, super::constant::RWF_NOSIGNAL) {
        Err(error) if super::trust::is_refusal_of_call(&error) => None,
        Ok(0) => None,
        answer => Some(answer),
    };
    // A pending SIGPIPE is the host's, which blocks it. A guard might take that one back.
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

/// A write to a regular file. If a pipe has taken the file's place, only a flag protects: a guard
/// would cost too many system calls for a rare case.
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

/// Tests the write flag if it is unproven. A pipe was just made, so the system allows `pipe2` now.
/// A sandbox that comes later may kill for it.
pub(crate) fn ask_about_write_flag() {
    #[cfg(write_flag)]
    super::write_flag::is_in_use();
}
