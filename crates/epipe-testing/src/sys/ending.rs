//! When a child ends.

#![allow(unsafe_code, reason = "pidfd_open is a raw call")]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use cfg_if::cfg_if;

use super::arrival::{Wish, poll};

/// Wakes when a child has ended, or sooner.
pub(crate) struct Ending {
    /// It is readable when the child has ended.
    event: Option<OwnedFd>,
    /// Without it the child has to be asked again and again.
    pause: Duration,
}

impl Ending {
    pub(crate) fn of(child: &Child) -> Ending {
        Ending { event: event(child), pause: Duration::from_micros(200) }
    }

    /// Waits for it, but not for longer than that, and than 10 ms.
    pub(crate) fn wait(&mut self, most: Duration) -> io::Result<()> {
        const LONGEST: Duration = Duration::from_millis(10);
        if let Some(event) = &self.event {
            let deadline = Instant::now() + most.min(LONGEST);
            return poll([(event.as_fd(), Wish::Read)], Some(deadline)).map(drop);
        }
        thread::sleep(self.pause.min(most));
        self.pause = (self.pause * 2).min(LONGEST);
        Ok(())
    }
}

cfg_if! {
    if #[cfg(target_os = "linux")] {
        /// Linux has it from 5.3, and some sandboxes refuse it.
        fn event(child: &Child) -> Option<OwnedFd> {
            use std::os::fd::FromRawFd;

            // SAFETY: the call takes numbers.
            let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) };
            // SAFETY: a new descriptor, which nobody else owns.
            (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd as _) })
        }
    } else {
        /// Not all systems have one that leaves SIGCHLD to the program.
        fn event(_: &Child) -> Option<OwnedFd> {
            None
        }
    }
}
