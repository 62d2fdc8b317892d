//! OpenSSL over `set_fd`, with a connection that is cut at each byte. The process survives, and no
//! truncation counts as the end.

use std::ffi::c_int;
use std::net::TcpStream;
use std::os::fd::AsRawFd;

use foreign_types::ForeignTypeRef;
use openssl::pkey::PKey;
use openssl::ssl::{Ssl, SslContext, SslVersion};
use openssl_sys::{
    ERR_clear_error, SSL_ERROR_SSL, SSL_ERROR_SYSCALL, SSL_ERROR_ZERO_RETURN, SSL_get_error,
    SSL_read, SSL_shutdown, SSL_write,
};

use crate::Scene;
use crate::tls::{Install, by_openssl, by_set_fd, context, identity_of};

#[path = "../../../../tests/support/sweep.rs"]
mod driver;

use driver::{Ended, PAYLOAD, Sides, stride};

/// Returns whether this result of `SSL_get_error` counts as the end of the stream.
type Judge = fn(c_int) -> bool;

/// The right rule: only a close_notify is an end.
fn strict(error: c_int) -> bool {
    error == SSL_ERROR_ZERO_RETURN
}

/// TLS 1.3 with Ed25519. All its signatures have the same length, and so all exchanges do.
fn ed25519() -> SslContext {
    let (certificate, key) = identity_of(PKey::generate_ed25519().unwrap(), None);
    context(|context| {
        context.set_min_proto_version(Some(SslVersion::TLS1_3)).unwrap();
        context.set_certificate(&certificate).unwrap();
        context.set_private_key(&key).unwrap();
        // The context also has a certificate of another kind, which must not be used.
        context.set_sigalgs_list("ed25519").unwrap();
    })
}

/// One side of an exchange, with a blocking socket.
struct Side {
    ssl: Ssl,
    _stream: TcpStream,
    judge: Judge,
}

impl Side {
    fn new(context: &SslContext, stream: TcpStream, install: Install, judge: Judge) -> Side {
        let ssl = Ssl::new(context).unwrap();
        install(ssl.as_ptr(), stream.as_raw_fd());
        Side { ssl, _stream: stream, judge }
    }

    /// The result of `SSL_get_error` for a failed call.
    fn error_of(&self, returned: c_int) -> c_int {
        let error = unsafe { SSL_get_error(self.ssl.as_ptr(), returned) };
        let expected = [SSL_ERROR_SSL, SSL_ERROR_SYSCALL, SSL_ERROR_ZERO_RETURN];
        assert!(expected.contains(&error), "SSL_get_error: {error}");
        error
    }

    /// Writes everything. The first call does the handshake.
    fn write_all(&self, bytes: &[u8]) -> Result<(), String> {
        unsafe { ERR_clear_error() };
        let len = bytes.len() as c_int;
        match unsafe { SSL_write(self.ssl.as_ptr(), bytes.as_ptr().cast(), len) } {
            written if written == len => Ok(()),
            written if written > 0 => Err(format!("wrote {written}")),
            failed => Err(format!("SSL_write: {}", self.error_of(failed))),
        }
    }

    /// Reads up to the end, but at most `most` bytes.
    fn read(&self, most: usize) -> Ended {
        let mut received = vec![0; most];
        let mut len = 0;
        while len < most {
            unsafe { ERR_clear_error() };
            let room = &mut received[len..];
            let size = room.len() as c_int;
            let read = unsafe { SSL_read(self.ssl.as_ptr(), room.as_mut_ptr().cast(), size) };
            if read <= 0 {
                let error = self.error_of(read);
                if !(self.judge)(error) {
                    return Err(format!("SSL_read: {error}"));
                }
                break;
            }
            len += read as usize;
        }
        received.truncate(len);
        Ok(received)
    }

    /// Sends close_notify. The result is ignored: if it is lost, the other side notices.
    fn goodbye(&self) {
        unsafe {
            ERR_clear_error();
            SSL_shutdown(self.ssl.as_ptr());
            ERR_clear_error();
        }
    }
}

fn sides(install: Install, judge: Judge) -> Sides {
    let context = ed25519();
    let server_context = context.clone();
    Sides {
        client: Box::new(move |stream| {
            let mut side = Side::new(&context, stream, install, judge);
            side.ssl.set_connect_state();
            let answer = side.write_all(&PAYLOAD).and_then(|()| side.read(4096));
            // SSL_shutdown(3) forbids this after a fatal error. It must not kill even then.
            side.goodbye();
            answer
        }),
        server: Box::new(move |stream| {
            let mut side = Side::new(&server_context, stream, install, judge);
            side.ssl.set_accept_state();
            let request = side.read(PAYLOAD.len())?;
            side.write_all(&PAYLOAD)?;
            side.goodbye();
            side.read(4096).map(|rest| [request, rest].concat())
        }),
    }
}

pub fn scenes() -> Vec<Scene> {
    vec![
        Scene::survives("openssl sweep: cut at any byte", || {
            let report = driver::sweep(&sides(by_set_fd, strict), stride());
            println!("OpenSSL: {report:?}");
            assert!(report.fooled.is_empty(), "{:#?}", report.fooled);
            assert!(report.complete > 0 && report.noticed > report.cuts);
        })
        .patient(),
        Scene::dies("openssl sweep: cut at any byte: control", || {
            driver::sweep(&sides(by_openssl, strict), stride());
        })
        .patient(),
        Scene::survives("openssl sweep: without the check truncations count as the end", || {
            let report = driver::sweep(&sides(by_set_fd, |_| true), 331);
            assert!(report.fooled.len() > report.cuts / 4, "{report:?}");
        })
        .patient(),
    ]
}
