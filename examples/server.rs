//! A server: a client that vanishes in the middle of an answer ends only its own connection.
//!
//! ```text
//! cargo run --example server
//! ```
//!
//! The answer is sent in chunks, each by `write_vectored`, where std's stream passes no flag. Rust
//! programs ignore SIGPIPE. In a C host, with SIGPIPE at its default, the same server on std is
//! killed: `tests/examples.rs` and `tests/examples_on_std.rs` show both.

use std::{iter, thread};

use epipe::io::{self, BufRead, BufReader, IoSlice, Read, Write}; // was: std::io
use epipe::net::{TcpListener, TcpStream}; // was: std::net

/// `write_all` of several buffers.
fn write_all(stream: &mut TcpStream, mut buffers: &mut [IoSlice<'_>]) -> io::Result<()> {
    while !buffers.is_empty() {
        match stream.write_vectored(buffers)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => IoSlice::advance_slices(&mut buffers, written),
        }
    }
    Ok(())
}

/// Reads the head of a request, and answers with a megabyte.
fn answer(stream: TcpStream) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line)? > 2 {
        line.clear();
    }
    let stream = stream.get_mut();
    stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    for chunk in iter::repeat_n([b'x'; 1 << 16], 16) {
        let size = format!("{:x}\r\n", chunk.len());
        let mut buffers = [size.as_bytes(), &chunk, b"\r\n"].map(IoSlice::new);
        write_all(stream, &mut buffers)?;
    }
    stream.write_all(b"0\r\n\r\n")
}

fn request(listener: &TcpListener) -> io::Result<TcpStream> {
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    Ok(client)
}

/// Serves two clients: one that vanishes, and one that reads the whole answer.
pub fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    drop(request(&listener)?);
    let mut client = request(&listener)?;
    let server = thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            println!("the server: {:?}", stream.and_then(answer).map_err(|error| error.kind()));
        }
    });
    let read = client.read_to_end(&mut Vec::new())?;
    server.join().expect("the server does not panic");
    println!("the client that stays has read {read} bytes");
    Ok(())
}
