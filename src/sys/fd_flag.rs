//! `fd_flag`: F_SETNOSIGPIPE, for pipes and FIFOs on Apple since 10.7 (xnu sys_generic.c looks at
//! it for all that is no socket) and on NetBSD (sys_generic.c looks at it for every file).
//!
//! The flag lives in the open file description, which dup, fork and SCM_RIGHTS share: so it
//! is set at the first write and not before (an end that goes to a child must reach it
//! untouched), and never on descriptors 0 to 2, which others gave to this process.

#![allow(unsafe_code, reason = "fcntl is variadic")]

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::climb::PipeTechnique;
use super::constant::F_SETNOSIGPIPE;
use super::technique::Technique;
use super::socket_option::Armed;

pub(crate) enum FdFlag {}

impl PipeTechnique for FdFlag {
    const TECHNIQUE: Technique = Technique::FdFlag;
    type Memory = Armed;

    fn is_trusted() -> bool {
        cfg!(not(epipe_refused = "fd_flag"))
    }

    fn write(
        memory: &Armed,
        fd: BorrowedFd<'_>,
        call: impl Fn() -> io::Result<usize> + Copy,
    ) -> Option<io::Result<usize>> {
        memory.or_arm(|| arm(fd)).then(call)
    }
}

fn arm(fd: BorrowedFd<'_>) -> bool {
    !cfg!(epipe_refused = "fd_flag")
        && fd.as_raw_fd() > 2
        // SAFETY: this command takes one integer, and the descriptor is borrowed.
        && unsafe { libc::fcntl(fd.as_raw_fd(), F_SETNOSIGPIPE, 1 as c_int) } != -1
}
