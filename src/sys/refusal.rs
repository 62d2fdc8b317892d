//! When a technique is refused: which errors say so, and the private question.

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};

use super::technique::Call;

/// Whether an error may mean "I do not know this flag". EPERM is not among them: a firewall
/// answers a send so. EINVAL and the rest may also be about the caller's own
/// arguments; the call is repeated without the flag either way, and nothing was sent.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EINVAL | libc::EOPNOTSUPP | libc::ENOPROTOOPT | libc::ENOSYS)
    )
}

/// The same of a call that a seccomp filter may forbid, and that nothing else answers so.
pub(crate) fn is_refusal_of_call(error: &io::Error) -> bool {
    is_refusal(error)
        || matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES))
        // Apple's sendfile of what is no regular file; on most systems it is EOPNOTSUPP.
        || error.raw_os_error() == Some(libc::ENOTSUP)
}

const UNASKED: u8 = 0;
const HONOURED: u8 = 1;
const REFUSED: u8 = 2;

/// Whether this process may use a technique.
///
/// Only a question on the crate's own pipe or socket pair switches a technique off for the whole
/// process. A caller's descriptor never does: eventfd, /dev/full and files of /proc refuse
/// flags that every pipe honours, and so do some address families.
pub(crate) struct Verdict(AtomicU8);

impl Verdict {
    /// `refused` is the packager's word.
    pub(crate) const fn new(refused: bool) -> Verdict {
        Verdict(AtomicU8::new(if refused { REFUSED } else { UNASKED }))
    }

    /// Whether the private question found the technique honest.
    pub(crate) fn is_honoured(&self) -> bool {
        self.0.load(Ordering::Relaxed) == HONOURED
    }

    /// Relaxed: the worst that a late reader does is one more refused call.
    pub(crate) fn is_refused(&self) -> bool {
        self.0.load(Ordering::Relaxed) == REFUSED
    }

    /// After a refusal: asks once whether it speaks for the whole process.
    ///
    /// `question` makes the same call on something private and broken, whose honest answer
    /// is EPIPE. Any error of making it (EMFILE) means: ask another time.
    pub(crate) fn ask(
        &self,
        question: impl FnOnce() -> io::Result<io::Result<usize>>,
        is_refusal: impl FnOnce(&io::Error) -> bool,
    ) {
        if self.0.load(Ordering::Relaxed) != UNASKED {
            return;
        }
        let verdict = match answer(question, is_refusal) {
            Some(verdict) => verdict,
            None => return,
        };
        // Unless another thread has found a lie since.
        let _ = self
            .0
            .compare_exchange(UNASKED, verdict, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Asks whether the technique lies, and if not, whether it is refused. A liar is not used again,
    /// whatever was found before.
    pub(crate) fn verify(
        &self,
        probe: impl FnOnce() -> io::Result<Option<Call>>,
        question: impl FnOnce() -> io::Result<io::Result<usize>>,
        is_refusal: impl FnOnce(&io::Error) -> bool,
    ) -> io::Result<Option<Call>> {
        let lie = probe();
        // Honest now is no verdict: a sandbox may come later, and the first refusal asks then.
        let is_out = match lie {
            Ok(Some(_)) => true,
            Ok(None) => answer(question, is_refusal) == Some(REFUSED),
            Err(_) => false,
        };
        if is_out {
            self.0.store(REFUSED, Ordering::Relaxed);
        }
        lie
    }
}

/// What the private question tells, if it could be asked.
fn answer(
    question: impl FnOnce() -> io::Result<io::Result<usize>>,
    is_refusal: impl FnOnce(&io::Error) -> bool,
) -> Option<u8> {
    match question() {
        Ok(Err(error)) if error.raw_os_error() == Some(libc::EPIPE) => Some(HONOURED),
        Ok(Err(error)) if is_refusal(&error) => Some(REFUSED),
        _ => None,
    }
}
