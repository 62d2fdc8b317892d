//! Errors that a socket reports only once: an ICMP message about a packet that was sent before. The
//! next call does not report it. So a call is repeated without its flag only if the flag was
//! refused: otherwise the caller would never see the report.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

use epipe::{NoSigpipe, raw};
use libc::c_int;
use socket2::{Domain, Protocol, Socket, Type};

use crate::Scene;
use crate::differences::Differences;
use crate::rows::{DATA, Row, call};
use crate::suites::is_suite;
use crate::support::{file, foreign_write, slices, tcp_pair, unix_pair, wait};

/// The socket that receives the message.
#[derive(Clone, Copy, Debug, PartialEq)]
enum About {
    Connecting,
    /// With IP_RECVERR: without it a connection does not report the error.
    Connected,
    Udp,
    /// With IP_RECVERR: without it a transient error is not reported.
    UdpRecvErr,
}

use About::{Connected, Connecting, Udp, UdpRecvErr};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// A message: the error that Linux makes of it (net/ipv4/icmp.c `icmp_err_convert`, net/ipv6/icmp.c
/// `icmpv6_err_convert`), its type and code, and the sockets that get it.
type Message = (&'static str, IpAddr, [u8; 2], &'static [About]);

const MESSAGES: [Message; 7] = [
    ("ENOPROTOOPT", V4, [3, 2], &[Connecting, Connected, Udp]),
    ("EOPNOTSUPP", V4, [3, 5], &[Connecting, Connected, UdpRecvErr]),
    ("EHOSTUNREACH", V4, [3, 10], &[Connecting, Connected, Udp]),
    ("EPROTO", V4, [12, 0], &[Connecting, Udp]),
    ("EACCES, prohibited", V6, [1, 1], &[Connecting, Connected, Udp]),
    ("EACCES, policy", V6, [1, 5], &[Udp]),
    ("ECONNREFUSED", V6, [1, 4], &[Udp]),
];

/// Needs a right that not every user has.
fn raw_socket(loopback: IpAddr, protocol: Protocol) -> io::Result<Socket> {
    Socket::new(Domain::for_address((loopback, 0).into()), Type::RAW, Some(protocol))
}

fn icmp_socket(loopback: IpAddr) -> io::Result<Socket> {
    let protocol = if loopback.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
    raw_socket(loopback, protocol)
}

/// A non-blocking socket with a pending report. Its peer stays open until the child ends.
fn with_report(loopback: IpAddr, message: [u8; 2], about: About) -> io::Result<OwnedFd> {
    let any = SocketAddr::new(loopback, 0);
    let sniffer = raw_socket(loopback, Protocol::TCP)?;
    let (ours, peer) = match about {
        Udp | UdpRecvErr => {
            let (ours, theirs) = (UdpSocket::bind(any)?, UdpSocket::bind(any)?);
            let peer = theirs.local_addr()?;
            ours.connect(peer)?;
            std::mem::forget(theirs);
            (Socket::from(ours), peer)
        }
        Connecting => connecting(any)?,
        Connected => {
            let (ours, theirs) = tcp_pair(&any.to_string())?;
            std::mem::forget(theirs);
            let ours = TcpStream::from(ours);
            let peer = ours.peer_addr()?;
            (Socket::from(ours), peer)
        }
    };
    ours.set_nonblocking(true)?;
    if matches!(about, Connected | UdpRecvErr) {
        receive_reports(&ours, loopback);
    }
    let ports = [ours.local_addr()?.as_socket().unwrap(), peer].map(|it| it.port().to_be_bytes());
    let ports = ports.concat().try_into().unwrap();
    let sequence = match about {
        Udp | UdpRecvErr => None,
        Connecting => Some(sniff_syn(&sniffer, ports)?),
        Connected => Some(sniff_syn(&sniffer, ports)?.wrapping_add(1)),
    };
    icmp_socket(loopback)?.send_to(&packet(loopback, message, ports, sequence), &any.into())?;
    wait(ours.as_raw_fd(), 0);
    Ok(ours.into())
}

/// A connection without an answer: the listener's queue is full, so it drops the SYN.
fn connecting(any: SocketAddr) -> io::Result<(Socket, SocketAddr)> {
    let new = || Socket::new(Domain::for_address(any), Type::STREAM, None);
    let (listener, first, ours) = (new()?, new()?, new()?);
    listener.bind(&any.into())?;
    listener.listen(0)?;
    let address = listener.local_addr()?;
    first.connect(&address)?;
    wait(listener.as_raw_fd(), libc::POLLIN);
    ours.set_nonblocking(true)?;
    assert_eq!(ours.connect(&address).unwrap_err().raw_os_error(), Some(libc::EINPROGRESS));
    std::mem::forget((listener, first));
    Ok((ours, address.as_socket().unwrap()))
}

