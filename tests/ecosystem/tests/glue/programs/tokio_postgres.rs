use tokio_postgres::{Client, Config, Error, NoTls};

use super::tokio::net::TcpStream;

pub async fn connect(config: &Config, stream: TcpStream) -> Result<Client, Error> {
    let (client, driver) = config.connect_raw(stream, NoTls).await?;
    tokio::spawn(driver);
    Ok(client)
}
