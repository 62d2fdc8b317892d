use std::io;

use hyper::{Request, StatusCode, Uri, body::Body};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tower::service_fn;

use super::tokio::net::TcpStream;

async fn connect(uri: Uri) -> io::Result<TokioIo<TcpStream>> {
    let server = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(80));
    Ok(TokioIo::new(TcpStream::connect(server).await?))
}

pub async fn send<B>(request: Request<B>) -> Result<StatusCode, Error>
where
    B: Body<Data: Send, Error: std::error::Error + Send + Sync> + Send + Unpin + 'static,
{
    let connector = service_fn(|uri| Box::pin(connect(uri)));
    let client = Client::builder(TokioExecutor::new()).build(connector);
    Ok(client.request(request).await?.status())
}
