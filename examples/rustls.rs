//! rustls over a stream whose peer may vanish: only the type of the stream changes.
//!
//! ```text
//! cargo run -p epipe-ecosystem-tests --example rustls
//! ```
//!
//! rustls writes its records by `write_vectored`, where std's `TcpStream` passes no flag. In a C
//! host, with SIGPIPE at its default, the same client on std is killed when its peer resets: the
//! library in `examples/c-host` shows both.
//!
//! If a C library calls your function to write, keep an `epipe::net::TcpStream` behind the
//! callback, or a `NoSigpipe` of the handle that you are given. Return the error's
//! `raw_os_error()` as the library's contract says. For C code that writes directly, see
//! `docs/bindings.md`.

// rustls' cryptography is C code. The example is built where that needs no other tools.
#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
))]
#[path = "c-host/peer.rs"]
mod peer;

/// Sends a request to a server that vanishes in the middle of its answer.
#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
))]
pub fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    use std::io::{ErrorKind, Read, Write};

    use epipe::net::TcpStream; // was: std::net::TcpStream
    use rustls::{ClientConnection, StreamOwned};

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

    // TLS closes a connection with this message. On std it kills.
    tls.conn.send_close_notify();
    let gone = tls.flush().unwrap_err();
    println!("close_notify: {gone}");
    if gone.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(gone.into()) }
}

#[cfg(not(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
)))]
fn main() {
    println!("This example is built on Linux with glibc, on x86-64 and aarch64.");
}
