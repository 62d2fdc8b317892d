//! `SSL_set_fd` for OpenSSL, with one difference: a vanished peer is an error, never a signal.
//!
//! [`set_fd`], [`set_rfd`] and [`set_wfd`] replace `SSL_set_fd`, `SSL_set_rfd` and `SSL_set_wfd`.
//! [`bio`] replaces `BIO_new_socket`.
//!
//! ```
//! use std::net::TcpStream;
//! # #[cfg(unix)]
//! use std::os::fd::AsRawFd;
//!
//! use openssl_sys::{SSL, SSL_connect};
//!
//! # #[cfg(unix)]
//! /// Connects TLS over a stream that outlives the `SSL`.
//! unsafe fn connect(ssl: *mut SSL, stream: &TcpStream) -> Result<bool, epipe_openssl::Error> {
//!     unsafe {
//!         epipe_openssl::set_fd(ssl, stream.as_raw_fd())?; // was: SSL_set_fd(ssl, fd)
//!         Ok(SSL_connect(ssl) == 1)
//!     }
//! }
//! ```
//!
//! **Do not call OpenSSL's own `SSL_set_fd` or `SSL_set_wfd` after these.** They install OpenSSL's
//! own BIO again, without an error. The next write to a vanished peer then kills the
//! process.
//!
//! OpenSSL's own BIO writes with `write(2)`. So `SSL_write`, `SSL_shutdown` and `SSL_do_handshake`
//! kill the process when the peer is gone. The BIO of this crate sends with the flag or option that
//! the system has. Otherwise it behaves like OpenSSL's.
//!
//! # With the `openssl` crate
//!
//! The pointer is `ssl.as_ptr()`, from `foreign_types::ForeignTypeRef` (crate foreign-types 0.3).
//! The other functions of this crate in use:
//!
//! ```
//! # #[cfg(unix)]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::os::fd::{AsRawFd, IntoRawFd};
//! use std::os::unix::net::UnixStream;
//!
//! use epipe_openssl::{
//!     BIO, BIO_CLOSE, BIO_NOCLOSE, Error, ErrorStack, SSL, bio, set_fd, set_rfd, set_wfd,
//! };
//! use foreign_types::ForeignTypeRef;
//! use openssl::ssl::{Ssl, SslContext, SslMethod};
//!
//! let (receives, sends) = UnixStream::pair()?;
//! let context = SslContext::builder(SslMethod::tls())?.build();
//! let owner = Ssl::new(&context)?;
//! let ssl: *mut SSL = owner.as_ptr();
//! // SAFETY: `owner` keeps the SSL alive, and the streams live until it is dropped.
//! unsafe {
//!     // One socket for each direction.
//!     set_rfd(ssl, receives.as_raw_fd())?;
//!     set_wfd(ssl, sends.as_raw_fd())?;
//!
//!     // A BIO that leaves its descriptor open, and one that closes it.
//!     let borrows: *mut BIO = bio(sends.as_raw_fd(), BIO_NOCLOSE)?;
//!     let owns = bio(UnixStream::pair()?.0.into_raw_fd(), BIO_CLOSE)?;
//!     openssl_sys::BIO_free_all(borrows);
//!     openssl_sys::BIO_free_all(owns);
//!
//!     match set_fd(ssl, -1) {
//!         Err(Error::NotASocket(error)) => println!("not an open socket: {error}"),
//!         Err(Error::OpenSsl(stack)) => report(&stack),
//!         answer => answer?,
//!     }
//! }
//! drop(owner);
//!
//! fn report(stack: &ErrorStack) {
//!     eprintln!("{stack}, codes {:?}", stack.codes());
//! }
//! # Ok(())
//! # }
//! # #[cfg(not(unix))]
//! # fn main() {}
//! ```
//!
//! The `openssl` crate's `SslStream` calls the `write` of its stream, one buffer at a time. Over
//! std's `TcpStream` and `UnixStream` it does not need this crate. Over any other handle, wrap the
//! handle in an `epipe::NoSigpipe`.
//!
//! # The same as OpenSSL's BIO
//!
//! * `SSL_get_fd`, `BIO_get_fd` and `BIO_find_type(…, BIO_TYPE_DESCRIPTOR)` find the descriptor.
//! * A call that would block sets the retry flags. So `SSL_get_error` returns `WANT_READ` or
//!   `WANT_WRITE`.
//! * `BIO_eof` reports the end of the stream.
//! * After an error, `errno` is that of the system call. A vanished peer is `SSL_ERROR_SYSCALL`
//!   with `EPIPE`.
//! * `BIO_set_fd`, `BIO_get_close`, `BIO_set_close`, `BIO_flush` and `BIO_puts` work.
//!
//! # Limits
//!
//! These features of OpenSSL's socket BIO are missing:
//!
//! * Kernel TLS. The option `SSL_OP_ENABLE_KTLS` has no effect (`BIO_get_ktls_send` is 0): the
//!   kernel would need the type of each record beside the bytes.
//! * TCP fast open (from OpenSSL 3.2).
//! * `BIO_get_rpoll_descriptor`. Use `SSL_get_fd`.
//! * The type `BIO_TYPE_SOCKET`. This BIO has a type of its own, with `BIO_TYPE_DESCRIPTOR`.
//! * Descriptors that are not sockets. `BIO_set_fd` accepts one, but then each write fails with
//!   `ENOTSOCK`.
//!
//! A BIO that `BIO_dup_chain` has copied has no descriptor until `BIO_set_fd` sets one.
//!
//! Code that must keep OpenSSL's own BIO can call `epipe::sigpipe::suppressed(|| SSL_write(…))`.
//! All calls that do I/O need this: also `SSL_connect`, `SSL_accept`, `SSL_do_handshake`,
//! `SSL_read`, `SSL_peek` and `SSL_shutdown`.
//!
//! This crate is not for QUIC, whose datagrams raise no signal.
//!
//! # Platforms
//!
//! On Windows, which has no SIGPIPE, this crate installs OpenSSL's own BIO. It is tested with
//! OpenSSL 3.0, and needs OpenSSL 1.1.0 or later, or LibreSSL 2.7.

