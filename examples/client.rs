//! A client: it connects again when its server has vanished.
//!
//! ```text
//! cargo run --example client
//! ```
//!
//! It sends records to a collector, and reads nothing. The length and the bytes of a record leave
//! in one `write_vectored`, where std's stream passes no flag. In a C host, with SIGPIPE at its
//! default, the same client on std is killed: `tests/examples.rs` and `tests/examples_on_std.rs`
//! show both.

use std::net::SocketAddr;

use epipe::io::{self, ErrorKind, IoSlice, Read, Write}; // was: std::io
use epipe::net::{TcpListener, TcpStream}; // was: std::net

struct Client {
    server: SocketAddr,
    stream: TcpStream,
    connections: u32,
}

impl Client {
    fn connect(server: SocketAddr) -> io::Result<Client> {
        Ok(Client { server, stream: TcpStream::connect(server)?, connections: 1 })
    }

    /// Sends a record, on a new connection if the old one is broken. The records before this one
    /// may be lost: their writes succeeded, but the server has not read them.
    fn send(&mut self, record: &[u8]) -> io::Result<()> {
        let Err(error) = self.try_send(record) else {
            return Ok(());
        };
        match error.kind() {
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
                println!("{error}: connecting again");
                self.stream = TcpStream::connect(self.server)?;
                self.connections += 1;
                self.try_send(record)
            }
            _ => Err(error),
        }
    }

    fn try_send(&mut self, record: &[u8]) -> io::Result<()> {
        let length = (record.len() as u32).to_be_bytes();
        let mut buffers = &mut [&length, record].map(IoSlice::new)[..];
        while !buffers.is_empty() {
            match self.stream.write_vectored(buffers)? {
                0 => return Err(ErrorKind::WriteZero.into()),
                written => IoSlice::advance_slices(&mut buffers, written),
            }
        }
        Ok(())
    }
}

/// Sends records to a server that closes the first connection and reads from the second.
pub fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = Client::connect(listener.local_addr()?)?;
    drop(listener.accept()?);
    // The first writes may still succeed.
    while client.connections == 1 {
        client.send(b"a record")?;
    }
    let (mut server, _) = listener.accept()?;
    let mut record = [0; 12];
    server.read_exact(&mut record)?;
    println!("the server has read {:?}", String::from_utf8_lossy(&record[4..]));
    Ok(())
}
