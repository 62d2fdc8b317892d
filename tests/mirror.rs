//! The migration rule: code that is written for std compiles and runs with `epipe` in its place.
//!
//! Each macro below is a piece of user code. It is expanded twice, with `std` and with `epipe` in
//! the `use` lines. Nothing else changes.

#![allow(missing_docs, reason = "a test")]
#![cfg(unix)]

use std::fmt::Debug;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::process::Stdio;

/// Every method of std 1.96, by its type.
macro_rules! signatures {
    ($name:ident, $root:ident) => {
        mod $name {
            use std::path::PathBuf;
            use std::time::Duration;

            use ::$root::io::{self, PipeReader, PipeWriter};
            use ::$root::net::{
                Incoming, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream,
                UdpSocket,
            };
            use ::$root::os::unix::net::{self as unix, UnixDatagram, UnixListener, UnixStream};

            type Timeout = Option<Duration>;
            type Error = io::Result<Option<io::Error>>;
            type Address = (&'static str, u16);

            #[allow(deprecated)]
            pub fn signatures() {
                let _: fn(Address) -> io::Result<TcpStream> = TcpStream::connect;
                let _: fn(&SocketAddr, Duration) -> io::Result<TcpStream> =
                    TcpStream::connect_timeout;
                let _: fn(&TcpStream) -> io::Result<SocketAddr> = TcpStream::peer_addr;
                let _: fn(&TcpStream) -> io::Result<SocketAddr> = TcpStream::local_addr;
                let _: fn(&TcpStream, Shutdown) -> io::Result<()> = TcpStream::shutdown;
                let _: fn(&TcpStream) -> io::Result<TcpStream> = TcpStream::try_clone;
                let _: fn(&TcpStream, Timeout) -> io::Result<()> = TcpStream::set_read_timeout;
                let _: fn(&TcpStream, Timeout) -> io::Result<()> = TcpStream::set_write_timeout;
                let _: fn(&TcpStream) -> io::Result<Timeout> = TcpStream::read_timeout;
                let _: fn(&TcpStream) -> io::Result<Timeout> = TcpStream::write_timeout;
                let _: fn(&TcpStream, &mut [u8]) -> io::Result<usize> = TcpStream::peek;
                let _: fn(&TcpStream, bool) -> io::Result<()> = TcpStream::set_nodelay;
                let _: fn(&TcpStream) -> io::Result<bool> = TcpStream::nodelay;
                let _: fn(&TcpStream, u32) -> io::Result<()> = TcpStream::set_ttl;
                let _: fn(&TcpStream) -> io::Result<u32> = TcpStream::ttl;
                let _: fn(&TcpStream) -> Error = TcpStream::take_error;
                let _: fn(&TcpStream, bool) -> io::Result<()> = TcpStream::set_nonblocking;

                let _: fn(Address) -> io::Result<TcpListener> = TcpListener::bind;
                let _: fn(&TcpListener) -> io::Result<SocketAddr> = TcpListener::local_addr;
                let _: fn(&TcpListener) -> io::Result<TcpListener> = TcpListener::try_clone;
                let _: fn(&TcpListener) -> io::Result<(TcpStream, SocketAddr)> =
                    TcpListener::accept;
                let _: for<'a> fn(&'a TcpListener) -> Incoming<'a> = TcpListener::incoming;
                let _: fn(&TcpListener, u32) -> io::Result<()> = TcpListener::set_ttl;
                let _: fn(&TcpListener) -> io::Result<u32> = TcpListener::ttl;
                let _: fn(&TcpListener, bool) -> io::Result<()> = TcpListener::set_only_v6;
                let _: fn(&TcpListener) -> io::Result<bool> = TcpListener::only_v6;
                let _: fn(&TcpListener) -> Error = TcpListener::take_error;
                let _: fn(&TcpListener, bool) -> io::Result<()> = TcpListener::set_nonblocking;

                let _: fn(Address) -> io::Result<UdpSocket> = UdpSocket::bind;
                let _: fn(&UdpSocket, &mut [u8]) -> io::Result<(usize, SocketAddr)> =
                    UdpSocket::recv_from;
                let _: fn(&UdpSocket, &mut [u8]) -> io::Result<(usize, SocketAddr)> =
                    UdpSocket::peek_from;
                let _: fn(&UdpSocket, &[u8], Address) -> io::Result<usize> = UdpSocket::send_to;
                let _: fn(&UdpSocket) -> io::Result<SocketAddr> = UdpSocket::peer_addr;
                let _: fn(&UdpSocket) -> io::Result<SocketAddr> = UdpSocket::local_addr;
                let _: fn(&UdpSocket) -> io::Result<UdpSocket> = UdpSocket::try_clone;
                let _: fn(&UdpSocket, Timeout) -> io::Result<()> = UdpSocket::set_read_timeout;
                let _: fn(&UdpSocket, Timeout) -> io::Result<()> = UdpSocket::set_write_timeout;
                let _: fn(&UdpSocket) -> io::Result<Timeout> = UdpSocket::read_timeout;
                let _: fn(&UdpSocket) -> io::Result<Timeout> = UdpSocket::write_timeout;
                let _: fn(&UdpSocket, bool) -> io::Result<()> = UdpSocket::set_broadcast;
                let _: fn(&UdpSocket) -> io::Result<bool> = UdpSocket::broadcast;
                let _: fn(&UdpSocket, bool) -> io::Result<()> = UdpSocket::set_multicast_loop_v4;
                let _: fn(&UdpSocket) -> io::Result<bool> = UdpSocket::multicast_loop_v4;
                let _: fn(&UdpSocket, u32) -> io::Result<()> = UdpSocket::set_multicast_ttl_v4;
                let _: fn(&UdpSocket) -> io::Result<u32> = UdpSocket::multicast_ttl_v4;
                let _: fn(&UdpSocket, bool) -> io::Result<()> = UdpSocket::set_multicast_loop_v6;
                let _: fn(&UdpSocket) -> io::Result<bool> = UdpSocket::multicast_loop_v6;
                let _: fn(&UdpSocket, u32) -> io::Result<()> = UdpSocket::set_ttl;
                let _: fn(&UdpSocket) -> io::Result<u32> = UdpSocket::ttl;
                let _: fn(&UdpSocket, &Ipv4Addr, &Ipv4Addr) -> io::Result<()> =
                    UdpSocket::join_multicast_v4;
                let _: fn(&UdpSocket, &Ipv6Addr, u32) -> io::Result<()> =
                    UdpSocket::join_multicast_v6;
                let _: fn(&UdpSocket, &Ipv4Addr, &Ipv4Addr) -> io::Result<()> =
                    UdpSocket::leave_multicast_v4;
                let _: fn(&UdpSocket, &Ipv6Addr, u32) -> io::Result<()> =
                    UdpSocket::leave_multicast_v6;
                let _: fn(&UdpSocket) -> Error = UdpSocket::take_error;
                let _: fn(&UdpSocket, Address) -> io::Result<()> = UdpSocket::connect;
                let _: fn(&UdpSocket, &[u8]) -> io::Result<usize> = UdpSocket::send;
                let _: fn(&UdpSocket, &mut [u8]) -> io::Result<usize> = UdpSocket::recv;
                let _: fn(&UdpSocket, &mut [u8]) -> io::Result<usize> = UdpSocket::peek;
                let _: fn(&UdpSocket, bool) -> io::Result<()> = UdpSocket::set_nonblocking;

                let _: fn(PathBuf) -> io::Result<UnixStream> = UnixStream::connect;
                let _: fn(&unix::SocketAddr) -> io::Result<UnixStream> = UnixStream::connect_addr;
                let _: fn() -> io::Result<(UnixStream, UnixStream)> = UnixStream::pair;
                let _: fn(&UnixStream) -> io::Result<UnixStream> = UnixStream::try_clone;
                let _: fn(&UnixStream) -> io::Result<unix::SocketAddr> = UnixStream::local_addr;
                let _: fn(&UnixStream) -> io::Result<unix::SocketAddr> = UnixStream::peer_addr;
                let _: fn(&UnixStream, Timeout) -> io::Result<()> = UnixStream::set_read_timeout;
                let _: fn(&UnixStream, Timeout) -> io::Result<()> = UnixStream::set_write_timeout;
                let _: fn(&UnixStream) -> io::Result<Timeout> = UnixStream::read_timeout;
                let _: fn(&UnixStream) -> io::Result<Timeout> = UnixStream::write_timeout;
                let _: fn(&UnixStream, bool) -> io::Result<()> = UnixStream::set_nonblocking;
                let _: fn(&UnixStream) -> Error = UnixStream::take_error;
                let _: fn(&UnixStream, Shutdown) -> io::Result<()> = UnixStream::shutdown;

                let _: fn(PathBuf) -> io::Result<UnixListener> = UnixListener::bind;
                let _: fn(&unix::SocketAddr) -> io::Result<UnixListener> = UnixListener::bind_addr;
                let _: fn(&UnixListener) -> io::Result<(UnixStream, unix::SocketAddr)> =
                    UnixListener::accept;
                let _: fn(&UnixListener) -> io::Result<UnixListener> = UnixListener::try_clone;
                let _: fn(&UnixListener) -> io::Result<unix::SocketAddr> = UnixListener::local_addr;
                let _: fn(&UnixListener, bool) -> io::Result<()> = UnixListener::set_nonblocking;
                let _: fn(&UnixListener) -> Error = UnixListener::take_error;
                let _: for<'a> fn(&'a UnixListener) -> unix::Incoming<'a> = UnixListener::incoming;

                let _: fn(PathBuf) -> io::Result<UnixDatagram> = UnixDatagram::bind;
                let _: fn(&unix::SocketAddr) -> io::Result<UnixDatagram> = UnixDatagram::bind_addr;
                let _: fn() -> io::Result<UnixDatagram> = UnixDatagram::unbound;
                let _: fn() -> io::Result<(UnixDatagram, UnixDatagram)> = UnixDatagram::pair;
                let _: fn(&UnixDatagram, PathBuf) -> io::Result<()> = UnixDatagram::connect;
                let _: fn(&UnixDatagram, &unix::SocketAddr) -> io::Result<()> =
                    UnixDatagram::connect_addr;
                let _: fn(&UnixDatagram) -> io::Result<UnixDatagram> = UnixDatagram::try_clone;
                let _: fn(&UnixDatagram) -> io::Result<unix::SocketAddr> = UnixDatagram::local_addr;
                let _: fn(&UnixDatagram) -> io::Result<unix::SocketAddr> = UnixDatagram::peer_addr;
                let _: fn(&UnixDatagram, &mut [u8]) -> io::Result<(usize, unix::SocketAddr)> =
                    UnixDatagram::recv_from;
                let _: fn(&UnixDatagram, &mut [u8]) -> io::Result<usize> = UnixDatagram::recv;
                let _: fn(&UnixDatagram, &[u8], PathBuf) -> io::Result<usize> =
                    UnixDatagram::send_to;
                let _: fn(&UnixDatagram, &[u8], &unix::SocketAddr) -> io::Result<usize> =
                    UnixDatagram::send_to_addr;
                let _: fn(&UnixDatagram, &[u8]) -> io::Result<usize> = UnixDatagram::send;
                let _: fn(&UnixDatagram, Timeout) -> io::Result<()> =
                    UnixDatagram::set_read_timeout;
                let _: fn(&UnixDatagram, Timeout) -> io::Result<()> =
                    UnixDatagram::set_write_timeout;
                let _: fn(&UnixDatagram) -> io::Result<Timeout> = UnixDatagram::read_timeout;
                let _: fn(&UnixDatagram) -> io::Result<Timeout> = UnixDatagram::write_timeout;
                let _: fn(&UnixDatagram, bool) -> io::Result<()> = UnixDatagram::set_nonblocking;
                let _: fn(&UnixDatagram) -> Error = UnixDatagram::take_error;
                let _: fn(&UnixDatagram, Shutdown) -> io::Result<()> = UnixDatagram::shutdown;

                let _: fn() -> io::Result<(PipeReader, PipeWriter)> = io::pipe;
                let _: fn(&PipeReader) -> io::Result<PipeReader> = PipeReader::try_clone;
                let _: fn(&PipeWriter) -> io::Result<PipeWriter> = PipeWriter::try_clone;
                let _: fn(&mut PipeReader, &mut PipeWriter) -> io::Result<u64> =
                    io::copy::<PipeReader, PipeWriter>;
                let _: fn(&mut dyn io::Read, &mut dyn io::Write) -> io::Result<u64> =
                    |reader, writer| io::copy(reader, writer);
            }
        }
    };
}

