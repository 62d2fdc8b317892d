//! A descriptor that is not an open socket is an error, and the `SSL` does not change.

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::ffi::{c_char, c_int, c_void};
use std::io::pipe;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use epipe_openssl::{BIO_NOCLOSE, Error, bio, set_fd, set_rfd, set_wfd};
use foreign_types::ForeignTypeRef;
use openssl::ssl::{Ssl, SslContext, SslMethod};
use openssl_sys::SSL_get_rbio;

use crate::Scene;
use crate::raw::{CRYPTO_set_mem_functions, SSL_get_fd};
use crate::support::unix_pair;

fn ssl() -> Ssl {
    Ssl::new(&SslContext::builder(SslMethod::tls()).unwrap().build()).unwrap()
}

pub fn scenes() -> Vec<Scene> {
    vec![
        Scene::survives("bad input: a null SSL", || {
            let (socket, _peer) = unix_pair().unwrap();
            let error = unsafe { set_fd(ptr::null_mut(), socket.as_raw_fd()) }.unwrap_err();
            assert!(matches!(error, Error::Null), "{error}");
        }),
        Scene::survives("bad input: closed descriptors, and pipes", || {
            let (reader, writer) = pipe().unwrap();
            let closed = unix_pair().unwrap().0.as_raw_fd();
            for (fd, code) in [
                (-1, libc::EBADF),
                (c_int::MIN, libc::EBADF),
                (c_int::MAX, libc::EBADF),
                (closed, libc::EBADF),
                (writer.as_raw_fd(), libc::ENOTSOCK),
                (reader.as_raw_fd(), libc::ENOTSOCK),
            ] {
                let (socket, _peer) = unix_pair().unwrap();
                let ssl = ssl();
                unsafe { set_fd(ssl.as_ptr(), socket.as_raw_fd()) }.unwrap();
                let fd = if fd == socket.as_raw_fd() { c_int::MAX } else { fd };
                let before = unsafe { SSL_get_rbio(ssl.as_ptr()) };
                let errors = unsafe {
                    [
                        set_fd(ssl.as_ptr(), fd).unwrap_err(),
                        set_rfd(ssl.as_ptr(), fd).unwrap_err(),
                        set_wfd(ssl.as_ptr(), fd).unwrap_err(),
                        bio(fd, BIO_NOCLOSE).unwrap_err(),
                    ]
                };
                for error in errors {
                    assert!(error.to_string().starts_with("the descriptor is not an open socket"));
                    let Error::NotASocket(error) = error else {
                        panic!("{error}");
                    };
                    assert_eq!(error.raw_os_error(), Some(code));
                }
                // The SSL keeps its BIO.
                assert_eq!(unsafe { SSL_get_rbio(ssl.as_ptr()) }, before);
                assert_eq!(unsafe { SSL_get_fd(ssl.as_ptr()) }, socket.as_raw_fd());
            }
        }),
        Scene::survives("bad input: OpenSSL has no memory, and its error stack reports it", || {
            assert_eq!(unsafe { CRYPTO_set_mem_functions(take, take_again, give_back) }, 1);
            let ssl = ssl();
            let (socket, _peer) = unix_pair().unwrap();
            // Before the method table exists, and after.
            for _ in 0..2 {
                NO_MEMORY.store(true, Ordering::Relaxed);
                let answer = unsafe { set_fd(ssl.as_ptr(), socket.as_raw_fd()) };
                NO_MEMORY.store(false, Ordering::Relaxed);
                let Err(Error::OpenSsl(stack)) = &answer else {
                    panic!("{answer:?}");
                };
                assert!(!stack.codes().is_empty());
                assert!(stack.to_string().contains("malloc failure"), "{stack}");
                unsafe { set_fd(ssl.as_ptr(), socket.as_raw_fd()) }.unwrap();
            }
        }),
    ]
}

// An allocator for OpenSSL that fails while `NO_MEMORY` is set. Each block starts with its length.

static NO_MEMORY: AtomicBool = AtomicBool::new(false);
const HEAD: usize = 16;

fn layout(len: usize) -> Layout {
    Layout::from_size_align(len + HEAD, HEAD).unwrap()
}

unsafe extern "C" fn take(len: usize, _: *const c_char, _: c_int) -> *mut c_void {
    if NO_MEMORY.load(Ordering::Relaxed) {
        return ptr::null_mut();
    }
    unsafe {
        let block = alloc(layout(len));
        block.cast::<usize>().write(len);
        block.add(HEAD).cast()
    }
}

unsafe extern "C" fn take_again(
    old: *mut c_void,
    len: usize,
    file: *const c_char,
    line: c_int,
) -> *mut c_void {
    if old.is_null() {
        return unsafe { take(len, file, line) };
    }
    unsafe {
        let block = old.cast::<u8>().sub(HEAD);
        let old_len = block.cast::<usize>().read();
        let block = realloc(block, layout(old_len), len + HEAD);
        block.cast::<usize>().write(len);
        block.add(HEAD).cast()
    }
}

unsafe extern "C" fn give_back(old: *mut c_void, _: *const c_char, _: c_int) {
    if old.is_null() {
        return;
    }
    unsafe {
        let block = old.cast::<u8>().sub(HEAD);
        dealloc(block, layout(block.cast::<usize>().read()));
    }
}
