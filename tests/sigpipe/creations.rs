//! Every way to get a stream. A vectored write to our stream survives. The same write to a stream
//! of the original, made the same way, dies.

use std::io::Write;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::SocketAddr as UnixAddr;
use std::path::PathBuf;
use std::time::Duration;

use epipe::{raw, socket2::SockRef as OurSockRef};
use socket2::{Domain, SockRef, Type};

use crate::Scene;
use crate::rows::socket_raises;
use crate::support::{Break, slices, spell, tcp_pair, unix_pair};

/// Breaks the connection, and writes until the writes report it.
fn write_to_the_gone<S: AsFd + Write>(mut stream: S, peer: impl Into<OwnedFd>) {
    let is_unix = SockRef::from(&stream).local_addr().unwrap().is_unix();
    let broken = if is_unix { Break::Closed } else { Break::Rst };
    broken.apply(stream.as_fd(), peer.into()).unwrap();
    let _ = std::fs::remove_file(unix_path());
    let answers: Vec<String> =
        broken.answers().iter().map(|_| spell(&stream.write_vectored(&slices()))).collect();
    assert_eq!(answers, broken.answers());
}

fn unix_path() -> PathBuf {
    std::env::temp_dir().join(format!("epipe-test-{}", std::process::id()))
}

fn unix_name() -> UnixAddr {
    UnixAddr::from_pathname(unix_path()).unwrap()
}

/// A control does not die where its crate sets SO_NOSIGPIPE on new sockets. std does so on every
/// system that has the option (std's sys/net/connection/socket/unix.rs `Socket::new`), but not on
/// pairs. socket2 does so on Apple's systems (its socket.rs `set_common_flags`).
fn control(name: &'static str, play: fn()) -> Scene {
    let begins = |with| name.starts_with(with);
    let is_set = if begins("Socket::new") || begins("Socket::pair") {
        cfg!(kernel = "apple")
    } else {
        cfg!(socket_option) && !begins("UnixStream::pair")
    };
    Scene::dies(name, play).control_only_if(!is_set)
}

/// The same ways for ours and for the originals.
macro_rules! ways {
    ($scene:path, $suffix:literal, $root:ident, $socket:ty, $sock_ref:ident) => {{
        use ::$root::net::{TcpListener, TcpStream};
        use ::$root::os::unix::net::{UnixListener, UnixStream};
        type Socket = $socket;

        fn listening() -> (TcpListener, SocketAddr) {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            (listener, address)
        }

        vec![
            $scene(concat!("TcpStream::connect", $suffix), || {
                let (listener, address) = listening();
                let stream = TcpStream::connect(address).unwrap();
                write_to_the_gone(stream, listener.accept().unwrap().0);
            }),
            $scene(concat!("TcpStream::connect_timeout", $suffix), || {
                let (listener, address) = listening();
                let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).unwrap();
                write_to_the_gone(stream, listener.accept().unwrap().0);
            }),
            $scene(concat!("TcpListener::accept", $suffix), || {
                let (listener, address) = listening();
                let peer = TcpStream::connect(address).unwrap();
                write_to_the_gone(listener.accept().unwrap().0, peer);
            }),
            $scene(concat!("TcpListener::incoming", $suffix), || {
                let (listener, address) = listening();
                let peer = TcpStream::connect(address).unwrap();
                write_to_the_gone(listener.incoming().next().unwrap().unwrap(), peer);
            }),
            $scene(concat!("UnixStream::pair", $suffix), || {
                let (stream, peer) = UnixStream::pair().unwrap();
                write_to_the_gone(stream, peer);
            }),
            $scene(concat!("UnixStream::connect_addr", $suffix), || {
                let listener = UnixListener::bind_addr(&unix_name()).unwrap();
                let stream = UnixStream::connect_addr(&unix_name()).unwrap();
                write_to_the_gone(stream, listener.accept().unwrap().0);
            }),
            $scene(concat!("UnixListener::accept", $suffix), || {
                let listener = UnixListener::bind_addr(&unix_name()).unwrap();
                let peer = UnixStream::connect_addr(&unix_name()).unwrap();
                write_to_the_gone(listener.accept().unwrap().0, peer);
            }),
            $scene(concat!("UnixListener by reference", $suffix), || {
                let listener = UnixListener::bind_addr(&unix_name()).unwrap();
                let peer = UnixStream::connect_addr(&unix_name()).unwrap();
                write_to_the_gone((&listener).into_iter().next().unwrap().unwrap(), peer);
            }),
            $scene(concat!("Socket::new, connect and accept", $suffix), || {
                let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
                listener.bind(&nowhere.into()).unwrap();
                listener.listen(1).unwrap();
                let stream = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                stream.connect(&listener.local_addr().unwrap()).unwrap();
                write_to_the_gone(stream, listener.accept().unwrap().0);
            }),
            $scene(concat!("Socket::accept", $suffix), || {
                let (listener, address) = listening();
                let peer = TcpStream::connect(address).unwrap();
                write_to_the_gone(Socket::from(listener).accept().unwrap().0, peer);
            }),
            $scene(concat!("Socket::accept_raw", $suffix), || {
                let (listener, address) = listening();
                let peer = TcpStream::connect(address).unwrap();
                write_to_the_gone(Socket::from(listener).accept_raw().unwrap().0, peer);
            }),
            #[cfg(target_os = "linux")]
            $scene(concat!("Socket::accept4", $suffix), || {
                let (listener, address) = listening();
                let peer = TcpStream::connect(address).unwrap();
                write_to_the_gone(Socket::from(listener).accept4(0).unwrap().0, peer);
            }),
            $scene(concat!("SockRef::accept", $suffix), || {
                let (listener, address) = listening();
                let peer = TcpStream::connect(address).unwrap();
                write_to_the_gone($sock_ref::from(&listener).accept().unwrap().0, peer);
            }),
            $scene(concat!("Socket::pair", $suffix), || {
                let (stream, peer) = Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap();
                write_to_the_gone(stream, peer);
            }),
        ]
    }};
}

/// Ways that the originals do not have. The controls of `accept` and `pair` above also serve these.
fn ours_alone() -> Vec<Scene> {
    use epipe::net::{TcpListener, TcpStream};
    use epipe::os::unix::net::UnixStream;

    vec![
        Scene::survives("TcpListener::into_incoming", || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            write_to_the_gone(listener.into_incoming().next().unwrap().unwrap(), peer);
        }),
        Scene::survives("raw::accept", || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (accepted, _) = raw::accept(&listener).unwrap();
            write_to_the_gone(TcpStream::from(accepted), peer);
        }),
        Scene::survives("raw::socket_pair", || {
            let (stream, peer) = raw::socket_pair(Domain::UNIX, Type::STREAM, None).unwrap();
            write_to_the_gone(UnixStream::from(stream), peer);
        }),
    ]
}

pub fn scenes() -> Vec<Scene> {
    let mut scenes = ways!(Scene::survives, "", epipe, epipe::socket2::Socket, OurSockRef);
    let can_die = socket_raises(unix_pair) && socket_raises(|| tcp_pair("127.0.0.1:0"));
    let controls = ways!(control, ": control", std, socket2::Socket, SockRef);
    scenes.extend(controls.into_iter().map(|scene| scene.control_only_if(can_die)));
    scenes.extend(ours_alone());
    scenes
}
