//! `write_flag`: RWF_NOSIGNAL, for pipes and descriptors of unknown kind on Linux 6.18.
//!
//! Merged for 6.18 (commit db2ab24a341c); an older kernel answers EOPNOTSUPP, one before
//! 4.6 ENOSYS, a seccomp filter EPERM or EACCES. It does nothing for splice, tee, vmsplice
//! and sendfile.

#![allow(unsafe_code, reason = "a raw system call")]

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use libc::{c_long, syscall};

use super::ThreadGuard;
use super::climb::{LastRung, PipeRung};
use super::constant::RWF_NOSIGNAL;
use super::refusal::{self, Verdict};

static VERDICT: Verdict = Verdict::new(cfg!(epipe_refused = "write_flag"));

pub(crate) enum WriteFlag {}

impl PipeRung for WriteFlag {
    type Memory = ();

    fn write(
        (): &(),
        fd: BorrowedFd<'_>,
        bufs: &[IoSlice<'_>],
        _: &impl Fn() -> io::Result<usize>,
    ) -> Option<io::Result<usize>> {
        // Under a guard the plain write is protected, and cheaper. An empty pwritev2 succeeds
        // without asking the file, which may have an opinion (eventfd's is EINVAL).
        let empty = bufs.iter().all(|buf| buf.is_empty());
        if VERDICT.is_refused() || ThreadGuard::held() || empty {
            return None;
        }
        match write_nosignal(fd, bufs) {
            Err(error) if is_refusal(&error) => {
                VERDICT.ask(question, is_refusal);
                None
            }
            answer => Some(answer),
        }
    }
}

/// The raw system call: musl before 1.2.5 and glibc before 2.26 have no `pwritev2`, and a
/// program that asks for it would not load.
fn write_nosignal(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    // Offset -1, in two words: the file's own position, O_APPEND and all, as write has it.
    const CURRENT: c_long = -1;
    // SAFETY: IoSlice is ABI-compatible with iovec, and `bufs` holds `bufs.len()` of them,
    // borrowed for the call.
    let written = unsafe {
        syscall(
            libc::SYS_pwritev2,
            fd.as_raw_fd(),
            bufs.as_ptr(),
            bufs.len() as c_long,
            CURRENT,
            CURRENT,
            RWF_NOSIGNAL,
        )
    };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}

fn is_refusal(error: &io::Error) -> bool {
    refusal::is_refusal(error) || matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES))
}

/// The same call, on a pipe of our own whose reader is gone.
fn question() -> io::Result<io::Result<usize>> {
    let (reader, writer) = io::pipe()?;
    drop(reader);
    Ok(ThreadGuard::own(1, || {
        write_nosignal(writer.as_fd(), &[IoSlice::new(&[0])])
    }))
}
