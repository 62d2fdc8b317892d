//! Functions and constants of OpenSSL that openssl-sys does not declare.

use std::ffi::{c_char, c_int, c_long, c_void};

use openssl_sys::{BIO, BIO_ctrl, SSL};

pub const BIO_TYPE_DESCRIPTOR: c_int = 0x100;
pub const BIO_CTRL_GET_CLOSE: c_int = 8;
pub const BIO_CTRL_SET_CLOSE: c_int = 9;
pub const BIO_CTRL_GET_KTLS_SEND: c_int = 73;
pub const BIO_C_SET_FD: c_int = 104;
pub const BIO_C_GET_FD: c_int = 105;

type Malloc = unsafe extern "C" fn(usize, *const c_char, c_int) -> *mut c_void;
type Realloc = unsafe extern "C" fn(*mut c_void, usize, *const c_char, c_int) -> *mut c_void;
type Free = unsafe extern "C" fn(*mut c_void, *const c_char, c_int);

unsafe extern "C" {
    pub fn SSL_get_fd(ssl: *const SSL) -> c_int;
    pub fn SSL_set_fd(ssl: *mut SSL, fd: c_int) -> c_int;
    pub fn SSL_set_wfd(ssl: *mut SSL, fd: c_int) -> c_int;
    pub fn BIO_find_type(bio: *mut BIO, kind: c_int) -> *mut BIO;
    pub fn BIO_test_flags(bio: *const BIO, flags: c_int) -> c_int;
    pub fn BIO_puts(bio: *mut BIO, text: *const c_char) -> c_int;
    pub fn BIO_write_ex(
        bio: *mut BIO,
        bytes: *const c_void,
        len: usize,
        written: *mut usize,
    ) -> c_int;
    pub fn BIO_dup_chain(bio: *mut BIO) -> *mut BIO;
    pub fn CRYPTO_set_mem_functions(malloc: Malloc, realloc: Realloc, free: Free) -> c_int;
}

/// Sends a command with a number to a BIO.
pub unsafe fn ctrl(bio: *mut BIO, command: c_int, number: c_long) -> c_long {
    unsafe { BIO_ctrl(bio, command, number, std::ptr::null_mut()) }
}
