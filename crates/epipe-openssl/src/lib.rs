//! A socket for OpenSSL whose peer may vanish: [`set_fd`], [`set_rfd`] and [`set_wfd`] in place of
//! `SSL_set_fd`, `SSL_set_rfd` and `SSL_set_wfd`, and [`bio`] in place of `BIO_new_socket`.
//!
//! **Call none of OpenSSL's own after these.** `SSL_set_fd` and `SSL_set_wfd` put OpenSSL's own BIO
//! back, without an error, and the next write to a vanished peer kills again.
//!
//! The BIO that OpenSSL's own functions install writes by `write(2)`: `SSL_write`, `SSL_shutdown`
//! and `SSL_do_handshake` kill the process when the peer is gone. The one that is made here sends
//! with the flag or option that the system has, and otherwise does what OpenSSL's does.
//!
//! ```
//! use std::net::TcpStream;
//! # #[cfg(unix)]
//! use std::os::fd::AsRawFd;
//!
//! use openssl_sys::{SSL, SSL_connect};
//!
//! # #[cfg(unix)]
//! /// Shakes hands over a stream that outlives the `SSL`.
//! unsafe fn connect(ssl: *mut SSL, stream: &TcpStream) -> Result<bool, epipe_openssl::Error> {
//!     unsafe {
//!         epipe_openssl::set_fd(ssl, stream.as_raw_fd())?; // was: SSL_set_fd(ssl, fd)
//!         Ok(SSL_connect(ssl) == 1)
//!     }
//! }
//! ```
//!
//! With the `openssl` crate the pointer is `ssl.as_ptr()`, by `foreign_types::ForeignTypeRef` (the
//! crate foreign-types 0.3).
//!
//! The `openssl` crate's `SslStream` writes by its stream's own `write`, one buffer at a time. Over
//! the `TcpStream` and `UnixStream` of std it needs none of this, over any other handle an
//! `epipe::NoSigpipe`.
//!
//! # The same
//!
//! * `SSL_get_fd`, `BIO_get_fd` and `BIO_find_type(…, BIO_TYPE_DESCRIPTOR)` find the descriptor.
//! * A call that would block sets the retry flags, so `SSL_get_error` says `WANT_READ` or
//!   `WANT_WRITE`. The end of the stream is `BIO_eof`. After an error `errno` is the system call's:
//!   `SSL_ERROR_SYSCALL` with `EPIPE` is the vanished peer.
//! * `BIO_set_fd`, `BIO_get_close`, `BIO_set_close`, `BIO_flush`, `BIO_puts`.
//!
//! # Limits
//!
//! What OpenSSL's socket BIO has and this one has not:
//! * kernel TLS: the option `SSL_OP_ENABLE_KTLS` has no effect (`BIO_get_ktls_send` is 0), for the
//!   kernel would have to be given each record's type beside the bytes;
//! * TCP fast open (from OpenSSL 3.2), and `BIO_get_rpoll_descriptor` (there is `SSL_get_fd`);
//! * the type `BIO_TYPE_SOCKET`: it has one of its own with `BIO_TYPE_DESCRIPTOR`;
//! * descriptors that are no sockets: `BIO_set_fd` takes one, and each write then fails
//!   (`ENOTSOCK`);
//! * a copy by `BIO_dup_chain` has no descriptor until `BIO_set_fd` gives it one.
//!
//! Code that must keep OpenSSL's own BIO puts `epipe::sigpipe::suppressed(|| SSL_write(…))` around
//! that call and every other that does I/O: `SSL_connect`, `SSL_accept`, `SSL_do_handshake`,
//! `SSL_read`, `SSL_peek`, `SSL_shutdown`.
//!
//! This crate is not for QUIC, whose datagrams raise no signal.
//!
//! # Platforms
//!
//! On Windows, where no SIGPIPE exists, it installs OpenSSL's own BIO. Tested with OpenSSL 3.0; it
//! needs 1.1.0 or later, or LibreSSL 2.7.

#![allow(unsafe_code, reason = "OpenSSL is C")]

use std::ffi::{CStr, c_char, c_int, c_ulong};
use std::fmt;
use std::io;

pub use openssl_sys::{BIO, SSL};
use openssl_sys::{
    ERR_get_error, ERR_lib_error_string, ERR_reason_error_string, SSL_get_rbio, SSL_get_wbio,
    SSL_set_bio,
};
use thiserror::Error;

#[cfg(unix)]
mod socket;
#[cfg(unix)]
mod sys;

#[cfg(not(unix))]
mod built_in;

#[cfg(not(unix))]
use built_in::{check, new_bio};
#[cfg(unix)]
use socket::{check, new_bio};

/// The BIO leaves its descriptor open.
pub const BIO_NOCLOSE: c_int = 0;
/// The BIO closes its descriptor when it is freed.
pub const BIO_CLOSE: c_int = 1;

