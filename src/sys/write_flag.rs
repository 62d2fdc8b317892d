//! `write_flag`: RWF_NOSIGNAL, for pipes and descriptors of unknown kind on Linux 6.18.
//!
//! Merged for 6.18 (commit db2ab24a341c); an older kernel answers EOPNOTSUPP, one before
//! 4.6 ENOSYS, a seccomp filter EPERM or EACCES. It does nothing for splice, tee, vmsplice
//! and sendfile.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};

use super::call::pwritev2;
use super::climb::{LastRung, PipeRung};
use super::constant::RWF_NOSIGNAL;
use super::refusal::{Verdict, is_refusal_of_call};
use super::rung::{Call, Rung};
use super::{ThreadGuard, probe};

static VERDICT: Verdict = Verdict::new(cfg!(epipe_refused = "write_flag"));

pub(crate) enum WriteFlag {}

impl PipeRung for WriteFlag {
    const RUNG: Rung = Rung::WriteFlag;
    type Memory = ();

    fn is_trusted() -> bool {
        !VERDICT.is_refused()
    }

    fn verify() -> io::Result<Option<Call>> {
        if cfg!(epipe_refused = "write_flag") {
            return Ok(None);
        }
        VERDICT.verify(probe::write_flag, question, is_refusal_of_call)
    }

    #[inline]
    fn write(
        (): &(),
        fd: BorrowedFd<'_>,
        bufs: &[IoSlice<'_>],
        _: impl Fn() -> io::Result<usize> + Copy,
    ) -> Option<io::Result<usize>> {
        // An empty pwritev2 succeeds without asking the file, which may have an opinion (eventfd's
        // is EINVAL).
        if VERDICT.is_refused() || bufs.iter().all(|buf| buf.is_empty()) {
            return None;
        }
        match pwritev2(fd, bufs, RWF_NOSIGNAL) {
            Err(error) => unless_refused(error).map(Err),
            written => Some(written),
        }
    }
}

/// The error, unless it means that the flag is refused.
#[cold]
fn unless_refused(error: io::Error) -> Option<io::Error> {
    if !is_refusal_of_call(&error) {
        return Some(error);
    }
    VERDICT.ask(question, is_refusal_of_call);
    None
}

/// The same call, on a pipe of our own whose reader is gone.
fn question() -> io::Result<io::Result<usize>> {
    let pipe = probe::broken_pipe()?;
    let slices = [IoSlice::new(&[0])];
    Ok(ThreadGuard::own(1, || {
        pwritev2(pipe.as_fd(), &slices, RWF_NOSIGNAL)
    }))
}
