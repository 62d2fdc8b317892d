//! The socket BIO: OpenSSL's `crypto/bio/bss_sock.c` in behaviour, with sends of ours.
//!
//! A method table of our own and not the built-in one with another `write`: its getters
//! (`BIO_meth_get_*`) are deprecated since OpenSSL 3.5 as unsafe (openssl/openssl#26056).

#![allow(unsafe_code, reason = "OpenSSL calls us by pointers")]

use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};

use openssl_sys::{
    BIO, BIO_CTRL_EOF, BIO_CTRL_FLUSH, BIO_METHOD, BIO_clear_retry_flags, BIO_ctrl, BIO_get_data,
    BIO_meth_free, BIO_meth_new, BIO_meth_set_create__fixed_rust, BIO_meth_set_ctrl__fixed_rust,
    BIO_meth_set_destroy__fixed_rust, BIO_meth_set_puts__fixed_rust, BIO_meth_set_read__fixed_rust,
    BIO_meth_set_write__fixed_rust, BIO_new, BIO_set_data, BIO_set_init, BIO_set_retry_read,
    BIO_set_retry_write,
};
use socket2::SockRef;

use crate::sys::handle::{self, Plain};
use crate::sys::{ShieldSocket, SocketShield, errno};

// openssl/bio.h, where openssl-sys has no name for it.
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

/// What the BIO holds once it has a descriptor.
struct Socket {
    fd: RawFd,
    close_flag: AtomicI32,
    at_end: AtomicBool,
    shield: SocketShield,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.close_flag.load(Ordering::Relaxed) != 0 {
            handle::close(self.fd);
        }
    }
}

/// # Safety
///
/// The descriptor stays open for `'a`, if it is open.
unsafe fn borrow<'a>(fd: RawFd) -> io::Result<BorrowedFd<'a>> {
    if fd < 0 {
        return Err(errno::bad_descriptor());
    }
    // SAFETY: the caller vouches for it.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Whether the descriptor is an open socket.
pub(super) fn check(fd: c_int) -> io::Result<()> {
    // SAFETY: it is borrowed to be asked whether it is open.
    let fd = unsafe { borrow(fd) }?;
    SockRef::from(&fd).r#type().map(drop)
}

/// A new BIO, or null with the reason on OpenSSL's stack.
///
/// # Safety
///
/// The descriptor stays open as long as the BIO uses it.
pub(super) unsafe fn new(mut fd: c_int, close_flag: c_int) -> *mut BIO {
    let method = method();
    if method.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: the method is complete and lives forever.
    let bio = unsafe { BIO_new(method) };
    if !bio.is_null() {
        let close_flag = c_long::from(close_flag);
        // SAFETY: the BIO is ours, and this command reads an int.
        unsafe { BIO_ctrl(bio, BIO_C_SET_FD, close_flag, (&raw mut fd).cast()) };
    }
    bio
}

/// The method table, made once in a process.
fn method() -> *mut BIO_METHOD {
    static METHOD: AtomicPtr<BIO_METHOD> = AtomicPtr::new(ptr::null_mut());

    let known = METHOD.load(Ordering::Acquire);
    if !known.is_null() {
        return known;
    }
    // SAFETY: the name is a C string, and each function below keeps OpenSSL's contract.
    let made = unsafe {
        // Without a number left, -1, it has none of its own.
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
            // SAFETY: nobody has seen this one.
            unsafe { BIO_meth_free(made) };
            known
        }
    }
}

// ------------------------------------------------------------------------ the functions ----
//
// SAFETY, of each: OpenSSL calls it with a BIO of this method and with buffers of the length that it
// tells; and nobody frees a BIO, or gives it another descriptor, while another call uses it.

/// The socket of a BIO, if it was given a descriptor.
///
/// # Safety
///
/// As of the functions.
unsafe fn socket<'a>(bio: *mut BIO) -> Option<&'a Socket> {
    // SAFETY: it is null, or what `give` has put there.
    unsafe { BIO_get_data(bio).cast::<Socket>().as_ref() }
}

/// The descriptor of a BIO, for one call.
///
/// # Safety
///
/// As of the functions; and who gave the descriptor keeps it open.
unsafe fn descriptor<'a>(bio: *mut BIO) -> io::Result<(&'a Socket, Plain<BorrowedFd<'a>>)> {
    // SAFETY: the caller vouches for both.
    unsafe {
        let socket = socket(bio).ok_or_else(errno::bad_descriptor)?;
        Ok((socket, Plain(borrow(socket.fd)?)))
    }
}

