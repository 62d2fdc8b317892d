//! Whether this process may use a flag: which errors mean that it is refused, and the private
//! question that decides for the whole process.

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};

use super::technique::Call;

/// Whether an error may mean "I do not know this flag". EPERM is not among them: a firewall answers
/// a send so. EINVAL and the rest may also be about the caller's own arguments. The call is
/// repeated without the flag either way, and nothing was sent.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EINVAL | libc::EOPNOTSUPP | libc::ENOPROTOOPT | libc::ENOSYS)
    )
}

/// For calls that a seccomp filter may forbid: EPERM and EACCES are refusals too.
pub(crate) fn is_refusal_of_call(error: &io::Error) -> bool {
    is_refusal(error)
        || matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES))
        // Apple's sendfile of what is no regular file; on most systems it is EOPNOTSUPP.
        || error.raw_os_error() == Some(libc::ENOTSUP)
}

const UNASKED: u8 = 0;
const HONOURED: u8 = 1;
const REFUSED: u8 = 2;

/// Whether this process may use a flag.
///
/// Only a question on the crate's own pipe or socket pair switches a flag off for the whole
/// process. A caller's descriptor never does: eventfd, /dev/full and files of /proc refuse flags
/// that every pipe honours, and so do some address families.
pub(crate) struct Trust {
    found: AtomicU8,
    /// A call with the flag on something private and broken: EPIPE if the flag works. An error of
    /// preparing it (EMFILE) means: ask another time.
    question: fn() -> io::Result<io::Result<usize>>,
    is_refusal: fn(&io::Error) -> bool,
}

impl Trust {
    pub(crate) const fn new(
        is_refused: bool,
        question: fn() -> io::Result<io::Result<usize>>,
        is_refusal: fn(&io::Error) -> bool,
    ) -> Trust {
        let found = AtomicU8::new(if is_refused { REFUSED } else { UNASKED });
        Trust { found, question, is_refusal }
    }

    /// Whether the private question found that the flag works.
    pub(crate) fn is_honoured(&self) -> bool {
        self.found.load(Ordering::Relaxed) == HONOURED
    }

    /// Relaxed: the worst that a late reader does is one more refused call.
    #[inline]
    pub(crate) fn is_refused(&self) -> bool {
        self.found.load(Ordering::Relaxed) == REFUSED
    }

    /// After a refusal: asks once whether it holds for the whole process.
    pub(crate) fn ask(&self) {
        if self.found.load(Ordering::Relaxed) == UNASKED {
            let found = self.answer();
            // Unless another thread has switched it off since.
            let order = Ordering::Relaxed;
            let _ = self.found.compare_exchange(UNASKED, found, order, order);
        }
    }

    /// Asks whether the flag is silently ignored, and if not, whether it is refused. Either
    /// switches it off, whatever was found before.
    pub(crate) fn verify(
        &self,
        probe: fn() -> io::Result<Option<Call>>,
    ) -> io::Result<Option<Call>> {
        let ignored = probe();
        // That it works now decides nothing: a sandbox may come later, and the first refusal asks.
        let is_silent = matches!(ignored, Ok(Some(_)));
        if is_silent || matches!(ignored, Ok(None)) && self.answer() == REFUSED {
            self.found.store(REFUSED, Ordering::Relaxed);
        }
        ignored
    }

    /// What the private question found.
    fn answer(&self) -> u8 {
        match (self.question)() {
            Ok(Err(error)) if error.raw_os_error() == Some(libc::EPIPE) => HONOURED,
            Ok(Err(error)) if (self.is_refusal)(&error) => REFUSED,
            _ => UNASKED,
        }
    }
}
