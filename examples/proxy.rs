//! A TCP proxy: when one side vanishes, it closes the other.
//!
//! ```text
//! cargo run --example proxy
//! ```
//!
//! It makes its sockets with socket2, for an option that std lacks. socket2's own `write` passes no
//! flag. In a C host, with SIGPIPE at its default, the same proxy on socket2 is killed:
//! `tests/examples.rs` and `tests/examples_on_std.rs` show both.

#[cfg(target_family = "wasm")]
fn main() {
    println!("This example needs threads.");
}

#[cfg(not(target_family = "wasm"))]
pub use program::main;

#[cfg(not(target_family = "wasm"))]
mod program {
    use std::net::{Shutdown, SocketAddr};
    use std::thread;

    use epipe::io::{self, Write}; // was: std::io
    use epipe::net::{TcpListener, TcpStream}; // was: std::net
    use epipe::socket2::{Domain, Socket, Type}; // was: socket2

    /// Copies one direction to its end. An error ends both directions.
    fn copy(mut from: &Socket, mut to: &Socket) -> io::Result<u64> {
        let copied = io::copy(&mut from, &mut to);
        // The peer may be gone already.
        let _ = to.shutdown(if copied.is_ok() { Shutdown::Write } else { Shutdown::Both });
        if copied.is_err() {
            let _ = from.shutdown(Shutdown::Both);
        }
        copied
    }

    /// Connects a client to the backend until both directions have ended.
    fn forward(client: TcpStream, backend: SocketAddr) -> io::Result<(u64, u64)> {
        let client = Socket::from(client);
        let server = Socket::new(Domain::for_address(backend), Type::STREAM, None)?;
        server.set_keepalive(true)?;
        server.connect(&backend.into())?;
        thread::scope(|scope| {
            let answers = scope.spawn(|| copy(&server, &client));
            let requests = copy(&client, &server);
            let answers = answers.join().expect("copy does not panic");
            Ok((requests?, answers?))
        })
    }

    /// Serves a client whose backend closes the connection before the client sends.
    pub fn main() -> io::Result<()> {
        let backend = TcpListener::bind("127.0.0.1:0")?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (backend_address, address) = (backend.local_addr()?, listener.local_addr()?);
        let client = thread::spawn(move || -> io::Result<()> {
            let mut client = TcpStream::connect(address)?;
            drop(backend.accept()?);
            loop {
                client.write_all(b"a request")?;
            }
        });
        let forwarded = forward(listener.accept()?.0, backend_address);
        println!("the proxy: {:?}", forwarded.map_err(|error| error.kind()));
        let sent = client.join().expect("the client does not panic");
        println!("the client: {:?}", sent.map_err(|error| error.kind()));
        Ok(())
    }
}