signatures!(of_std, std);
signatures!(of_epipe, epipe);

#[test]
fn every_method_has_the_signature_of_std() {
    of_std::signatures();
    of_epipe::signatures();
}

/// Our types have the traits of std's.
#[test]
fn every_trait_of_the_original_is_there() {
    use epipe::io::{PipeReader, PipeWriter};
    use epipe::net::{Incoming, IntoIncoming, TcpListener, TcpStream, UdpSocket};
    use epipe::os::unix::net::{self as unix, UnixDatagram, UnixListener, UnixStream};
    use epipe::socket2::Socket;
    use std::io::{Read, Write};
    use std::iter::FusedIterator;
    use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

    fn handle<T, Std>()
    where
        T: Debug + AsFd + AsRawFd + IntoRawFd + FromRawFd + From<OwnedFd> + Into<OwnedFd>,
        T: From<Std> + Into<Std>,
        T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe,
        Std: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe,
    {
    }
    fn socket<T, Std>()
    where
        T: From<socket2::Socket> + Into<socket2::Socket> + From<Socket> + Into<Socket>,
        Std: From<Socket> + Into<Socket>,
    {
    }
    fn reads<T: Read>()
    where
        for<'a> &'a T: Read,
    {
    }
    fn writes<T: Write>()
    where
        for<'a> &'a T: Write,
    {
    }
    fn stdio<T: Into<Stdio>>() {}
    fn from<A, B: From<A>>() {}
    fn accepts<I, S>()
    where
        I: Iterator<Item = std::io::Result<S>> + Debug,
        I: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe,
    {
    }
    fn fused<I: FusedIterator>() {}

    handle::<TcpStream, std::net::TcpStream>();
    socket::<TcpStream, std::net::TcpStream>();
    handle::<TcpListener, std::net::TcpListener>();
    socket::<TcpListener, std::net::TcpListener>();
    handle::<UdpSocket, std::net::UdpSocket>();
    socket::<UdpSocket, std::net::UdpSocket>();
    handle::<UnixStream, std::os::unix::net::UnixStream>();
    socket::<UnixStream, std::os::unix::net::UnixStream>();
    handle::<UnixListener, std::os::unix::net::UnixListener>();
    socket::<UnixListener, std::os::unix::net::UnixListener>();
    handle::<UnixDatagram, std::os::unix::net::UnixDatagram>();
    socket::<UnixDatagram, std::os::unix::net::UnixDatagram>();
    handle::<Socket, socket2::Socket>();
    handle::<PipeReader, std::io::PipeReader>();
    handle::<PipeWriter, std::io::PipeWriter>();

    reads::<TcpStream>();
    reads::<UnixStream>();
    reads::<PipeReader>();
    reads::<Socket>();
    writes::<TcpStream>();
    writes::<UnixStream>();
    writes::<PipeWriter>();
    writes::<Socket>();

    stdio::<PipeReader>();
    stdio::<PipeWriter>();
    from::<std::process::ChildStdin, PipeWriter>();
    from::<std::process::ChildStdout, PipeReader>();
    from::<std::process::ChildStderr, PipeReader>();

    accepts::<Incoming<'_>, TcpStream>();
    accepts::<IntoIncoming, TcpStream>();
    fused::<Incoming<'_>>();
    fused::<IntoIncoming>();
    accepts::<unix::Incoming<'_>, UnixStream>();
    accepts::<<&UnixListener as IntoIterator>::IntoIter, UnixStream>();
}