#![allow(unsafe_code, reason = "OpenSSL is C")]

use std::ffi::{CStr, c_char, c_int, c_ulong};
use std::fmt;
use std::io;

#[doc(no_inline)]
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

/// For [`bio`]: the BIO leaves its descriptor open.
pub const BIO_NOCLOSE: c_int = 0;
/// For [`bio`]: the BIO closes its descriptor when it is freed.
pub const BIO_CLOSE: c_int = 1;

/// Makes `ssl` use the socket `fd`. A vanished peer is then an error, never a signal.
///
/// Like `SSL_set_fd`: `ssl` reads from and writes to the socket. A BIO that `ssl` had is freed, and
/// the descriptor still belongs to the caller.
///
/// # Errors
///
/// Those of [`bio`], and [`Error::Null`] if `ssl` is null. `ssl` stays as it was.
///
/// # Safety
///
/// `ssl` is null or points to an `SSL` of the OpenSSL that `openssl-sys` is linked to. No other
/// thread uses it now. The descriptor stays open while `ssl` uses it.
#[doc(alias = "SSL_set_fd")]
pub unsafe fn set_fd(ssl: *mut SSL, fd: c_int) -> Result<(), Error> {
    // SAFETY: guaranteed by the caller. `ssl` takes over our one reference: a BIO for both
    // directions is counted once.
    unsafe { set(ssl, fd, |bio| SSL_set_bio(ssl, bio, bio)) }
}

/// Makes `ssl` read from the socket `fd`. Where it writes to does not change.
///
/// Like `SSL_set_rfd`: a BIO that `ssl` had for reading is freed.
///
/// # Errors
///
/// Those of [`set_fd`].
///
/// # Safety
///
/// That of [`set_fd`].
#[doc(alias = "SSL_set_rfd")]
pub unsafe fn set_rfd(ssl: *mut SSL, fd: c_int) -> Result<(), Error> {
    // SAFETY: as in `set_wfd`.
    unsafe { set(ssl, fd, |bio| SSL_set_bio(ssl, bio, SSL_get_wbio(ssl))) }
}

