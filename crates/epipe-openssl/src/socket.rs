//! The socket BIO. It behaves like OpenSSL's `crypto/bio/bss_sock.c`, and sends with
//! [`epipe::socket2::Socket`].
//!
//! It has its own method table. A copy of the built-in table with another `write` would need the
//! getters `BIO_meth_get_*`, which OpenSSL 3.5 deprecates as unsafe (openssl/openssl#26056).

#![allow(unsafe_code, reason = "OpenSSL calls these functions with pointers")]

use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd, RawFd};
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};

use epipe::socket2::Socket;
use openssl_sys::{
    BIO, BIO_CTRL_EOF, BIO_CTRL_FLUSH, BIO_METHOD, BIO_clear_retry_flags, BIO_ctrl, BIO_get_data,
    BIO_meth_free, BIO_meth_new, BIO_meth_set_create__fixed_rust, BIO_meth_set_ctrl__fixed_rust,
    BIO_meth_set_destroy__fixed_rust, BIO_meth_set_puts__fixed_rust, BIO_meth_set_read__fixed_rust,
    BIO_meth_set_write__fixed_rust, BIO_new, BIO_set_data, BIO_set_init, BIO_set_retry_read,
    BIO_set_retry_write,
};

use crate::sys::{is_non_fatal, set_errno};

// From openssl/bio.h. openssl-sys does not have them.
const BIO_TYPE_DESCRIPTOR: c_int = 0x100;
const BIO_TYPE_SOURCE_SINK: c_int = 0x400;
const BIO_CTRL_GET_CLOSE: c_int = 8;
const BIO_CTRL_SET_CLOSE: c_int = 9;
const BIO_CTRL_DUP: c_int = 12;
const BIO_C_SET_FD: c_int = 104;
const BIO_C_GET_FD: c_int = 105;

unsafe extern "C" {
    fn BIO_get_new_index() -> c_int;
}

/// The state of a BIO that has a descriptor.
struct State {
    fd: RawFd,
    /// `None` if `fd` is negative.
    socket: Option<ManuallyDrop<Socket>>,
    close_flag: AtomicI32,
    at_end: AtomicBool,
}

impl Drop for State {
    fn drop(&mut self) {
        if self.close_flag.load(Ordering::Relaxed) != 0 {
            // Not with std's types: they abort if the descriptor is closed already.
            // SAFETY: close takes a number, and with this flag the descriptor belongs to the BIO.
            unsafe { libc::close(self.fd) };
        }
    }
}

/// Adopts a descriptor, and does not close it.
///
/// # Safety
///
/// If the descriptor is open, it stays open while the socket is used.
unsafe fn adopt(fd: RawFd) -> Option<ManuallyDrop<Socket>> {
    // socket2 panics for a negative number.
    // SAFETY: the caller keeps the descriptor open, and ManuallyDrop does not close it. If it is
    // closed already, each call fails with EBADF.
    (fd >= 0).then(|| ManuallyDrop::new(unsafe { Socket::from_raw_fd(fd) }))
}

fn bad_descriptor() -> io::Error {
    io::Error::from_raw_os_error(libc::EBADF)
}

/// Checks that the descriptor is an open socket.
pub(super) fn check(fd: c_int) -> io::Result<()> {
    // SAFETY: the socket is used for one call only, which fails if the descriptor is closed.
    let socket = unsafe { adopt(fd) }.ok_or_else(bad_descriptor)?;
    socket.r#type().map(drop)
}

/// Makes a new BIO, or returns null with the reason on OpenSSL's error stack.
///
/// # Safety
///
/// The descriptor stays open while the BIO uses it.
pub(super) unsafe fn new_bio(mut fd: c_int, close_flag: c_int) -> *mut BIO {
    let method = method();
    if method.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: the method is complete and lives forever.
    let bio = unsafe { BIO_new(method) };
    if !bio.is_null() {
        let close_flag = c_long::from(close_flag);
        // SAFETY: the BIO is new and not shared, and this command reads an int.
        unsafe { BIO_ctrl(bio, BIO_C_SET_FD, close_flag, (&raw mut fd).cast()) };
    }
    bio
}