/// With `Send`, a guard could end on another thread. This compiles only if `Guard` has neither
/// trait.
#[test]
fn a_guard_is_neither_send_nor_sync() {
    trait AmbiguousIfSend<A> {
        fn check() {}
    }
    impl<T: ?Sized> AmbiguousIfSend<()> for T {}
    impl<T: ?Sized + Send> AmbiguousIfSend<u8> for T {}
    trait AmbiguousIfSync<A> {
        fn check() {}
    }
    impl<T: ?Sized> AmbiguousIfSync<()> for T {}
    impl<T: ?Sized + Sync> AmbiguousIfSync<u8> for T {}

    <epipe::sigpipe::Guard as AmbiguousIfSend<_>>::check();
    <epipe::sigpipe::Guard as AmbiguousIfSync<_>>::check();
}

#[cfg(target_os = "linux")]
#[test]
fn every_type_is_as_large_as_the_original() {
    macro_rules! same_size {
        ($($ours:ty, $std:ty;)+) => {$(
            assert_eq!(size_of::<$ours>(), size_of::<$std>());
            assert_eq!(size_of::<Option<$ours>>(), size_of::<Option<$std>>());
        )+};
    }
    same_size! {
        epipe::net::TcpStream, std::net::TcpStream;
        epipe::net::TcpListener, std::net::TcpListener;
        epipe::net::UdpSocket, std::net::UdpSocket;
        epipe::os::unix::net::UnixStream, std::os::unix::net::UnixStream;
        epipe::os::unix::net::UnixListener, std::os::unix::net::UnixListener;
        epipe::os::unix::net::UnixDatagram, std::os::unix::net::UnixDatagram;
        epipe::io::PipeReader, std::io::PipeReader;
        epipe::io::PipeWriter, std::io::PipeWriter;
        epipe::socket2::Socket, socket2::Socket;
    }
}

