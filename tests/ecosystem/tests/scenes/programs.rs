//! Real programs as the vanishing peer: a killed `openssl s_server`, and nginx, which resets.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use rustls::{ClientConnection, StreamOwned};

use crate::Scene;
use crate::rows::DATA;
use crate::servers::{has, nginx, openssl_s_server};
use crate::support::{assert_epipe, wait};
use crate::tls::{Identity, localhost};

type Tls<S> = StreamOwned<ClientConnection, S>;

fn connect<S>(identity: &Identity, address: SocketAddr, connect: fn(SocketAddr) -> S) -> Tls<S>
where
    S: Read + Write,
{
    let tls = ClientConnection::new(identity.client(), localhost()).unwrap();
    StreamOwned::new(tls, connect(address))
}

fn write_to_a_killed_s_server<S: Read + Write + AsRawFd>(how: fn(SocketAddr) -> S) {
    let identity = Identity::new();
    let mut server = openssl_s_server(&identity.pem());
    let mut tls = connect(&identity, server.address, how);
    tls.write_all(b"a record\n").unwrap();
    tls.flush().unwrap();
    server.says("a record"); // unread data would cause a reset
    server.is_up();
    server.kill();
    wait(tls.sock.as_raw_fd(), libc::POLLRDHUP);
    tls.write_all(DATA).unwrap(); // causes the reset
    wait(tls.sock.as_raw_fd(), 0);
    assert_epipe(tls.write_all(DATA).and_then(|()| tls.flush()));
}

fn say_goodbye_to_nginx<S: Read + Write>(how: fn(SocketAddr) -> S) {
    let identity = Identity::new();
    let server = nginx(&identity.pem());
    let mut tls = connect(&identity, server.address, how);
    tls.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let error = tls.read(&mut [0; 100]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ECONNRESET));
    server.is_up();
    tls.conn.send_close_notify();
    assert_epipe(tls.flush());
}

pub fn scenes() -> Vec<Scene> {
    fn on_std(address: SocketAddr) -> std::net::TcpStream {
        std::net::TcpStream::connect(address).unwrap()
    }
    fn on_epipe(address: SocketAddr) -> epipe::net::TcpStream {
        epipe::net::TcpStream::connect(address).unwrap()
    }
    let killed = "rustls, openssl s_server is killed: write";
    let reset = "rustls, nginx resets: close_notify";
    vec![
        Scene::survives(killed, || write_to_a_killed_s_server(on_epipe)).only_if(has("openssl")),
        Scene::dies(format!("{killed}: control"), || write_to_a_killed_s_server(on_std))
            .only_if(has("openssl")),
        Scene::survives(reset, || say_goodbye_to_nginx(on_epipe)).only_if(has("nginx")),
        Scene::dies(format!("{reset}: control"), || say_goodbye_to_nginx(on_std))
            .only_if(has("nginx")),
    ]
}
