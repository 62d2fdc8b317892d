//! Where no SIGPIPE exists: OpenSSL's own socket BIO.

#![allow(unsafe_code, reason = "OpenSSL is C")]

use std::ffi::c_int;
use std::io;

use openssl_sys::{BIO, BIO_new_socket};

/// Nothing is asked: OpenSSL asks nothing either.
pub(super) fn check(_: c_int) -> io::Result<()> {
    Ok(())
}

/// A new BIO, or null.
///
/// # Safety
///
/// As `BIO_new_socket`.
pub(super) unsafe fn new_bio(fd: c_int, close_flag: c_int) -> *mut BIO {
    // SAFETY: the caller keeps its contract.
    unsafe { BIO_new_socket(fd, close_flag) }
}
