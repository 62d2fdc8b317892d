//! Both sides of a TLS connection, and the certificate that they agree on.

use std::io::{Read, Write};
use std::sync::Arc;
use std::thread;

use rcgen::CertifiedKey;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

pub struct Identity(CertifiedKey<rcgen::KeyPair>);

impl Identity {
    /// A new, self-signed certificate.
    pub fn new() -> Identity {
        Identity(rcgen::generate_simple_self_signed(["localhost".to_string()]).unwrap())
    }

    /// The same, with signatures of a constant length.
    #[allow(dead_code, reason = "only the sweep uses it")]
    pub fn ed25519() -> Identity {
        let signing_key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let certificate = rcgen::CertificateParams::new(["localhost".to_string()]).unwrap();
        Identity(CertifiedKey { cert: certificate.self_signed(&signing_key).unwrap(), signing_key })
    }

    pub fn server(&self) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::Pkcs8(self.0.signing_key.serialize_der().into());
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![self.0.cert.der().clone()], key)
            .unwrap();
        // A client that closes with an unread ticket would reset the connection.
        config.send_tls13_tickets = 0;
        Arc::new(config)
    }

    pub fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.cert.der().clone()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Arc::new(config)
    }

    /// Certificate and key, in the format that other programs read.
    pub fn pem(&self) -> (String, String) {
        (self.0.cert.pem(), self.0.signing_key.serialize_pem())
    }
}

pub fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

/// A client that has finished its handshake over `ours`, and the peer's stream.
pub fn client<S: Read + Write, P>(ours: &mut S, theirs: P) -> (ClientConnection, P)
where
    P: Read + Write + Send + 'static,
{
    let identity = Identity::new();
    let server = ServerConnection::new(identity.server()).unwrap();
    let mut client = ClientConnection::new(identity.client(), localhost()).unwrap();
    let peer = thread::spawn(move || shake_hands(server.into(), theirs));
    while client.is_handshaking() {
        client.complete_io(ours).unwrap();
    }
    (client, peer.join().unwrap())
}

/// A server that has finished its handshake over `ours`, and the peer's stream.
pub fn server<S: Read + Write, P>(ours: &mut S, theirs: P) -> (ServerConnection, P)
where
    P: Read + Write + Send + 'static,
{
    let identity = Identity::new();
    let mut server = ServerConnection::new(identity.server()).unwrap();
    let client = ClientConnection::new(identity.client(), localhost()).unwrap();
    let peer = thread::spawn(move || shake_hands(client.into(), theirs));
    while server.is_handshaking() {
        server.complete_io(ours).unwrap();
    }
    (server, peer.join().unwrap())
}

fn shake_hands<P: Read + Write>(mut side: rustls::Connection, mut stream: P) -> P {
    while side.is_handshaking() || side.wants_write() {
        side.complete_io(&mut stream).unwrap();
    }
    stream
}
