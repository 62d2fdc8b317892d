//! `epipe::socket2::Socket` and `epipe::raw`, beyond what `tests/sigpipe` shows.

#![allow(missing_docs, reason = "a test")]
#![cfg(all(unix, not(target_os = "redox")))] // it has no sendmsg

use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};

use epipe::raw;
use epipe::socket2::{Domain, MaybeUninitSlice, MsgHdr, MsgHdrMut, SockRef, Socket, Type};

fn pair() -> (Socket, Socket) {
    Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap()
}

/// Receives once, up to `len` bytes.
fn received(socket: &Socket, len: usize) -> String {
    let mut buf = vec![0; len];
    let read = { socket }.read(&mut buf).unwrap();
    String::from_utf8(buf[..read].to_vec()).unwrap()
}

#[test]
fn a_life_from_creation_to_shutdown() {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    SockRef::from(&listener).set_reuse_address(true).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(4).unwrap();
    let address = listener.local_addr().unwrap();

    let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    client.connect_timeout(&address, std::time::Duration::from_secs(5)).unwrap();
    let (server, from) = listener.accept().unwrap();
    assert_eq!(from.as_socket(), client.local_addr().unwrap().as_socket());
    assert_eq!(client.peer_addr().unwrap().as_socket(), address.as_socket());
    assert_eq!(client.r#type().unwrap(), Type::STREAM);

    client.set_nonblocking(true).unwrap();
    assert!(client.nonblocking().unwrap());
    client.set_nonblocking(false).unwrap();
    assert!(client.take_error().unwrap().is_none());

    { &client }.write_all(b"through the stream").unwrap();
    client.try_clone().unwrap().shutdown(Shutdown::Write).unwrap();
    let mut received_text = String::new();
    { &server }.read_to_string(&mut received_text).unwrap();
    assert_eq!(received_text, "through the stream");
    assert!(format!("{client:?}").starts_with("Socket { raw: "));
}

#[test]
fn new_sockets_close_on_exec_and_raw_ones_do_not() {
    fn closes(socket: &impl std::os::fd::AsRawFd) -> bool {
        let info = format!("/proc/self/fdinfo/{}", socket.as_raw_fd());
        let Ok(info) = std::fs::read_to_string(info) else {
            return true;
        };
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
        i32::from_str_radix(flags.trim(), 8).unwrap() & libc::O_CLOEXEC != 0
    }
    assert!(closes(&Socket::new(Domain::UNIX, Type::STREAM, None).unwrap()));
    assert!(closes(&raw::socket(Domain::UNIX, Type::STREAM, None).unwrap()));
    assert!(closes(&raw::socket_pair(Domain::UNIX, Type::STREAM, None).unwrap().0));
    let listener = epipe::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let _client = epipe::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    assert!(closes(&raw::accept(&listener).unwrap().0));
    if cfg!(target_os = "linux") {
        assert!(!closes(&Socket::new_raw(Domain::UNIX, Type::STREAM, None).unwrap()));
        assert!(!closes(&Socket::pair_raw(Domain::UNIX, Type::STREAM, None).unwrap().0));
        let _client = epipe::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(!closes(&Socket::from(listener).accept_raw().unwrap().0));
    }
}

#[test]
fn every_send_arrives() {
    let (a, b) = pair();
    let slices = [IoSlice::new(b"sli"), IoSlice::new(b"ces")];

    a.send(b"send").unwrap();
    assert_eq!(received(&b, 16), "send");
    a.send_with_flags(b"flags", libc::MSG_DONTWAIT).unwrap();
    assert_eq!(received(&b, 16), "flags");
    a.send_vectored(&slices).unwrap();
    assert_eq!(received(&b, 16), "slices");
    a.sendmsg(&MsgHdr::new().with_buffers(&slices), 0).unwrap();
    assert_eq!(received(&b, 16), "slices");
    assert_eq!({ &a }.write_vectored(&slices).unwrap(), 6);
    assert_eq!(received(&b, 16), "slices");

    raw::send(&a, b"raw").unwrap();
    assert_eq!(received(&b, 16), "raw");
    raw::send_vectored(&a, &slices).unwrap();
    assert_eq!(received(&b, 16), "slices");
    raw::sendmsg(&a, &MsgHdr::new().with_buffers(&slices), 0).unwrap();
    assert_eq!(received(&b, 16), "slices");
    raw::write(&a, b"write").unwrap();
    assert_eq!(received(&b, 16), "write");
    raw::write_vectored(&a, &slices).unwrap();
    assert_eq!(received(&b, 16), "slices");
}

#[cfg(target_os = "linux")]
#[test]
fn sendfile_sends_its_part_of_a_file() {
    use std::num::NonZeroUsize;

    let path = std::env::temp_dir().join(format!("epipe-sendfile-{}", std::process::id()));
    std::fs::write(&path, "0123456789").unwrap();
    let file = std::fs::File::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let (a, b) = pair();
    assert_eq!(a.sendfile(&file, 2, NonZeroUsize::new(3)).unwrap(), 3);
    assert_eq!(received(&b, 16), "234");
    assert_eq!(a.sendfile(&file, 7, None).unwrap(), 3);
    assert_eq!(received(&b, 16), "789");
    assert_eq!(raw::sendfile(&a, &file, 0, NonZeroUsize::new(1)).unwrap(), 1);
    assert_eq!(received(&b, 16), "0");
}

#[test]
fn every_receive_receives() {
    let (a, b) = pair();
    let mut buf = [MaybeUninit::uninit(); 8];
    a.send(b"abcdef").unwrap();
    assert_eq!(b.peek(&mut buf).unwrap(), 6);
    assert_eq!(b.recv(&mut buf[..1]).unwrap(), 1);
    assert_eq!(b.recv_with_flags(&mut buf[..1], libc::MSG_DONTWAIT).unwrap(), 1);
    assert_eq!(b.recv_from(&mut buf[..1]).unwrap().0, 1);
    assert_eq!(b.recv_vectored(&mut [MaybeUninitSlice::new(&mut buf[..1])]).unwrap().0, 1);
    let mut slices = [MaybeUninitSlice::new(&mut buf[..1])];
    assert_eq!(b.recvmsg(&mut MsgHdrMut::new().with_buffers(&mut slices), 0).unwrap(), 1);
    let mut slices = [MaybeUninitSlice::new(&mut buf[..1])];
    assert_eq!(b.recv_from_vectored(&mut slices).unwrap().0, 1);
}

#[test]
fn datagrams_go_to_addresses() {
    let bind = || {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    };
    let ((a, from), (b, to)) = (bind(), bind());
    let slices = [IoSlice::new(b"sli"), IoSlice::new(b"ces")];
    let sent = [
        a.send_to(b"datagram", &to).unwrap(),
        a.send_to_vectored(&slices, &to).unwrap(),
        raw::send_to(&a, b"raw", &to).unwrap(),
        raw::send_to_vectored(&a, &slices, &to).unwrap(),
    ];
    assert_eq!(sent, [8, 6, 3, 6]);
    let mut buf = [MaybeUninit::uninit(); 16];
    let (len, sender) = b.peek_from(&mut buf).unwrap();
    assert_eq!((len, sender.as_socket()), (8, from.as_socket()));
    assert_eq!(b.peek_sender().unwrap().as_socket(), from.as_socket());
    for len in sent {
        assert_eq!(b.recv_from_with_flags(&mut buf, 0).unwrap().0, len);
    }
}

#[test]
fn urgent_data_goes_out_of_band() {
    let listener = epipe::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let a = epipe::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (b, _) = listener.accept().unwrap();
    let (a, b) = (Socket::from(a), Socket::from(b));
    a.send_out_of_band(b"!").unwrap();
    let mut poll =
        libc::pollfd { fd: std::os::fd::AsRawFd::as_raw_fd(&b), events: libc::POLLPRI, revents: 0 };
    #[allow(unsafe_code)]
    // SAFETY: one pollfd, valid for the call.
    unsafe {
        assert_eq!(libc::poll(&mut poll, 1, 10_000), 1);
    }
    assert_eq!(b.recv_out_of_band(&mut [MaybeUninit::uninit(); 8]).unwrap(), 1);
}
