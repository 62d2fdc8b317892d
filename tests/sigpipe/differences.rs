//! Collects the rows of a table in which our answer differs from std's, and reports them at the
//! end.

use std::fmt::{Debug, Display};
use std::io;

use epipe::sigpipe::suppressed;

use crate::rows::Call;
use crate::suites::rejected;
use crate::support::{is_blocked, is_pending};

#[derive(Default)]
pub struct Differences(Vec<String>);

impl Differences {
    /// Makes both calls, std's under a guard, and notes a difference.
    #[allow(dead_code, reason = "only the tables of Linux's errors use it")]
    pub fn compare(&mut self, what: impl Display, ours: &mut Call, std: &mut Call) {
        let ours = ours();
        self.note_left(&what);
        let before = rejected();
        let std = suppressed(std).unwrap();
        // A library that rejects std's flag leaves no answer to compare with.
        if rejected() == before {
            self.same(what, &comparable(ours), &comparable(std));
        }
    }

    pub fn same<T: PartialEq + Debug>(&mut self, what: impl Display, ours: &T, std: &T) {
        if ours != std {
            self.0.push(format!("{what}: ours {ours:?}, std's {std:?}"));
        }
    }

    /// Notes a SIGPIPE that a call has left blocked or pending.
    pub fn note_left(&mut self, what: impl Display) {
        if is_blocked() || is_pending() {
            self.0.push(format!("{what}: SIGPIPE is left blocked or pending"));
        }
    }

    #[track_caller]
    pub fn assert_none(self) {
        let shown = self.0.len().min(30);
        assert!(self.0.is_empty(), "{} differ:\n{}", self.0.len(), self.0[..shown].join("\n"));
    }
}

/// An answer that can be compared.
pub fn comparable(answer: io::Result<u64>) -> Result<u64, String> {
    answer.map_err(|error| format!("{:?}: {error}", error.kind()))
}