fn receive_reports(socket: &Socket, loopback: IpAddr) {
    let (level, name) = match loopback {
        IpAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_RECVERR),
        IpAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
    };
    let on: c_int = 1;
    let (at, len) = ((&raw const on).cast(), size_of::<c_int>() as libc::socklen_t);
    // SAFETY: the option is an int, valid for the call.
    assert_eq!(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, at, len) }, 0);
}

/// The sequence number of the SYN between these ports. The kernel drops a report with another
/// number.
fn sniff_syn(sniffer: &Socket, ports: [u8; 4]) -> io::Result<u32> {
    sniffer.set_read_timeout(Some(Duration::from_secs(5)))?;
    let is_v4 = sniffer.domain()? == Domain::IPV4;
    let mut sniffer = sniffer;
    let mut packet = [0; 2048];
    loop {
        let len = sniffer.read(&mut packet)?;
        // A raw IPv6 socket does not show the IP header.
        let head = if is_v4 { usize::from(packet[0] & 15) * 4 } else { 0 };
        let tcp = &packet[head..len];
        let is_syn = tcp[13] & 0x12 == 2;
        if tcp[..4] == ports && is_syn {
            return Ok(u32::from_be_bytes(tcp[4..8].try_into().unwrap()));
        }
    }
}

/// The message, with the header of the packet that it is about. Without a sequence number that is
/// UDP.
fn packet(loopback: IpAddr, message: [u8; 2], ports: [u8; 4], sequence: Option<u32>) -> Vec<u8> {
    let protocol = if sequence.is_some() { 6 } else { 17 };
    let mut packet = [&message[..], &[0; 6]].concat();
    match loopback {
        IpAddr::V4(ip) => {
            packet.extend([0x45, 0, 0, 28, 0, 0, 0, 0, 64, protocol, 0, 0]);
            packet.extend([ip.octets(), ip.octets()].concat());
        }
        IpAddr::V6(ip) => {
            packet.extend([0x60, 0, 0, 0, 0, 8, protocol, 64]);
            packet.extend([ip.octets(), ip.octets()].concat());
        }
    }
    packet.extend(ports);
    packet.extend(sequence.unwrap_or(8 << 16).to_be_bytes()); // UDP: the length
    // The kernel writes the checksum of ICMPv6.
    let words = packet.chunks(2).map(|two| u32::from(two[0]) << 8 | u32::from(two[1]));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !(folded + (folded >> 16)) as u16; // folding may carry once more
    packet[2..4].copy_from_slice(&checksum.to_be_bytes());
    packet
}

/// A socket with data in it, then its end.
fn readable() -> UnixStream {
    let (ours, theirs) = unix_pair().unwrap();
    foreign_write(theirs, DATA).unwrap();
    ours.into()
}

fn pipe() -> io::PipeReader {
    let (reader, writer) = io::pipe().unwrap();
    foreign_write(writer, DATA).unwrap();
    reader
}

/// A pipe whose reader stays open.
fn sink() -> io::PipeWriter {
    let (reader, writer) = io::pipe().unwrap();
    std::mem::forget(reader);
    writer
}

/// `name: Type, it => call; Type, it => std's call`.
macro_rules! rows {
    ($($name:literal: $ours:ty, $o:ident => $call:expr; $std:ty, $s:ident => $same:expr;)+) => {
        vec![$(Row {
            name: $name,
            ours: call!($ours: $o => $call),
            control: call!($std: $s => $same),
        }),+]
    };
}

