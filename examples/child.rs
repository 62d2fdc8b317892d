//! A child's stdin: a child that has ended is an error.
//!
//! ```text
//! cargo run --example child
//! ```
//!
//! In a C host, with SIGPIPE at its default, a write to std's `ChildStdin` kills:
//! `tests/examples.rs` and `tests/examples_on_std.rs` show both.

/// Writes lines to `head`, which ends after two.
#[cfg(unix)]
pub fn main() -> std::io::Result<()> {
    use std::process::{Command, Stdio};

    use epipe::NoSigpipe;
    use epipe::io::{ErrorKind, Write}; // was: std::io

    let mut child = Command::new("head").args(["-n", "2"]).stdin(Stdio::piped()).spawn()?;
    let stdin = child.stdin.take().expect("it is piped");
    let mut stdin = NoSigpipe::new(stdin)?; // std's alone kills
    let error = loop {
        if let Err(error) = stdin.write_all(b"a line\n") {
            break error;
        }
    };
    drop(stdin); // a child that reads to the end waits for this
    let status = child.wait()?;
    println!("{:?}: the child has ended ({status})", error.kind());
    if error.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}

#[cfg(not(unix))]
fn main() {
    println!("This system has no program `head`.");
}
