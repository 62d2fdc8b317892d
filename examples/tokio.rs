//! A server on tokio: a client that vanishes ends only its own task.
//!
//! ```text
//! cargo run --example tokio --features tokio
//! ```
//!
//! It sends events for as long as the client listens. `write_all_buf` uses `write_vectored`, where
//! tokio's own stream passes no flag. In a C host, with SIGPIPE at its default, the same server on
//! tokio's own types is killed: `tests/examples.rs` and `tests/examples_on_std.rs` show both.

#[cfg(any(target_family = "wasm", target_os = "espidf"))]
fn main() {
    println!("This system has no tokio with sockets.");
}

#[cfg(not(any(target_family = "wasm", target_os = "espidf")))]
pub use program::main;

#[cfg(not(any(target_family = "wasm", target_os = "espidf")))]
mod program {
    use epipe::tokio::net::{TcpListener, TcpStream}; // was: tokio::net
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::runtime::Builder;

    async fn events(mut stream: TcpStream) -> std::io::Result<()> {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").await?;
        for number in 1.. {
            let event = format!("data: {number}\n\n");
            stream.write_all_buf(&mut event.as_bytes()).await?;
        }
        Ok(())
    }

    async fn serve(listener: TcpListener) -> std::io::Result<()> {
        loop {
            let (stream, client) = listener.accept().await?;
            tokio::spawn(async move {
                let ended = events(stream).await;
                println!("{client}: {:?}", ended.map_err(|error| error.kind()));
            });
        }
    }

    /// Serves two clients: one that vanishes, and one that reads an event.
    pub fn main() -> std::io::Result<()> {
        Builder::new_current_thread().enable_all().build()?.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?;
            drop(TcpStream::connect(address).await?);
            let client = TcpStream::connect(address).await?;
            tokio::spawn(serve(listener));
            let mut lines = BufReader::new(client).lines();
            while let Some(line) = lines.next_line().await? {
                if line.starts_with("data: ") {
                    println!("the client that stays has read {line:?}");
                    break;
                }
            }
            Ok(())
        })
    }
}