/// All writing calls on a socket. `File` makes the plain write and writev.
pub fn writes() -> Vec<Row> {
    use epipe::os::unix::net::UnixDatagram as OurDatagram;
    rows! {
        "write": epipe::socket2::Socket, s => s.write(DATA); Socket, s => s.write(DATA);
        "write_vectored": epipe::socket2::Socket, s => s.write_vectored(&slices());
            Socket, s => s.write_vectored(&slices());
        "send": epipe::socket2::Socket, s => s.send(DATA); Socket, s => s.send(DATA);
        "send_vectored": epipe::socket2::Socket, s => s.send_vectored(&slices());
            Socket, s => s.send_vectored(&slices());
        "TcpStream::write": epipe::net::TcpStream, s => s.write(DATA);
            TcpStream, s => s.write(DATA);
        "TcpStream::write_vectored": epipe::net::TcpStream, s => s.write_vectored(&slices());
            TcpStream, s => s.write_vectored(&slices());
        "TcpStream::sendfile": epipe::net::TcpStream, s => s.sendfile(&file(8), ..);
            Socket, s => s.sendfile(&file(8), 0, None);
        "UdpSocket::send": epipe::net::UdpSocket, s => s.send(DATA); UdpSocket, s => s.send(DATA);
        "UdpSocket::send_to": epipe::net::UdpSocket, s => s.send_to(DATA, s.peer_addr()?);
            UdpSocket, s => s.send_to(DATA, s.peer_addr()?);
        "UnixDatagram::send": OurDatagram, s => s.send(DATA); UnixDatagram, s => s.send(DATA);
        "raw::send": File, s => raw::send(&s, DATA); Socket, s => s.send(DATA);
        "raw::send_vectored": File, s => raw::send_vectored(&s, &slices());
            Socket, s => s.send_vectored(&slices());
        "raw::sendfile": File, s => raw::sendfile(&s, file(8), 0, None);
            Socket, s => s.sendfile(&file(8), 0, None);
        "raw::write": File, s => raw::write(&s, DATA); File, s => s.write(DATA);
        "raw::write_vectored": File, s => raw::write_vectored(&s, &slices());
            File, s => s.write_vectored(&slices());
        "PipeWriter::write": epipe::io::PipeWriter, s => s.write(DATA); File, s => s.write(DATA);
        "PipeWriter::write_vectored": epipe::io::PipeWriter, s => s.write_vectored(&slices());
            File, s => s.write_vectored(&slices());
        "NoSigpipe::write": OwnedFd, s => adopted(&s).write(DATA); File, s => s.write(DATA);
        "NoSigpipe::write_vectored": OwnedFd, s => adopted(&s).write_vectored(&slices());
            File, s => s.write_vectored(&slices());
    }
}

fn adopted(fd: &OwnedFd) -> NoSigpipe<&OwnedFd> {
    NoSigpipe::new(fd).unwrap()
}

/// Copies into a stream, and from a stream.
fn copies() -> Vec<Row> {
    use epipe::io::copy;
    use epipe::net::TcpStream as OurStream;
    rows! {
        "copy from a socket": OurStream, s => copy(&mut readable(), &mut s);
            TcpStream, s => io::copy(&mut readable(), &mut s);
        "copy from a pipe": OurStream, s => copy(&mut pipe(), &mut s);
            TcpStream, s => io::copy(&mut pipe(), &mut s);
        "copy from a file": OurStream, s => copy(&mut file(8), &mut s);
            TcpStream, s => io::copy(&mut file(8), &mut s);
        "copy to a socket": OurStream, s => copy(&mut s, &mut UnixStream::from(unread()));
            TcpStream, s => io::copy(&mut s, &mut UnixStream::from(unread()));
        "copy to a pipe": OurStream, s => copy(&mut s, &mut sink());
            TcpStream, s => io::copy(&mut s, &mut sink());
        "copy to a file": OurStream, s => copy(&mut s, &mut file(0));
            TcpStream, s => io::copy(&mut s, &mut file(0));
    }
}

/// One end of a connection whose other end stays open.
fn unread() -> OwnedFd {
    let (ours, theirs) = unix_pair().unwrap();
    std::mem::forget(theirs);
    ours
}

pub fn scenes() -> Vec<Scene> {
    let mut scenes = Vec::new();
    for (error, loopback, message, abouts) in MESSAGES {
        let can_be_sent =
            icmp_socket(loopback).is_ok() && raw_socket(loopback, Protocol::TCP).is_ok();
        for &about in abouts {
            let name = format!("reported once: {about:?}: {error}");
            let play = move || {
                let mut differences = Differences::default();
                let is_stream = matches!(about, Connecting | Connected);
                let copies = if is_stream { copies() } else { Vec::new() };
                for row in writes().into_iter().chain(copies) {
                    let new = || with_report(loopback, message, about).unwrap();
                    let (mut ours, mut std) = ((row.ours)(new()), (row.control)(new()));
                    for time in ["first", "second"] {
                        differences.compare(
                            format_args!("{}, {time}", row.name),
                            &mut ours,
                            &mut std,
                        );
                    }
                }
                differences.assert_none();
            };
            // Under a library that rejects the flag, std's own send is also rejected.
            scenes.push(Scene::survives(name, play).only_if(can_be_sent && !is_suite()));
        }
    }
    scenes
}
