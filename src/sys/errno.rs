//! `errno`, which a guard leaves as the guarded call left it.

#![allow(unsafe_code, reason = "libc gives errno as a pointer")]

use std::io;

use cfg_if::cfg_if;
use libc::c_int;

cfg_if! {
    if #[cfg(any(
        target_os = "dragonfly",
        target_os = "hurd",
        target_os = "linux",
        target_os = "redox",
    ))] {
        use libc::__errno_location as location;
    } else if #[cfg(any(
        target_os = "android",
        target_os = "cygwin",
        target_os = "netbsd",
        target_os = "openbsd",
    ))] {
        use libc::__errno as location;
    } else if #[cfg(any(target_os = "freebsd", target_vendor = "apple"))] {
        use libc::__error as location;
    } else if #[cfg(any(target_os = "illumos", target_os = "solaris"))] {
        use libc::___errno as location;
    } else if #[cfg(target_os = "haiku")] {
        use libc::_errnop as location;
    } else if #[cfg(target_os = "nto")] {
        use libc::__get_errno_ptr as location;
    } else if #[cfg(target_os = "aix")] {
        use libc::_Errno as location;
    } else {
        // A Unix that this list does not know. The guard protects there too, but errno is what its
        // last call left.
        unsafe fn location() -> *mut c_int {
            thread_local! {
                static NOWHERE: std::cell::Cell<c_int> = const { std::cell::Cell::new(0) };
            }
            NOWHERE.with(std::cell::Cell::as_ptr)
        }
    }
}

/// Whether an error is EPIPE.
pub(crate) fn is_epipe(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EPIPE)
}

/// Restores errno on drop.
pub(crate) struct Keep(c_int);

impl Keep {
    pub(crate) fn new() -> Keep {
        Keep(io::Error::last_os_error().raw_os_error().unwrap_or(0))
    }
}

impl Drop for Keep {
    fn drop(&mut self) {
        // SAFETY: libc guarantees that its pointer to this thread's errno is valid as long as the
        // thread runs. Only this thread writes there.
        unsafe { *location() = self.0 };
    }
}
