//! `write_flag`: RWF_NOSIGNAL, for pipes and descriptors of unknown kind on Linux 6.18 and later.
//!
//! Merged for 6.18 (commit db2ab24a341c); an older kernel answers EOPNOTSUPP, one before
//! 4.6 ENOSYS, a seccomp filter EPERM or EACCES. It does nothing for splice, tee, vmsplice
//! and sendfile.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;

use super::call::pwritev2;
use super::constant::RWF_NOSIGNAL;
use super::technique::Call;
use super::trust::{Trust, is_refusal_of_call};
use super::{guard, probe};

static TRUST: Trust = Trust::new(cfg!(epipe_refused = "write_flag"), question, is_refusal_of_call);

/// Whether this process passes the flag.
#[inline]
pub(super) fn is_in_use() -> bool {
    !TRUST.is_refused()
}

/// Asks whether the call raises in spite of the flag. If it does, the flag is switched off.
pub(super) fn verify() -> io::Result<Option<Call>> {
    let is_refused = cfg!(epipe_refused = "write_flag");
    if is_refused { Ok(None) } else { TRUST.verify(probe::write_flag) }
}

/// The error is the answer, unless it means that the flag is refused.
#[cold]
pub(super) fn unless_refused(error: io::Error) -> io::Result<()> {
    if !is_refusal_of_call(&error) {
        return Err(error);
    }
    TRUST.ask();
    Ok(())
}

/// A write with the flag, on a pipe of our own whose reader is gone.
fn question() -> io::Result<io::Result<usize>> {
    let pipe = probe::broken_pipe()?;
    Ok(guard::run(1, || pwritev2(pipe.as_fd(), &[IoSlice::new(&[0])], RWF_NOSIGNAL)))
}