/// Returns the method table, which is made once per process.
fn method() -> *mut BIO_METHOD {
    static METHOD: AtomicPtr<BIO_METHOD> = AtomicPtr::new(ptr::null_mut());

    let known = METHOD.load(Ordering::Acquire);
    if !known.is_null() {
        return known;
    }
    // SAFETY: the name is a C string, and each function below keeps OpenSSL's contract.
    let made = unsafe {
        // -1 means that no index is left. The type then has no number of its own.
        let kind = BIO_get_new_index().max(0) | BIO_TYPE_SOURCE_SINK | BIO_TYPE_DESCRIPTOR;
        let made = BIO_meth_new(kind, c"epipe socket".as_ptr());
        if made.is_null() {
            return made;
        }
        BIO_meth_set_write__fixed_rust(made, Some(write));
        BIO_meth_set_read__fixed_rust(made, Some(read));
        BIO_meth_set_puts__fixed_rust(made, Some(puts));
        BIO_meth_set_ctrl__fixed_rust(made, Some(ctrl));
        BIO_meth_set_create__fixed_rust(made, Some(create));
        BIO_meth_set_destroy__fixed_rust(made, Some(destroy));
        made
    };
    let none = ptr::null_mut();
    match METHOD.compare_exchange(none, made, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => made,
        Err(known) => {
            // SAFETY: this table was never shared.
            unsafe { BIO_meth_free(made) };
            known
        }
    }
}

// ------------------------------------------------------------------- the callbacks ----
//
// Contract of the callbacks, kept by OpenSSL and its users: they get a BIO of this method, and
// buffers of the length that is passed. While one call uses a BIO, no other call frees it or gives
// it another descriptor.

/// Returns the state of a BIO, if it was given a descriptor.
///
/// # Safety
///
/// The contract of the callbacks.
unsafe fn state<'a>(bio: *mut BIO) -> Option<&'a State> {
    // SAFETY: the pointer is null, or `set_state` has stored it.
    unsafe { BIO_get_data(bio).cast::<State>().as_ref() }
}

/// Replaces the state of a BIO.
///
/// # Safety
///
/// The contract of the callbacks.
unsafe fn set_state(bio: *mut BIO, state: Option<State>) {
    // SAFETY: the old pointer is null, or a box from here that no other call uses now.
    unsafe {
        let old = BIO_get_data(bio).cast::<State>();
        BIO_set_init(bio, c_int::from(state.is_some()));
        let new = state.map_or(ptr::null_mut(), |state| Box::into_raw(Box::new(state)));
        BIO_set_data(bio, new.cast());
        if !old.is_null() {
            drop(Box::from_raw(old));
        }
    }
}

unsafe extern "C" fn create(bio: *mut BIO) -> c_int {
    // SAFETY: contract of the callbacks; a new BIO has no state to free.
    unsafe {
        BIO_set_data(bio, ptr::null_mut());
        BIO_set_init(bio, 0);
    }
    1
}

unsafe extern "C" fn destroy(bio: *mut BIO) -> c_int {
    if bio.is_null() {
        return 0;
    }
    // SAFETY: contract of the callbacks.
    unsafe { set_state(bio, None) };
    1
}

unsafe extern "C" fn write(bio: *mut BIO, bytes: *const c_char, len: c_int) -> c_int {
    let len = usize::try_from(len).unwrap_or(0);
    let bytes = match (len, bytes.is_null()) {
        (0, _) => Ok(&[][..]),
        (_, true) => Err(io::Error::from_raw_os_error(libc::EFAULT)),
        // SAFETY: contract of the callbacks.
        _ => Ok(unsafe { slice::from_raw_parts(bytes.cast::<u8>(), len) }),
    };
    // SAFETY: contract of the callbacks.
    unsafe {
        let answer = bytes.and_then(|bytes| {
            let socket = state(bio).and_then(|state| state.socket.as_ref());
            socket.ok_or_else(bad_descriptor)?.send(bytes)
        });
        report(bio, answer, BIO_set_retry_write)
    }
}

