use std::{io, net::SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use super::tokio::net::{TcpListener, TcpStream};

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match from.read(&mut buffer).await? {
            0 => return to.shutdown().await,
            length => to.write_all_buf(&mut &buffer[..length]).await?,
        }
    }
}

pub async fn serve(listener: TcpListener, backend: SocketAddr) -> io::Result<()> {
    loop {
        let (client, _) = listener.accept().await?;
        tokio::spawn(async move {
            let server = TcpStream::connect(backend).await?;
            server.set_nodelay(true)?;
            let (client, server) = (client.into_split(), server.into_split());
            tokio::try_join!(copy(client.0, server.1), copy(server.0, client.1))
        });
    }
}
