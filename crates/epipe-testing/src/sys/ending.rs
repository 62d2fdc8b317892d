//! Waits for the end of a child process.

#![allow(unsafe_code, reason = "pidfd_open is a raw call")]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use cfg_if::cfg_if;

use super::arrival::{Interest, poll};

/// Waits for a child's end, in steps of at most 10 ms.
pub(crate) struct Ending {
    /// A descriptor that is readable when the child has ended.
    event: Option<OwnedFd>,
    /// The pause between two checks, where there is no such descriptor.
    pause: Duration,
}

impl Ending {
    pub(crate) fn of(child: &Child) -> Ending {
        Ending { event: event(child), pause: Duration::from_micros(200) }
    }

    pub(crate) fn wait(&mut self, most: Duration) -> io::Result<()> {
        const LONGEST: Duration = Duration::from_millis(10);
        if let Some(event) = &self.event {
            let deadline = Instant::now() + most.min(LONGEST);
            return poll([(event.as_fd(), Interest::Read)], Some(deadline)).map(drop);
        }
        thread::sleep(self.pause.min(most));
        self.pause = (self.pause * 2).min(LONGEST);
        Ok(())
    }
}

cfg_if! {
    if #[cfg(target_os = "linux")] {
        /// Since Linux 5.3. Some sandboxes forbid it.
        fn event(child: &Child) -> Option<OwnedFd> {
            use std::os::fd::FromRawFd;

            // SAFETY: the call takes only numbers.
            let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) };
            // SAFETY: the kernel has just made this descriptor, and no other code owns it.
            (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd as _) })
        }
    } else {
        /// Other systems may have no such descriptor that leaves SIGCHLD to the program.
        fn event(_: &Child) -> Option<OwnedFd> {
            None
        }
    }
}