/// A small program with servers, clients, datagrams, a child and pipes. It returns what it saw.
macro_rules! program {
    ($name:ident, $root:ident) => {
        fn $name() -> std::io::Result<Vec<String>> {
            use ::$root::io::prelude::*;
            use ::$root::io::{self, BufReader, BufWriter, IoSlice, PipeReader, PipeWriter};
            use ::$root::io::{Stdout, StdoutLock, stderr, stdout};
            use ::$root::net::*;
            use ::$root::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
            use std::process::{Command, Stdio};
            use std::thread;

            let mut seen = Vec::new();

            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let address = listener.local_addr()?;
            let server = thread::spawn(move || -> io::Result<String> {
                let (stream, _) = listener.accept()?;
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line)?;
                let mut out = BufWriter::new(&stream);
                write!(out, "you said {line}")?;
                out.flush()?;
                stream.shutdown(Shutdown::Write)?;
                Ok(line)
            });
            let mut client = TcpStream::connect(address)?;
            client.set_nodelay(true)?;
            seen.push(format!(
                "{:?}",
                client.write_vectored(&[IoSlice::new(b"hel"), IoSlice::new(b"lo\n")])
            ));
            let mut answer = String::new();
            client.read_to_string(&mut answer)?;
            seen.push(answer);
            seen.push(server.join().unwrap()?);

            let udp = UdpSocket::bind("127.0.0.1:0")?;
            udp.send_to(b"datagram", udp.local_addr()?)?;
            let mut buf = [0; 16];
            let (len, from) = udp.recv_from(&mut buf)?;
            assert_eq!(from, udp.local_addr()?);
            seen.push(String::from_utf8_lossy(&buf[..len]).into());

            let path = std::env::temp_dir().join(format!(
                "epipe-{}-{}",
                stringify!($name),
                std::process::id()
            ));
            let listener = UnixListener::bind(&path)?;
            let mut client = UnixStream::connect(&path)?;
            std::fs::remove_file(&path)?;
            let mut server = listener.incoming().next().unwrap()?;
            client.write_all(b"over a path")?;
            drop(client);
            let mut said = Vec::new();
            server.read_to_end(&mut said)?;
            seen.push(String::from_utf8_lossy(&said).into());

            let (left, right) = UnixDatagram::pair()?;
            left.send(b"pair")?;
            let len = right.recv(&mut buf)?;
            seen.push(format!("{:?}", &buf[..len]));

            let (reader, writer): (PipeReader, PipeWriter) = io::pipe()?;
            let mut child = Command::new("cat").stdin(reader).stdout(Stdio::piped()).spawn()?;
            let mut writer = writer;
            io::copy(&mut &b"through a child"[..], &mut writer)?;
            drop(writer);
            seen.push(io::read_to_string(child.stdout.take().unwrap())?);
            child.wait()?;

            let out: Stdout = stdout();
            let mut lock: StdoutLock<'static> = out.lock();
            seen.push(format!("{:?}", lock.write_all(b"").and(lock.flush())));
            drop(lock);
            let outs: [Box<dyn Write + Send>; 2] =
                [Box::new(out), Box::new(BufWriter::new(stderr()))];
            for mut out in outs {
                write!(out, "")?;
                out.flush()?;
            }
            let status = Command::new("true").stdout(stderr()).stderr(stdout()).status()?;
            seen.push(status.to_string());

            let refused = TcpStream::connect(address).unwrap_err();
            seen.push(format!("{:?} {refused}", refused.kind()));
            let nowhere = UnixStream::connect("/nowhere").unwrap_err();
            seen.push(format!("{nowhere:?}"));
            Ok(seen)
        }
    };
}

