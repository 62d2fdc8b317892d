//! A library that a host loads by `dlopen`, for `tests/loaded.rs`. Each thread's copy of its
//! thread-locals is then allocated by malloc, when the thread first uses them.

#![cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
#![allow(unsafe_code, reason = "a host finds a function by its name")]

use std::ffi::{c_int, c_long};
use std::io;
use std::os::fd::BorrowedFd;

/// Writes by `epipe::raw::write`. Returns an `errno`, or 0.
#[unsafe(no_mangle)]
pub extern "C" fn raw_write(fd: c_int) -> c_long {
    // SAFETY: the host's descriptor is open.
    errno(epipe::raw::write(unsafe { BorrowedFd::borrow_raw(fd) }, b"x"))
}

/// Writes by `write(2)` under a guard. Returns an `errno`, or 0.
#[unsafe(no_mangle)]
pub extern "C" fn guarded_write(fd: c_int) -> c_long {
    let answer = epipe::sigpipe::suppressed(|| {
        // SAFETY: the buffer is valid for the call.
        let written = unsafe { libc::write(fd, b"x".as_ptr().cast(), 1) };
        usize::try_from(written).map_err(|_| io::Error::last_os_error())
    });
    errno(answer.and_then(|written| written))
}

fn errno(answer: io::Result<usize>) -> c_long {
    answer.err().map_or(0, |error| error.raw_os_error().unwrap_or(-1).into())
}
