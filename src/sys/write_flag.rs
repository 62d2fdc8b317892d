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
        match pwritev2(fd, bufs, RWF_NOSIGNAL) {
            Err(error) if is_refusal_of_call(&error) => {
                VERDICT.ask(question, is_refusal_of_call);
                None
            }
            answer => Some(answer),
        }
    }
}

/// The same call, on a pipe of our own whose reader is gone.
fn question() -> io::Result<io::Result<usize>> {
    let pipe = probe::broken_pipe()?;
    let slices = [IoSlice::new(&[0])];
    Ok(ThreadGuard::own(1, || {
        pwritev2(pipe.as_fd(), &slices, RWF_NOSIGNAL)
    }))
}
