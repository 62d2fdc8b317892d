//! The client side of TLS, for `--tls`.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, ProtocolVersion, SignatureScheme,
};

use super::args::Result;
use super::attack::Stage;
use super::net::{Layer, NewLayer};

/// Returns the function that makes the TLS layer of each connection to this host.
pub fn layers(host: &str) -> Result<NewLayer> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
        .with_no_client_auth();
    // Each connection makes a full handshake.
    config.resumption = Resumption::disabled();
    let config = Arc::new(config);
    let name = ServerName::try_from(host.to_owned()).map_err(|error| format!("{host}: {error}"))?;
    // A first connection now, so that this function reports a failure.
    ClientConnection::new(config.clone(), name.clone())?;
    let quickest = Rc::new(Cell::new(Duration::MAX));
    Ok(Box::new(move || {
        let mut connection = ClientConnection::new(config.clone(), name.clone())
            .map_err(|error| io::Error::other(format!("TLS: {error}")))?;
        connection.set_buffer_limit(None);
        Ok(Box::new(Tls {
            connection,
            begun: Instant::now(),
            quickest: quickest.clone(),
            heard: None,
        }))
    }))
}

struct Tls {
    connection: ClientConnection,
    begun: Instant,
    /// The shortest handshake of all connections. Longer ones may have waited in a queue.
    quickest: Rc<Cell<Duration>>,
    /// When bytes last came. `None` before the end of the handshake.
    heard: Option<Instant>,
}

impl Layer for Tls {
    fn say(&mut self, plain: &[u8]) -> io::Result<Vec<u8>> {
        self.connection.writer().write_all(plain)?;
        let mut bytes = Vec::new();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut bytes)?;
        }
        Ok(bytes)
    }

    fn hear(&mut self, mut bytes: &[u8]) -> io::Result<usize> {
        let mut count = 0;
        // After the server's close_notify, rustls takes no more bytes.
        while self.connection.read_tls(&mut bytes)? > 0 {
            let state = self
                .connection
                .process_new_packets()
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let length = state.plaintext_bytes_to_read();
            self.connection.reader().read_exact(&mut vec![0; length])?;
            count += length;
        }
        if !self.connection.is_handshaking() {
            if self.heard.is_none() {
                self.quickest.set(self.quickest.get().min(self.begun.elapsed()));
            }
            self.heard = Some(Instant::now());
        }
        Ok(count)
    }

    fn has_come_to(&self, stage: Stage) -> bool {
        let is_1_2 = self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_2);
        match (stage, self.heard) {
            (Stage::Hello, _) => true,
            // In TLS 1.2 the server finishes after the client, so the request has to wait.
            (Stage::Within, None) => is_1_2 && self.connection.wants_write(),
            (Stage::Within, Some(_)) => true,
            (Stage::Done, None) => false,
            // In TLS 1.3 the server finishes without a message, and may then send tickets. Those
            // are not part of an answer.
            (Stage::Done, Some(heard)) => {
                let is_quiet = heard.elapsed() > self.quickest.get() + Duration::from_millis(2);
                !self.connection.wants_write() && (is_1_2 || is_quiet)
            }
        }
    }

    fn close(&mut self) -> io::Result<Vec<u8>> {
        self.connection.send_close_notify();
        self.say(&[])
    }
}

/// Accepts any certificate: many devices have signed their own, and this program sends no secrets.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
