//! OpenSSL's own socket BIO, for systems without SIGPIPE.

#![allow(unsafe_code, reason = "OpenSSL is C")]

use std::ffi::c_int;
use std::io;

use openssl_sys::{BIO, BIO_new_socket};

/// Checks nothing, like OpenSSL.
pub(super) fn check(_: c_int) -> io::Result<()> {
    Ok(())
}

/// Makes a new BIO, or returns null.
///
/// # Safety
///
/// That of `BIO_new_socket`.
pub(super) unsafe fn new_bio(fd: c_int, close_flag: c_int) -> *mut BIO {
    // SAFETY: the caller keeps the contract of `BIO_new_socket`.
    unsafe { BIO_new_socket(fd, close_flag) }
}
