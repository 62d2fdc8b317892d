use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::tokio::net::TcpStream;

pub async fn connect(stream: TcpStream) -> Result<WebSocketStream<TcpStream>, Error> {
    Ok(client_async("ws://localhost/", stream).await?.0)
}

pub async fn close(mut socket: WebSocketStream<TcpStream>) -> Result<(), Error> {
    socket.close(None).await
}
