//! An HTTP/1 server for `ci/servers`, with SIGPIPE at its default as in a C host. It runs on hyper,
//! axum or rustls, on unprotected streams (`bare`) or on this crate's (`protected`).
//!
//! ```text
//! cargo run -p epipe-ecosystem-tests --example http_server -- \
//!     PORT hyper|axum|tls bare|protected DELAY_MS [SIZE]
//! ```
//!
//! A handler waits for `DELAY_MS`, and answers `SIZE` bytes, or 2.

// rustls' cryptography is C code. The example is built where that needs no other tools.
#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
))]
fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    epipe::sigpipe::restore_default()?;
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [port, server, streams, delay, ref size @ ..] = words[..] else {
        return Err("usage: http_server PORT hyper|axum|tls bare|protected DELAY_MS [SIZE]".into());
    };
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port.parse()?));
    let delay = std::time::Duration::from_millis(delay.parse()?);
    let size = size.first().map_or(Ok(2), |size| size.parse())?;
    match (server, streams) {
        ("hyper" | "axum", "bare" | "protected") => {
            let is_axum = server == "axum";
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(http::serve(address, is_axum, streams == "bare", delay, size))?;
        }
        ("tls", "bare") => {
            let listener = std::net::TcpListener::bind(address)?;
            tls::serve(|| listener.accept().map(|(stream, _)| stream), delay, size)?;
        }
        ("tls", "protected") => {
            let listener = epipe::net::TcpListener::bind(address)?;
            tls::serve(|| listener.accept().map(|(stream, _)| stream), delay, size)?;
        }
        _ => return Err(format!("unknown server or streams: {server} {streams}").into()),
    }
    Ok(())
}

#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
))]
mod http {
    use std::convert::Infallible;
    use std::io;
    use std::net::SocketAddr;
    use std::time::Duration;

    use axum::Router;
    use axum::routing::get;
    use http_body_util::Full;
    use hyper::Response;
    use hyper::body::Bytes;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncRead, AsyncWrite};

    pub async fn serve(
        address: SocketAddr,
        is_axum: bool,
        is_bare: bool,
        delay: Duration,
        size: usize,
    ) -> io::Result<()> {
        let app = Router::new().fallback(get(move || answer(delay, size)));
        if is_bare {
            let listener = tokio::net::TcpListener::bind(address).await?;
            if is_axum {
                return axum::serve(listener, app).await;
            }
            loop {
                connection(listener.accept().await?.0, delay, size);
            }
        }
        let listener = epipe::tokio::net::TcpListener::bind(address).await?;
        if is_axum {
            return axum::serve(listener, app).await;
        }
        loop {
            connection(listener.accept().await?.0, delay, size);
        }
    }

    fn connection<S>(stream: S, delay: Duration, size: usize)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let service = service_fn(move |_request| async move {
            Ok::<_, Infallible>(Response::new(Full::new(answer(delay, size).await)))
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }

    async fn answer(delay: Duration, size: usize) -> Bytes {
        // Even a sleep of 0 lets other tasks run first.
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        vec![b'x'; size].into()
    }
}

#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
))]
mod tls {
    use std::error::Error;
    use std::io::{self, BufRead, BufReader, Read, Write};
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ServerConfig, ServerConnection, StreamOwned};

    /// Serves each connection on its own thread.
    pub fn serve<S: Read + Write + Send + 'static>(
        accept: impl Fn() -> io::Result<S>,
        delay: Duration,
        size: usize,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let identity = rcgen::generate_simple_self_signed(["localhost".to_string()])?;
        let key = PrivateKeyDer::Pkcs8(identity.signing_key.serialize_der().into());
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![identity.cert.der().clone()], key)?;
        let config = Arc::new(config);
        loop {
            let session = ServerConnection::new(config.clone())?;
            let stream = StreamOwned::new(session, accept()?);
            // The error of a vanished client ends its own connection alone.
            thread::spawn(move || requests(stream, delay, size));
        }
    }

    fn requests(stream: impl Read + Write, delay: Duration, size: usize) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        loop {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            // The end of a request: none has a body.
            if line == "\r\n" {
                thread::sleep(delay);
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
                let out = stream.get_mut();
                out.write_all(&[head.as_bytes(), &vec![b'x'; size]].concat())?;
                out.flush()?;
            }
        }
    }
}

#[cfg(not(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
)))]
fn main() {
    println!("This example is built on Linux with glibc, on x86-64 and aarch64.");
}