unsafe extern "C" fn read(bio: *mut BIO, buffer: *mut c_char, len: c_int) -> c_int {
    if buffer.is_null() {
        return 0;
    }
    // SAFETY: contract of the callbacks.
    unsafe {
        let len = usize::try_from(len).unwrap_or(0);
        let answer = state(bio).ok_or_else(bad_descriptor).and_then(|state| {
            // read(2), like OpenSSL. A recv(2) of no bytes would remove a datagram from the queue.
            let read = libc::read(state.fd, buffer.cast(), len);
            if read == 0 {
                state.at_end.store(true, Ordering::Relaxed);
            }
            usize::try_from(read).map_err(|_| io::Error::last_os_error())
        });
        report(bio, answer, BIO_set_retry_read)
    }
}

unsafe extern "C" fn puts(bio: *mut BIO, text: *const c_char) -> c_int {
    // SAFETY: contract of the callbacks; the text is a C string.
    unsafe {
        let len = CStr::from_ptr(text).count_bytes();
        write(bio, text, c_int::try_from(len).unwrap_or(c_int::MAX))
    }
}

/// Sets the retry flags and `errno`, and returns the number for the caller of the C function.
///
/// # Safety
///
/// The contract of the callbacks.
unsafe fn report(
    bio: *mut BIO,
    answer: io::Result<usize>,
    set_retry: unsafe fn(*mut BIO),
) -> c_int {
    let code = match &answer {
        Ok(_) => 0,
        Err(error) => error.raw_os_error().unwrap_or(0),
    };
    // SAFETY: contract of the callbacks.
    unsafe {
        BIO_clear_retry_flags(bio);
        if is_non_fatal(code) {
            set_retry(bio);
        }
    }
    set_errno(code);
    // The count fits: it is at most `len`, which was an int.
    answer.map_or(-1, |count| count as c_int)
}

unsafe extern "C" fn ctrl(
    bio: *mut BIO,
    command: c_int,
    number: c_long,
    pointer: *mut c_void,
) -> c_long {
    if command == BIO_C_SET_FD {
        // SAFETY: contract of the callbacks; this command comes with a pointer to an int.
        unsafe {
            let fd = *pointer.cast::<c_int>();
            let state = State {
                fd,
                socket: adopt(fd),
                close_flag: AtomicI32::new(number as c_int),
                at_end: AtomicBool::new(false),
            };
            set_state(bio, Some(state));
        }
        return 1;
    }
    // SAFETY: contract of the callbacks.
    let state = unsafe { state(bio) };
    match (command, state) {
        (BIO_C_GET_FD, Some(state)) => {
            if !pointer.is_null() {
                // SAFETY: this command comes with a pointer to an int, or with null.
                unsafe { *pointer.cast::<c_int>() = state.fd };
            }
            c_long::from(state.fd)
        }
        (BIO_C_GET_FD, None) => -1,
        (BIO_CTRL_GET_CLOSE, Some(state)) => state.close_flag.load(Ordering::Relaxed).into(),
        (BIO_CTRL_SET_CLOSE, Some(state)) => {
            state.close_flag.store(number as c_int, Ordering::Relaxed);
            1
        }
        (BIO_CTRL_EOF, Some(state)) => state.at_end.load(Ordering::Relaxed).into(),
        // DUP does not use its pointer: SSL_dup and BIO_dup_chain pass different types.
        (BIO_CTRL_DUP | BIO_CTRL_FLUSH, _) => 1,
        // All other commands, also those of kernel TLS.
        _ => 0,
    }
}