/// Has `ssl` read and write the socket `fd`, and a vanished peer reported as an error, never as a
/// signal.
///
/// Mirrors `SSL_set_fd`: a BIO that `ssl` had is freed, and the descriptor stays the caller's.
///
/// # Errors
///
/// As [`bio`], and [`Error::Null`] if `ssl` is null. `ssl` is left as it was.
///
/// # Safety
///
/// `ssl` is null or points to an `SSL` of the OpenSSL that `openssl-sys` is linked to. No other
/// thread uses it now. The descriptor stays open while `ssl` uses it.
pub unsafe fn set_fd(ssl: *mut SSL, fd: c_int) -> Result<(), Error> {
    // SAFETY: the caller's promise. `ssl` takes over our one reference: a BIO for both directions
    // is counted once.
    unsafe { set(ssl, fd, |bio| SSL_set_bio(ssl, bio, bio)) }
}

/// Has `ssl` read the socket `fd`, and leaves what it writes to.
///
/// Mirrors `SSL_set_rfd`: a BIO that `ssl` had for reading is freed.
///
/// # Errors
///
/// As [`set_fd`].
///
/// # Safety
///
/// As [`set_fd`].
pub unsafe fn set_rfd(ssl: *mut SSL, fd: c_int) -> Result<(), Error> {
    // SAFETY: as in `set_wfd`.
    unsafe { set(ssl, fd, |bio| SSL_set_bio(ssl, bio, SSL_get_wbio(ssl))) }
}

/// Has `ssl` write the socket `fd`, a vanished peer reported as an error, and leaves what it reads.
///
/// Mirrors `SSL_set_wfd`: a BIO that `ssl` had for writing is freed.
///
/// # Errors
///
/// As [`set_fd`].
///
/// # Safety
///
/// As [`set_fd`].
pub unsafe fn set_wfd(ssl: *mut SSL, fd: c_int) -> Result<(), Error> {
    // SAFETY: the caller's promise. `ssl` takes over our one reference, and none of the BIO that it
    // has already (SSL_set_bio(3)).
    unsafe { set(ssl, fd, |bio| SSL_set_bio(ssl, SSL_get_rbio(ssl), bio)) }
}

/// # Safety
///
/// As [`set_fd`]; `hand_over` gives the BIO to `ssl`.
unsafe fn set(ssl: *mut SSL, fd: c_int, hand_over: impl FnOnce(*mut BIO)) -> Result<(), Error> {
    if ssl.is_null() {
        return Err(Error::Null);
    }
    // SAFETY: the caller vouches for the descriptor.
    hand_over(unsafe { bio(fd, BIO_NOCLOSE) }?);
    Ok(())
}

/// A new BIO of the socket `fd`, for `SSL_set_bio` or `BIO_push`. It belongs to the caller.
///
/// Mirrors `BIO_new_socket`: `close_flag` is [`BIO_CLOSE`] or [`BIO_NOCLOSE`].
///
/// # Errors
///
/// [`Error::NotASocket`] if the descriptor is closed or no socket; it is left open.
/// [`Error::OpenSsl`] if OpenSSL has no memory.
///
/// # Safety
///
/// With [`BIO_CLOSE`] the descriptor is the BIO's; with [`BIO_NOCLOSE`] it stays open while the BIO
/// uses it.
pub unsafe fn bio(fd: c_int, close_flag: c_int) -> Result<*mut BIO, Error> {
    check(fd).map_err(Error::NotASocket)?;
    // SAFETY: the caller vouches for the descriptor, which is open.
    let bio = unsafe { new_bio(fd, close_flag) };
    if bio.is_null() {
        return Err(Error::OpenSsl(ErrorStack::take()));
    }
    Ok(bio)
}

/// Why OpenSSL got no socket.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The `SSL` is a null pointer.
    #[error("the SSL is a null pointer")]
    Null,
    /// The descriptor is closed (`EBADF`) or no socket (`ENOTSOCK`).
    #[error("the descriptor is no open socket: {0}")]
    NotASocket(io::Error),
    /// OpenSSL made no BIO.
    #[error("OpenSSL: {0}")]
    OpenSsl(ErrorStack),
}

/// What OpenSSL had on the error stack of this thread, the oldest first; taken off it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorStack(Vec<c_ulong>);

impl ErrorStack {
    fn take() -> ErrorStack {
        // SAFETY: it takes no argument.
        let next = || match unsafe { ERR_get_error() } {
            0 => None,
            code => Some(code),
        };
        ErrorStack(std::iter::from_fn(next).collect())
    }

    /// The codes, packed as `ERR_get_error` gives them.
    pub fn codes(&self) -> &[c_ulong] {
        &self.0
    }
}

impl fmt::Display for ErrorStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no error on the stack");
        }
        for (position, code) in self.0.iter().enumerate() {
            let separator = if position > 0 { "; " } else { "" };
            // SAFETY: both take any code.
            let (library, reason) =
                unsafe { (ERR_lib_error_string(*code), ERR_reason_error_string(*code)) };
            // SAFETY: what they return.
            let (library, reason) = unsafe { (text(library), text(reason)) };
            write!(f, "{separator}error:{code:08X}:{library}:{reason}")?;
        }
        Ok(())
    }
}

/// A string of OpenSSL's, if it has one.
///
/// # Safety
///
/// The pointer is null, or to a string that lives forever.
unsafe fn text(text: *const c_char) -> std::borrow::Cow<'static, str> {
    if text.is_null() {
        return "unknown".into();
    }
    // SAFETY: the caller vouches for it.
    unsafe { CStr::from_ptr(text) }.to_string_lossy()
}
