//! A command-line program that `| head` ends without a word, while its sockets and children give
//! errors.
//!
//! ```text
//! cargo run --example head | head -n 4
//! cargo run --example head -- --ignored | head -n 4
//! ```
//!
//! The second command leaves the signal ignored, as Rust's start-up code does: `println!` panics.

#[cfg(any(not(unix), target_family = "wasm", target_os = "fuchsia"))]
fn main() {
    println!("This system has no SIGPIPE, and `println!` panics.");
}

#[cfg(not(any(not(unix), target_family = "wasm", target_os = "fuchsia")))]
pub use unix::main;

#[cfg(not(any(not(unix), target_family = "wasm", target_os = "fuchsia")))]
mod unix {
    use std::process::{Command, Stdio};

    use epipe::NoSigpipe;
    use epipe::io::{self, IoSlice, Write};
    use epipe::net::{TcpListener, TcpStream};

    /// A server that is gone: the first writes may still succeed.
    fn write_to_a_server() -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut stream = TcpStream::connect(listener.local_addr()?)?;
        drop(listener.accept()?);
        loop {
            // std's would kill.
            stream.write_vectored(&[IoSlice::new(b"a request")]).map(drop)?;
        }
    }

    /// A child that has ended.
    fn write_to_a_child() -> io::Result<()> {
        let mut child = Command::new("true").stdin(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take().expect("it is piped");
        child.wait()?;
        NoSigpipe::new(stdin)?.write_all(b"a line\n")
    }

    /// What `fn main` does.
    pub fn main() -> io::Result<()> {
        if !std::env::args().any(|arg| arg == "--ignored") {
            epipe::sigpipe::restore_default()?;
        }
        println!("the server: {:?}", write_to_a_server().map_err(|error| error.kind()));
        println!("the child: {:?}", write_to_a_child().map_err(|error| error.kind()));
        for number in 1.. {
            println!("line {number}"); // here `| head` ends it
        }
        Ok(())
    }
}
