//! rustls over a stream whose peer may vanish: nothing of rustls changes, only the stream's type.
//!
//! ```text
//! cargo run -p epipe-ecosystem-tests --example rustls
//! ```
//!
//! rustls writes its records by `write_vectored`, where std's `TcpStream` passes no flag: there a
//! peer that resets kills the process. Here the process has SIGPIPE at its default, as in a C
//! host, and lives to tell the error. (`c-host`, beside this file, shows both in a C program.)
//!
//! For authors of bindings: where a C library calls *you* to read and write, keep an
//! `epipe::net::TcpStream` (or a `NoSigpipe` of what you were given) behind the callback, and give
//! the error's `raw_os_error()` as its contract asks. Where it writes by itself, see
//! `docs/bindings.md`.

#![allow(unsafe_code, reason = "SIGPIPE is put back to its default, as a C host has it")]

// rustls' cryptography is C: the example is built where that compiles by itself.
#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
))]
mod peer;

#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
))]
fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    use std::io::{ErrorKind, Read, Write};

    use epipe::net::TcpStream; // was: std::net::TcpStream
    use rustls::{ClientConnection, StreamOwned};

    // SAFETY: the default is a valid disposition.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };

    let peer = peer::begin()?;
    let stream = TcpStream::connect(peer.address)?;
    let tls = ClientConnection::new(peer.trust, "localhost".try_into()?)?;
    let mut tls = StreamOwned::new(tls, stream);

    tls.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut answer = Vec::new();
    let cut = tls.read_to_end(&mut answer).unwrap_err();
    println!("{}", String::from_utf8_lossy(&answer));
    println!("\nreading:      {cut}");
    peer.ends.join().expect("the peer does not panic")?;

    // What a polite program does before it closes, and what kills it.
    tls.conn.send_close_notify();
    let gone = tls.flush().unwrap_err();
    println!("close_notify: {gone}");
    assert_eq!(gone.kind(), ErrorKind::BrokenPipe);
    Ok(())
}

#[cfg(not(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
)))]
fn main() {
    println!("This example is built on Linux with glibc, on x86-64 and aarch64.");
}
