//! An axum server: a client that vanishes ends its own connection alone.
//!
//! ```text
//! cargo run --example axum --features axum
//! ```
//!
//! hyper writes its answers by `write_vectored`, where tokio's own stream passes no flag. In a C
//! host, with SIGPIPE at its default, the same server on tokio alone is killed:
//! `tests/examples.rs` and `tests/examples_on_std.rs` show both.

#[cfg(any(target_family = "wasm", target_os = "espidf"))]
fn main() {
    println!("This system has no axum.");
}

#[cfg(not(any(target_family = "wasm", target_os = "espidf")))]
pub use program::main;

#[cfg(not(any(target_family = "wasm", target_os = "espidf")))]
mod program {
    use axum::{Router, routing::get};
    use epipe::tokio::net::{TcpListener, TcpStream}; // was: tokio::net
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::runtime::Builder;

    async fn request(listener: &TcpListener) -> std::io::Result<TcpStream> {
        let mut client = TcpStream::connect(listener.local_addr()?).await?;
        let head = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        client.write_all(head).await?;
        Ok(client)
    }

    /// Serves two clients: one that vanishes, and one that reads the whole answer.
    pub fn main() -> std::io::Result<()> {
        Builder::new_current_thread().enable_all().build()?.block_on(async {
            let app = Router::new().route("/", get(|| async { vec![b'x'; 8 << 20] }));
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            drop(request(&listener).await?);
            let mut client = request(&listener).await?;
            tokio::spawn(async { axum::serve(listener, app).await });
            let read = client.read_to_end(&mut Vec::new()).await?;
            println!("the client that stays has read {read} bytes");
            Ok(())
        })
    }
}
