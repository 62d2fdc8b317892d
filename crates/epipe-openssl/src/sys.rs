//! `errno`, where a C function reports why it failed.

#![allow(unsafe_code, reason = "errno is behind a pointer")]

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
        // This Unix is not in the list: errno stays as the last call left it.
        unsafe fn location() -> *mut c_int {
            thread_local! {
                static NOWHERE: std::cell::Cell<c_int> = const { std::cell::Cell::new(0) };
            }
            NOWHERE.with(std::cell::Cell::as_ptr)
        }
    }
}

pub(crate) fn set_errno(code: c_int) {
    // SAFETY: libc's pointer to this thread's errno is valid while the thread runs, and no other
    // thread writes there.
    unsafe { *location() = code };
}

/// Returns whether a socket call that failed with this code may be repeated, like
/// `BIO_sock_non_fatal_error`.
pub(crate) fn is_non_fatal(code: c_int) -> bool {
    // The first two are the same number on most systems.
    code == libc::EWOULDBLOCK
        || matches!(
            code,
            libc::EAGAIN
                | libc::EALREADY
                | libc::EINPROGRESS
                | libc::EINTR
                | libc::ENOTCONN
                | libc::EPROTO
        )
}
