//! `write_flag`: RWF_NOSIGNAL, for pipes and descriptors of unknown kind on Linux 6.18.
//!
//! Merged for 6.18 (commit db2ab24a341c); an older kernel answers EOPNOTSUPP, one before
//! 4.6 ENOSYS, a seccomp filter EPERM or EACCES. It does nothing for splice, tee, vmsplice
//! and sendfile.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};

use super::call::pwritev2;
use super::climb::{LastTechnique, PipeTechnique, is_empty};
use super::constant::RWF_NOSIGNAL;
use super::refusal::{Verdict, is_refusal_of_call};
use super::technique::{Call, Technique};
use super::{ThreadGuard, probe};

static VERDICT: Verdict = Verdict::new(cfg!(epipe_refused = "write_flag"));

pub(crate) enum WriteFlag {}

impl PipeTechnique for WriteFlag {
    const TECHNIQUE: Technique = Technique::WriteFlag;
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
    fn straight(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> Option<io::Result<usize>> {
        // An empty pwritev2 succeeds without asking the file, which may have an opinion (eventfd's
        // is EINVAL).
        let may = !VERDICT.is_refused() && !is_empty(bufs);
        may.then(|| pwritev2(fd, bufs, RWF_NOSIGNAL))
    }

    fn unless_refused(error: io::Error) -> Option<io::Error> {
        if !is_refusal_of_call(&error) {
            return Some(error);
        }
        VERDICT.ask(question, is_refusal_of_call);
        None
    }

    /// What goes straight it does not refuse; what does not, it does.
    fn write(
        (): &(),
        _: BorrowedFd<'_>,
        _: impl Fn() -> io::Result<usize> + Copy,
    ) -> Option<io::Result<usize>> {
        None
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
