use std::{io, net::SocketAddr};

use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint, Error};
use tower::service_fn;

use super::tokio::net::TcpStream;

pub async fn connect(server: SocketAddr) -> Result<Channel, Error> {
    let connector = service_fn(move |_uri| async move {
        Ok::<_, io::Error>(TokioIo::new(TcpStream::connect(server).await?))
    });
    Endpoint::from_static("http://localhost").connect_with_connector(connector).await
}