program!(with_std, std);
program!(with_epipe, epipe);

#[test]
fn a_program_runs_the_same_with_epipe_in_its_use_lines() {
    assert_eq!(with_epipe().unwrap(), with_std().unwrap());
}

#[test]
fn every_type_prints_as_the_original() {
    /// The same handle, printed as ours and as std's.
    macro_rules! same_print {
        ($($ours:expr => $std:ty;)+) => {$({
            let ours = $ours;
            let printed = format!("{ours:?}");
            assert_eq!(printed, format!("{:?}", <$std>::from(ours)));
        })+};
    }
    let listener = epipe::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (unix, _peer) = epipe::os::unix::net::UnixStream::pair().unwrap();
    let (datagram, _peer) = epipe::os::unix::net::UnixDatagram::pair().unwrap();
    let (reader, writer) = epipe::io::pipe().unwrap();
    let path = std::env::temp_dir().join(format!("epipe-print-{}", std::process::id()));
    let unix_listener = epipe::os::unix::net::UnixListener::bind(&path).unwrap();
    std::fs::remove_file(&path).unwrap();

    // The iterators print the same name, and have the same size hint.
    let ours = format!("{:?}", listener.incoming());
    let std = std::net::TcpListener::from(listener);
    assert_eq!(ours, format!("{:?}", std.incoming()));
    let ours = unix_listener.incoming();
    let (printed, hint) = (format!("{ours:?}"), ours.size_hint());
    let std = std::os::unix::net::UnixListener::from(unix_listener);
    let std = std.incoming();
    assert_eq!((printed, hint), (format!("{std:?}"), std.size_hint()));

    same_print! {
        epipe::net::TcpStream::connect(epipe_listening()).unwrap() => std::net::TcpStream;
        epipe::net::TcpListener::bind("127.0.0.1:0").unwrap() => std::net::TcpListener;
        epipe::net::UdpSocket::bind("127.0.0.1:0").unwrap() => std::net::UdpSocket;
        unix => std::os::unix::net::UnixStream;
        datagram => std::os::unix::net::UnixDatagram;
        reader => std::io::PipeReader;
        writer => std::io::PipeWriter;
        epipe::socket2::Socket::from(epipe::net::UdpSocket::bind("127.0.0.1:0").unwrap())
            => socket2::Socket;
    }
}

/// The address of a listener that stays open for the rest of the test.
fn epipe_listening() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::mem::forget(listener);
    address
}
