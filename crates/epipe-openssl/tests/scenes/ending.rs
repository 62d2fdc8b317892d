//! How OpenSSL reports an orderly end and a truncation, as `epipe_util::Disconnect` documents it.

use std::ffi::c_int;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use epipe::os::unix::net::UnixStream;
use epipe::sigpipe::guard;
use epipe_util::close::{Ending, close_gracefully};
use foreign_types::ForeignTypeRef;
use openssl::error::ErrorStack;
use openssl::ssl::{ErrorCode, ShutdownResult, ShutdownState, Ssl, SslContext, SslStream};
use openssl_sys::{
    SSL_ERROR_SSL, SSL_ERROR_ZERO_RETURN, SSL_get_error, SSL_read, SSL_set_connect_state,
};

use crate::Scene;
use crate::tls::{Install, by_openssl, by_set_fd, context};

/// The reason code of a truncation, from OpenSSL 3 on (openssl/sslerr.h).
const SSL_R_UNEXPECTED_EOF_WHILE_READING: i32 = 294;

/// Starts a server that sends a message and then calls `end`. Returns its context and the client's
/// socket.
fn server(end: fn(SslStream<UnixStream>)) -> (SslContext, UnixStream) {
    let context = context(|_| {});
    let (ours, theirs) = UnixStream::pair().unwrap();
    let server = Ssl::new(&context).unwrap();
    thread::spawn(move || {
        let mut server = SslStream::new(server, theirs).unwrap();
        server.accept().unwrap();
        server.write_all(b"the first half").unwrap();
        end(server);
    });
    (context, ours)
}

/// A client that has read the message of such a server, but not the end.
fn client_of(end: fn(SslStream<UnixStream>)) -> SslStream<UnixStream> {
    let (context, ours) = server(end);
    let mut client = SslStream::new(Ssl::new(&context).unwrap(), ours).unwrap();
    client.connect().unwrap();
    let mut received = [0; 14];
    client.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"the first half");
    client
}

/// Ends like a killed program.
fn cut(server: SslStream<UnixStream>) {
    drop(server);
}

/// Ends in order, as the docs recommend.
fn whole(mut server: SslStream<UnixStream>) {
    assert_eq!(server.shutdown().unwrap(), ShutdownResult::Sent);
    let soon = Instant::now() + Duration::from_secs(10);
    assert_eq!(close_gracefully(server.get_ref(), soon).unwrap(), Ending::Clean);
}

/// The reason code on OpenSSL's error stack.
fn reason() -> Option<i32> {
    ErrorStack::get().errors().first().map(|error| error.reason_code())
}

/// The result of `SSL_get_error` and the reason code at the end of such a server's message.
fn end_by_fd(install: Install, end: fn(SslStream<UnixStream>)) -> (c_int, Option<i32>) {
    let (context, ours) = server(end);
    let ssl = Ssl::new(&context).unwrap();
    install(ssl.as_ptr(), ours.as_raw_fd());
    let mut received = [0; 14];
    // SAFETY: the buffer has 14 bytes, and the socket outlives the calls.
    unsafe {
        SSL_set_connect_state(ssl.as_ptr());
        assert_eq!(SSL_read(ssl.as_ptr(), received.as_mut_ptr().cast(), 14), 14);
        assert_eq!(&received, b"the first half");
        let returned = SSL_read(ssl.as_ptr(), received.as_mut_ptr().cast(), 14);
        (SSL_get_error(ssl.as_ptr(), returned), reason())
    }
}

pub fn scenes() -> Vec<Scene> {
    let mut scenes = vec![
        Scene::survives("ending: the openssl crate reads a truncation as the end", || {
            let mut client = client_of(cut);
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
            // Only this shows the difference.
            assert!(!client.get_shutdown().contains(ShutdownState::RECEIVED));
            let error = client_of(cut).ssl_read(&mut [0]).unwrap_err();
            assert_eq!(error.code(), ErrorCode::SYSCALL);
            assert!(error.io_error().is_none() && error.ssl_error().is_none());
        }),
        Scene::survives("ending: the openssl crate and an orderly end", || {
            let mut client = client_of(whole);
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
            assert!(client.get_shutdown().contains(ShutdownState::RECEIVED));
            let mut client = client_of(whole);
            let error = client.ssl_read(&mut [0]).unwrap_err();
            assert_eq!(error.code(), ErrorCode::ZERO_RETURN);
            // The peer's close_notify has already arrived.
            assert_eq!(client.shutdown().unwrap(), ShutdownResult::Received);
        }),
        Scene::survives("ending: SSL_shutdown twice waits for the peer's close_notify", || {
            let mut client = client_of(|mut server| {
                assert_eq!(server.read(&mut [0]).unwrap(), 0);
                server.shutdown().unwrap();
            });
            assert_eq!(client.shutdown().unwrap(), ShutdownResult::Sent);
            assert_eq!(client.shutdown().unwrap(), ShutdownResult::Received);
        }),
    ];
    let installs: [(&str, Install); 2] = [("SSL_set_fd", by_openssl), ("set_fd", by_set_fd)];
    for (name, install) in installs {
        scenes.push(Scene::survives(
            format!("ending: {name}: a truncation is SSL_ERROR_SSL with its reason"),
            move || {
                let truncated = Some(SSL_R_UNEXPECTED_EOF_WHILE_READING);
                // OpenSSL sends an alert to the vanished peer. Its own BIO would die of it.
                let _guard = guard().unwrap();
                assert_eq!(end_by_fd(install, cut), (SSL_ERROR_SSL, truncated));
                assert_eq!(end_by_fd(install, whole), (SSL_ERROR_ZERO_RETURN, None));
            },
        ));
    }
    scenes
}
