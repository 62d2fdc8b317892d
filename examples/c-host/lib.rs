//! A library for a C host. It speaks TLS with a peer that resets, once on this crate's `TcpStream`
//! and once on std's.
//!
//! ```text
//! cargo build -p epipe-ecosystem-tests --example c_host
//! cc examples/c-host/host.c -o host -ldl
//! ./host target/debug/examples/libc_host.so exchange_on_epipe
//! ./host target/debug/examples/libc_host.so exchange_on_std
//! ```
//!
//! Both functions return an `errno`, or 0. The host changes no signal, and so the call on std does
//! not return: SIGPIPE kills the host. `ci/hosts` calls the functions in other hosts.
//! `ci/libraries` runs C libraries under `suppressed`.

#![cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
))]
#![allow(unsafe_code, reason = "a C host finds a function by its name")]

mod peer;

use std::error::Error;
use std::ffi::c_int;
use std::io::{self, Read, Write};
use std::net::SocketAddr;

use epipe::sigpipe::Disposition;
use rustls::{ClientConnection, StreamOwned};

/// The exchange on `std::net::TcpStream`.
#[unsafe(no_mangle)]
pub extern "C" fn exchange_on_std() -> c_int {
    errno(exchange(std::net::TcpStream::connect::<SocketAddr>))
}

/// The exchange on `epipe::net::TcpStream`.
#[unsafe(no_mangle)]
pub extern "C" fn exchange_on_epipe() -> c_int {
    errno(exchange(epipe::net::TcpStream::connect::<SocketAddr>))
}

/// What SIGPIPE does in the host: 0 ends it, 1 is ignored, 2 runs a handler. -1 is an error.
#[unsafe(no_mangle)]
pub extern "C" fn disposition() -> c_int {
    match epipe::sigpipe::disposition() {
        Ok(Disposition::Default) => 0,
        Ok(Disposition::Ignored) => 1,
        Ok(Disposition::Handled) => 2,
        _ => -1,
    }
}

/// Runs a C function under a guard, for C code that writes directly. Returns 0, or the `errno` for
/// which there is no guard: the function was not called then.
#[unsafe(no_mangle)]
pub extern "C" fn suppressed(function: extern "C" fn()) -> c_int {
    errno(epipe::sigpipe::suppressed(|| function()).map_err(Failure::from))
}

type Failure = Box<dyn Error + Send + Sync>;

fn exchange<S: Read + Write>(connect: fn(SocketAddr) -> io::Result<S>) -> Result<(), Failure> {
    let peer = peer::begin()?;
    let tls = ClientConnection::new(peer.trust, "localhost".try_into()?)?;
    let mut tls = StreamOwned::new(tls, connect(peer.address)?);

    tls.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let read = tls.read_to_end(&mut Vec::new());
    let _ = peer.ends.join(); // then the reset has come
    // TLS closes a connection with this message, also after an error.
    tls.conn.send_close_notify();
    tls.flush()?;
    read?;
    Ok(())
}

/// -1 for an error that has no `errno`.
fn errno(answer: Result<(), Failure>) -> c_int {
    let Err(error) = answer else {
        return 0;
    };
    let error = error.downcast::<io::Error>().ok();
    error.and_then(|error| error.raw_os_error()).unwrap_or(-1)
}