/// Puts another socket, or none, in a BIO's place for it.
///
/// # Safety
///
/// As of the functions.
unsafe fn give(bio: *mut BIO, socket: Option<Socket>) {
    // SAFETY: what stands there is null, or a box of ours that nobody uses now.
    unsafe {
        let old = BIO_get_data(bio).cast::<Socket>();
        BIO_set_init(bio, c_int::from(socket.is_some()));
        let new = socket.map_or(ptr::null_mut(), |socket| Box::into_raw(Box::new(socket)));
        BIO_set_data(bio, new.cast());
        if !old.is_null() {
            drop(Box::from_raw(old));
        }
    }
}

unsafe extern "C" fn create(bio: *mut BIO) -> c_int {
    // SAFETY: contract of the functions; a new BIO holds nothing.
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
    // SAFETY: contract of the functions.
    unsafe { give(bio, None) };
    1
}

unsafe extern "C" fn write(bio: *mut BIO, bytes: *const c_char, len: c_int) -> c_int {
    let len = usize::try_from(len).unwrap_or(0);
    let bytes = match (len, bytes.is_null()) {
        (0, _) => Ok(&[][..]),
        (_, true) => Err(errno::bad_address()),
        // SAFETY: contract of the functions.
        _ => Ok(unsafe { slice::from_raw_parts(bytes.cast::<u8>(), len) }),
    };
    // SAFETY: contract of the functions.
    unsafe {
        let answer = bytes.and_then(|bytes| {
            let (socket, fd) = descriptor(bio)?;
            socket.shield.write(&fd, bytes)
        });
        tell(bio, answer, BIO_set_retry_write)
    }
}

unsafe extern "C" fn read(bio: *mut BIO, buffer: *mut c_char, len: c_int) -> c_int {
    if buffer.is_null() {
        return 0;
    }
    // SAFETY: contract of the functions.
    unsafe {
        let len = usize::try_from(len).unwrap_or(0);
        let answer = descriptor(bio).and_then(|(socket, fd)| {
            let answer = handle::read(fd.0, buffer.cast(), len);
            if let Ok(0) = answer {
                socket.at_end.store(true, Ordering::Relaxed);
            }
            answer
        });
        tell(bio, answer, BIO_set_retry_read)
    }
}

unsafe extern "C" fn puts(bio: *mut BIO, text: *const c_char) -> c_int {
    // SAFETY: contract of the functions; the text is a C string.
    unsafe {
        let len = CStr::from_ptr(text).count_bytes();
        write(bio, text, c_int::try_from(len).unwrap_or(c_int::MAX))
    }
}

/// What the caller of a C function looks at: the number, the retry flags, `errno`.
///
/// # Safety
///
/// As of the functions.
unsafe fn tell(
    bio: *mut BIO,
    answer: io::Result<usize>,
    set_retry: unsafe fn(*mut BIO),
) -> c_int {
    let code = match &answer {
        Ok(_) => 0,
        Err(error) => error.raw_os_error().unwrap_or(0),
    };
    // SAFETY: contract of the functions.
    unsafe {
        BIO_clear_retry_flags(bio);
        if errno::is_non_fatal(code) {
            set_retry(bio);
        }
    }
    errno::set(code);
    // No more than the `len` that was an int.
    answer.map_or(-1, |count| count as c_int)
}

unsafe extern "C" fn ctrl(
    bio: *mut BIO,
    command: c_int,
    number: c_long,
    pointer: *mut c_void,
) -> c_long {
    if command == BIO_C_SET_FD {
        // SAFETY: contract of the functions; this command comes with a pointer to an int.
        unsafe {
            let socket = Socket {
                fd: *pointer.cast::<c_int>(),
                close_flag: AtomicI32::new(number as c_int),
                at_end: AtomicBool::new(false),
                shield: SocketShield::default(),
            };
            if let Ok(fd) = borrow(socket.fd) {
                socket.shield.arm(&fd);
            }
            give(bio, Some(socket));
        }
        return 1;
    }
    // SAFETY: contract of the functions.
    let socket = unsafe { socket(bio) };
    match (command, socket) {
        (BIO_C_GET_FD, Some(socket)) => {
            if !pointer.is_null() {
                // SAFETY: this command comes with a pointer to an int, or with none.
                unsafe { *pointer.cast::<c_int>() = socket.fd };
            }
            c_long::from(socket.fd)
        }
        (BIO_C_GET_FD, None) => -1,
        (BIO_CTRL_GET_CLOSE, Some(socket)) => socket.close_flag.load(Ordering::Relaxed).into(),
        (BIO_CTRL_SET_CLOSE, Some(socket)) => {
            socket.close_flag.store(number as c_int, Ordering::Relaxed);
            1
        }
        (BIO_CTRL_EOF, Some(socket)) => socket.at_end.load(Ordering::Relaxed).into(),
        // The pointer of DUP is left alone: SSL_dup gives one of another type than BIO_dup_chain.
        (BIO_CTRL_DUP | BIO_CTRL_FLUSH, _) => 1,
        // Kernel TLS among them.
        _ => 0,
    }
}
