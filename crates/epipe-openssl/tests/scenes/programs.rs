//! Real programs as the vanished peer: `openssl s_server` ends, nginx resets the connection.

use std::ffi::c_int;
use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd;

use foreign_types::ForeignTypeRef;
use openssl::ssl::Ssl;
use openssl_sys::{SSL, SSL_connect, SSL_read, SSL_write};

use crate::Scene;
use crate::servers::{Server, has, nginx, openssl_s_server};
use crate::support::{assert_epipe, wait};
use crate::tls::{Install, by_openssl, by_set_fd, context, identity};

fn pem() -> (String, String) {
    let (certificate, key) = identity();
    let text = |pem| String::from_utf8(pem).unwrap();
    (text(certificate.to_pem().unwrap()), text(key.private_key_to_pem_pkcs8().unwrap()))
}

fn connect(server: &Server, install: Install) -> (Ssl, TcpStream) {
    let stream = TcpStream::connect(server.address).unwrap();
    let ssl = Ssl::new(&context(|_| {})).unwrap();
    install(ssl.as_ptr(), stream.as_raw_fd());
    assert_eq!(unsafe { SSL_connect(ssl.as_ptr()) }, 1);
    server.is_up();
    (ssl, stream)
}

fn write(ssl: *mut SSL, bytes: &[u8]) -> io::Result<c_int> {
    let written = unsafe { SSL_write(ssl, bytes.as_ptr().cast(), bytes.len() as c_int) };
    match written {
        1.. => Ok(written),
        _ => Err(io::Error::last_os_error()),
    }
}

fn write_to_an_s_server_that_ends(install: Install) {
    let mut server = openssl_s_server(&pem());
    let (ssl, stream) = connect(&server, install);
    write(ssl.as_ptr(), b"a record\n").unwrap();
    server.says("a record"); // An unread record would cause a reset.
    server.kill();
    wait(stream.as_raw_fd(), libc::POLLRDHUP);
    write(ssl.as_ptr(), b"a record").unwrap(); // causes the reset
    wait(stream.as_raw_fd(), 0);
    assert_epipe(write(ssl.as_ptr(), b"a record"));
}

fn write_after_a_reset_by_nginx(install: Install) {
    let server = nginx(&pem());
    let (ssl, stream) = connect(&server, install);
    write(ssl.as_ptr(), b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    wait(stream.as_raw_fd(), libc::POLLERR);
    let mut buffer = [0_u8; 100];
    while unsafe { SSL_read(ssl.as_ptr(), buffer.as_mut_ptr().cast(), 100) } > 0 {}
    assert_epipe(write(ssl.as_ptr(), b"another request"));
}

pub fn scenes() -> Vec<Scene> {
    let ends = "openssl s_server ends: SSL_write";
    let resets = "nginx resets: SSL_write";
    vec![
        Scene::survives(ends, || write_to_an_s_server_that_ends(by_set_fd)).only_if(has("openssl")),
        Scene::dies(format!("{ends}: control"), || write_to_an_s_server_that_ends(by_openssl))
            .only_if(has("openssl")),
        Scene::survives(resets, || write_after_a_reset_by_nginx(by_set_fd)).only_if(has("nginx")),
        Scene::dies(format!("{resets}: control"), || write_after_a_reset_by_nginx(by_openssl))
            .only_if(has("nginx")),
    ]
}
