use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::tokio::net::{UnixListener, UnixStream};

async fn converse(mut stream: UnixStream, answer: fn() -> String) -> io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut lines = BufReader::new(reader).lines();
    while lines.next_line().await?.is_some() {
        writer.write_all_buf(&mut answer().as_bytes()).await?;
    }
    Ok(())
}

pub async fn serve(listener: UnixListener, answer: fn() -> String) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(converse(stream, answer));
    }
}
