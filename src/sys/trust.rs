//! Whether this process may use a flag: which errors may mean that it is refused, and what the
//! questions on the crate's own pipes and sockets have found so far.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU32};

use super::technique::Call;

/// Whether an error may mean "I do not know this flag". EPERM is not among them: a firewall answers
/// a send so. The others may also concern the caller's arguments, or be an error that a socket
/// reports once: a question on a socket of the crate's own decides. Nothing was sent in any case.
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

/// What a question on something of the crate's own has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The flag works.
    Honoured,
    /// It is refused, or silently ignored.
    Refused,
    /// The question could not be asked now.
    Nothing,
}

impl Found {
    /// What the answer to a call with the flag says, on a broken pipe or socket of the crate's own.
    pub(crate) fn of(answer: io::Result<usize>, is_refusal: fn(&io::Error) -> bool) -> Found {
        match answer {
            Err(error) if error.raw_os_error() == Some(libc::EPIPE) => Found::Honoured,
            Err(error) if is_refusal(&error) => Found::Refused,
            _ => Found::Nothing,
        }
    }
}

const UNASKED: u8 = 0;
const HONOURED: u8 = 1;
const REFUSED: u8 = 2;

/// What is known of one flag in this process.
///
/// Only a question on the crate's own pipe or socket changes it. A caller's descriptor never does:
/// eventfd, /dev/full and files of /proc refuse flags that every pipe honours, and so do some
/// address families.
pub(crate) struct Trust {
    state: AtomicU8,
    occasions: AtomicU32,
}

impl Trust {
    pub(crate) const fn new(is_refused: bool) -> Trust {
        let state = AtomicU8::new(if is_refused { REFUSED } else { UNASKED });
        Trust { state, occasions: AtomicU32::new(0) }
    }

    /// Relaxed, here and below: the worst that a late reader does is one more question, or one more
    /// refused call.
    #[inline]
    pub(crate) fn is_honoured(&self) -> bool {
        self.state.load(Relaxed) == HONOURED
    }

    #[inline]
    pub(crate) fn is_refused(&self) -> bool {
        self.state.load(Relaxed) == REFUSED
    }

    /// Neither honoured nor refused.
    #[inline]
    pub(crate) fn is_unproven(&self) -> bool {
        self.state.load(Relaxed) == UNASKED
    }

    /// Asks, if nothing is known and a question is due: at the first occasion; then at the second,
    /// fourth, eighth and so on, if it could not be asked.
    pub(crate) fn ask(&self, question: fn() -> Found) {
        let is_due = || self.occasions.fetch_add(1, Relaxed).wrapping_add(1).is_power_of_two();
        if self.is_unproven() && is_due() {
            self.note(question());
        }
    }

    /// Asks by `probe` whether the flag is silently ignored, and if not, `question`.
    pub(crate) fn verify(
        &self,
        probe: fn() -> io::Result<Option<Call>>,
        question: fn() -> Found,
    ) -> io::Result<Option<Call>> {
        let ignored = probe();
        match ignored {
            Ok(Some(_)) => self.note(Found::Refused),
            Ok(None) => self.note(question()),
            Err(_) => {}
        }
        ignored
    }

    /// That a flag is refused is final. That it works is not: a sandbox may come later.
    pub(crate) fn note(&self, found: Found) {
        match found {
            // Another thread may have found that it is refused meanwhile; that stays.
            Found::Honoured => {
                let _ = self.state.compare_exchange(UNASKED, HONOURED, Relaxed, Relaxed);
            }
            Found::Refused => self.state.store(REFUSED, Relaxed),
            Found::Nothing => {}
        }
    }
}
