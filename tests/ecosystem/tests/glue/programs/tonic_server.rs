use futures_lite::stream::unfold;
use tonic::service::Routes;
use tonic::transport::{Error, Server};

use super::tokio::net::TcpListener;

pub async fn serve(listener: TcpListener, services: Routes) -> Result<(), Error> {
    let incoming = unfold(listener, |listener| async {
        Some((listener.accept().await.map(|(stream, _)| stream), listener))
    });
    Server::builder().add_routes(services).serve_with_incoming(incoming).await
}
