//! A command-line program that `| head` ends without a message. Its sockets and its log report
//! errors instead.
//!
//! ```text
//! cargo run --example head | head -n 4
//! ```
//!
//! Rust's start-up code ignores SIGPIPE. If it stays ignored, `println!` panics when `head` has
//! ended. Where there is no SIGPIPE, it always does.

use std::mem;

use epipe::io::{self, BestEffort, IoSlice, Write}; // was: std::io
use epipe::net::{TcpListener, TcpStream}; // was: std::net

/// Writes to a server that has closed the connection. The first writes may still succeed.
fn report_to_server() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut stream = TcpStream::connect(listener.local_addr()?)?;
    drop(listener.accept()?);
    while stream.write_vectored(&[IoSlice::new(b"a report")])? > 0 {} // std's kills
    Ok(())
}

/// The whole program, so that `?` ends here and not in `main`.
pub fn run() -> io::Result<()> {
    let mut log = BestEffort(io::stderr()); // was: eprintln!, which kills without a reader
    writeln!(log, "the log begins")?;
    if let Err(error) = report_to_server() {
        writeln!(log, "the server is gone: {:?}", error.kind())?;
    }
    for number in 1..=100_000 {
        println!("line {number}"); // here `| head` ends the program
    }
    writeln!(log, "the log ends")
}

/// Lets `| head` end the program, which the sockets and the log must not.
pub fn main() -> io::Result<()> {
    epipe::sigpipe::restore_default()?;
    let result = run();
    // std writes the error that `main` returns, and output that it still buffers.
    mem::forget(epipe::sigpipe::guard()?);
    result
}