/// Makes `ssl` write to the socket `fd`. A vanished peer is then an error, never a signal.
///
/// Like `SSL_set_wfd`: a BIO that `ssl` had for writing is freed. Where it reads from does not
/// change.
///
/// # Errors
///
/// Those of [`set_fd`].
///
/// # Safety
///
/// That of [`set_fd`].
#[doc(alias = "SSL_set_wfd")]
pub unsafe fn set_wfd(ssl: *mut SSL, fd: c_int) -> Result<(), Error> {
    // SAFETY: guaranteed by the caller. `ssl` takes over our one reference. It takes no reference
    // of the BIO that it has already (SSL_set_bio(3)).
    unsafe { set(ssl, fd, |bio| SSL_set_bio(ssl, SSL_get_rbio(ssl), bio)) }
}

/// Makes a BIO, which `hand_over` gives to `ssl`.
///
/// # Safety
///
/// That of [`set_fd`].
unsafe fn set(ssl: *mut SSL, fd: c_int, hand_over: impl FnOnce(*mut BIO)) -> Result<(), Error> {
    if ssl.is_null() {
        return Err(Error::Null);
    }
    // SAFETY: the caller keeps the descriptor open.
    hand_over(unsafe { bio(fd, BIO_NOCLOSE) }?);
    Ok(())
}

/// Makes a BIO of the socket `fd`. A vanished peer is then an error, never a signal.
///
/// Like `BIO_new_socket`: `close_flag` is [`BIO_CLOSE`] or [`BIO_NOCLOSE`]. The BIO belongs to the
/// caller, who can pass it to `SSL_set_bio` or `BIO_push`.
///
/// # Errors
///
/// * [`Error::NotASocket`]: the descriptor is closed or not a socket. It is not closed.
/// * [`Error::OpenSsl`]: OpenSSL has no memory.
///
/// # Safety
///
/// With [`BIO_CLOSE`] the descriptor belongs to the BIO. With [`BIO_NOCLOSE`] it stays open while
/// the BIO uses it.
#[doc(alias("BIO_new_socket", "BIO_s_socket"))]
pub unsafe fn bio(fd: c_int, close_flag: c_int) -> Result<*mut BIO, Error> {
    check(fd).map_err(Error::NotASocket)?;
    // SAFETY: the descriptor is open, and the caller keeps it open.
    let bio = unsafe { new_bio(fd, close_flag) };
    if bio.is_null() {
        return Err(Error::OpenSsl(ErrorStack::take()));
    }
    Ok(bio)
}

/// Why OpenSSL did not get the socket.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The `SSL` is a null pointer.
    #[error("the SSL is a null pointer")]
    Null,
    /// The descriptor is closed (`EBADF`) or not a socket (`ENOTSOCK`).
    #[doc(alias("EBADF", "ENOTSOCK"))]
    #[error("the descriptor is not an open socket: {0}")]
    NotASocket(io::Error),
    /// OpenSSL could not make a BIO.
    #[error("OpenSSL: {0}")]
    OpenSsl(ErrorStack),
}

/// The errors from OpenSSL's error stack of this thread, the oldest first. They are off the stack.
#[doc(alias = "ERR_get_error")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorStack(Vec<c_ulong>);

impl ErrorStack {
    fn take() -> ErrorStack {
        // SAFETY: ERR_get_error has no precondition.
        let next = || match unsafe { ERR_get_error() } {
            0 => None,
            code => Some(code),
        };
        ErrorStack(std::iter::from_fn(next).collect())
    }

    /// Returns the codes, packed as by `ERR_get_error`.
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
            // SAFETY: both functions accept any code.
            let (library, reason) =
                unsafe { (ERR_lib_error_string(*code), ERR_reason_error_string(*code)) };
            // SAFETY: both return null or a static string.
            let (library, reason) = unsafe { (text(library), text(reason)) };
            write!(f, "{separator}error:{code:08X}:{library}:{reason}")?;
        }
        Ok(())
    }
}

/// A string of OpenSSL, or "unknown" for null.
///
/// # Safety
///
/// The pointer is null or points to a string that lives forever.
unsafe fn text(text: *const c_char) -> std::borrow::Cow<'static, str> {
    if text.is_null() {
        return "unknown".into();
    }
    // SAFETY: guaranteed by the caller.
    unsafe { CStr::from_ptr(text) }.to_string_lossy()
}
