//! A library for a C host: the same exchange over TLS twice, once on std's `TcpStream` and once on
//! this crate's. The peer resets, and the library says goodbye as TLS wants it.
//!
//! ```text
//! cargo build -p epipe-ecosystem-tests --example c_host
//! cc tests/ecosystem/examples/c-host/host.c -o host -ldl
//! ./host target/debug/examples/libc_host.so exchange_on_epipe
//! ./host target/debug/examples/libc_host.so exchange_on_std
//! ```
//!
//! Both return an `errno`, 0 if all went well. The host has touched no signal: the second call does
//! not return. `ci/hosts` calls them in other hosts, and `ci/libraries` puts C libraries under
//! `suppressed`.

#![cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
))]
#![allow(unsafe_code, reason = "a C host finds a function by its name")]

#[path = "../peer/mod.rs"]
mod peer;

use std::error::Error;
use std::ffi::c_int;
use std::io::{self, Read, Write};
use std::net::SocketAddr;

use epipe::sigpipe::Disposition;
use rustls::{ClientConnection, StreamOwned};

/// On `std::net::TcpStream`.
#[unsafe(no_mangle)]
pub extern "C" fn exchange_on_std() -> c_int {
    errno(exchange(std::net::TcpStream::connect::<SocketAddr>))
}

/// On `epipe::net::TcpStream`.
#[unsafe(no_mangle)]
pub extern "C" fn exchange_on_epipe() -> c_int {
    errno(exchange(epipe::net::TcpStream::connect::<SocketAddr>))
}

/// What SIGPIPE does in the host: 0 ends it, 1 nothing, 2 runs a handler. -1 for an error.
#[unsafe(no_mangle)]
pub extern "C" fn disposition() -> c_int {
    match epipe::sigpipe::disposition() {
        Ok(Disposition::Default) => 0,
        Ok(Disposition::Ignored) => 1,
        Ok(Disposition::Handled) => 2,
        _ => -1,
    }
}

/// Runs C code that writes by itself under a guard; 0 if there was one.
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
    let _ = peer.ends.join(); // the reset has come, however it ended
    // Whatever was read, and however it ended: goodbye, and close.
    tls.conn.send_close_notify();
    tls.flush()?;
    read?;
    Ok(())
}

/// -1 for what is not an error of the system.
fn errno(answer: Result<(), Failure>) -> c_int {
    let Err(error) = answer else {
        return 0;
    };
    let error = error.downcast::<io::Error>().ok();
    error.and_then(|error| error.raw_os_error()).unwrap_or(-1)
}
