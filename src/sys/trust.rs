//! Whether this process may use a flag. It depends on the errors that may mean a refusal, and on
//! what the tests on the crate's own pipes and sockets have found so far.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU32};

use super::technique::Call;

/// Whether an error may mean that the system does not know the flag.
///
/// These errors may also concern the caller's arguments, or be an error that a socket reports once.
/// So a test on a socket of the crate's own decides. In each case nothing was sent. EPERM is not
/// one of them: a firewall answers a send with it.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EINVAL | libc::EOPNOTSUPP | libc::ENOPROTOOPT | libc::ENOSYS)
    )
}

/// The same for calls that a seccomp filter may forbid: EPERM and EACCES are refusals too.
pub(crate) fn is_refusal_of_call(error: &io::Error) -> bool {
    is_refusal(error)
        || matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES))
        // Apple's sendfile reports it if the file is not regular. On most systems ENOTSUP is
        // EOPNOTSUPP.
        || error.raw_os_error() == Some(libc::ENOTSUP)
}

/// What a test on a pipe or socket of the crate's own has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The flag works.
    Honoured,
    /// The flag is refused or silently ignored.
    Refused,
    /// The test could not be made now.
    Nothing,
}

impl Found {
    /// The meaning of the answer to a call with the flag, on a broken pipe or socket of the crate's
    /// own.
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
/// Only a test on a pipe or socket of the crate's own changes it. A call on a caller's descriptor
/// does not: eventfd, /dev/full, files of /proc and some address families refuse flags that every
/// pipe honours.
pub(crate) struct Trust {
    state: AtomicU8,
    occasions: AtomicU32,
}

impl Trust {
    pub(crate) const fn new(is_refused: bool) -> Trust {
        let state = AtomicU8::new(if is_refused { REFUSED } else { UNASKED });
        Trust { state, occasions: AtomicU32::new(0) }
    }

    /// Relaxed, here and below: a thread that reads an old value makes one more test, or one more
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

    /// Makes the test if nothing is known and a test is due: at the first occasion. If it could not
    /// be made, it is due again at the second, fourth, eighth and so on.
    pub(crate) fn ask(&self, question: fn() -> Found) {
        let is_due = || self.occasions.fetch_add(1, Relaxed).wrapping_add(1).is_power_of_two();
        if self.is_unproven() && is_due() {
            self.note(question());
        }
    }

    /// Tests by `probe` whether the flag is silently ignored. If it is not, asks `question`.
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

    /// `Refused` is final. `Honoured` is not: a sandbox may come later.
    pub(crate) fn note(&self, found: Found) {
        match found {
            // Another thread may have noted `Refused` meanwhile. That stays.
            Found::Honoured => {
                let _ = self.state.compare_exchange(UNASKED, HONOURED, Relaxed, Relaxed);
            }
            Found::Refused => self.state.store(REFUSED, Relaxed),
            Found::Nothing => {}
        }
    }
}
