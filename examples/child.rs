//! A child's stdin: a child that reads no more is an error.
//!
//! ```text
//! cargo run --example child
//! ```
//!
//! In a C host, with SIGPIPE at its default, the write to std's `ChildStdin` kills:
//! `tests/examples.rs` and `tests/examples_on_std.rs` show both.

use std::process::{Command, Stdio};

use epipe::NoSigpipe;
use epipe::io::{self, ErrorKind, Write}; // was: std::io

/// Writes lines to `head`, which ends after two.
pub fn main() -> io::Result<()> {
    if cfg!(not(unix)) {
        println!("This system has no `head`.");
        return Ok(());
    }
    let mut child = Command::new("head").args(["-n", "2"]).stdin(Stdio::piped()).spawn()?;
    let stdin = child.stdin.take().expect("it is piped");
    let mut stdin = NoSigpipe::new(stdin)?; // was: the stdin alone
    let error = loop {
        if let Err(error) = stdin.write_all(b"a line\n") {
            break error;
        }
    };
    drop(stdin); // a child that reads to the end would wait for this
    let status = child.wait()?;
    println!("{:?}: the child has ended ({status})", error.kind());
    if error.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}
