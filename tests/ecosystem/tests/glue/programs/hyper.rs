use std::{convert::Infallible, io};

use http_body_util::Full;
use hyper::{Response, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;

use super::tokio::net::TcpListener;

pub async fn serve(listener: TcpListener, answer: fn() -> String) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = service_fn(move |_request| async move {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(answer()))))
        });
        // The error of a vanished client ends only its own connection.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}
