//! A TLS server that vanishes in the middle of its answer: for `rustls.rs` and the C host.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use socket2::SockRef;

/// A server on a thread of its own.
pub struct Peer {
    pub address: SocketAddr,
    /// For a client: it trusts the certificate of the server.
    pub trust: Arc<ClientConfig>,
    pub ends: JoinHandle<io::Result<()>>,
}

/// Starts the server. It sends the beginning of its answer, and closes with a reset.
pub fn begin() -> Result<Peer, Box<dyn Error + Send + Sync>> {
    let identity = rcgen::generate_simple_self_signed(["localhost".to_string()])?;
    let certificate = identity.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(identity.signing_key.serialize_der().into());
    let server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)?;

    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();

    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = ServerConnection::new(server.into())?;
    Ok(Peer {
        address,
        trust: client.into(),
        ends: thread::spawn(move || serve(&listener, server)),
    })
}

fn serve(listener: &TcpListener, server: ServerConnection) -> io::Result<()> {
    let (stream, _) = listener.accept()?;
    let mut stream = StreamOwned::new(server, stream);
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        request.extend(byte);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nThe first words")?;
    stream.flush()?;
    SockRef::from(&stream.sock).set_linger(Some(Duration::ZERO))
    // The stream is dropped here. A close with no time to linger is a reset.
}
