//! Descriptors of many kinds, each written to in every way. The answer, and the data that arrives,
//! are those of the plain write(2) or writev(2), which `File` makes.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::io::{self, IoSlice, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

use epipe::io::PipeWriter;
use epipe::sigpipe::suppressed;
use epipe::{NoSigpipe, raw};
use libc::c_int;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use crate::Scene;
use crate::differences::{Differences, comparable};
use crate::rows::socket_raises;
use crate::scene::is_child;
use crate::support::{broken_pipe, tcp_pair, unix_pair};

/// A descriptor to write to.
struct Made {
    ours: OwnedFd,
    /// Where the data arrives. For some kinds it is the same descriptor, duplicated.
    theirs: Option<OwnedFd>,
    /// Another descriptor that must stay open.
    _kept: Option<OwnedFd>,
}

impl From<OwnedFd> for Made {
    fn from(ours: OwnedFd) -> Made {
        Made { ours, theirs: None, _kept: None }
    }
}

impl From<(OwnedFd, OwnedFd)> for Made {
    fn from((ours, theirs): (OwnedFd, OwnedFd)) -> Made {
        Made { ours, theirs: Some(theirs), _kept: None }
    }
}

type Make = fn() -> io::Result<Made>;

/// A descriptor that a call has made, or its error.
fn owned(fd: c_int) -> io::Result<OwnedFd> {
    match fd {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: the caller's system call has just made it, and nothing else owns it.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
    }
}

fn open(path: &str, flags: c_int) -> io::Result<Made> {
    let access = flags & libc::O_ACCMODE;
    let mut options = OpenOptions::new();
    options.read(access != libc::O_WRONLY).write(access != libc::O_RDONLY);
    options.custom_flags(flags);
    Ok(OwnedFd::from(options.open(path)?).into())
}

fn writable(path: &str) -> io::Result<Made> {
    open(path, libc::O_WRONLY)
}

fn pair(ty: Type) -> io::Result<(OwnedFd, OwnedFd)> {
    Socket::pair(Domain::UNIX, ty, None).map(|(ours, theirs)| (ours.into(), theirs.into()))
}

/// A connection that takes at once only what fits in a small buffer.
fn tcp() -> io::Result<(OwnedFd, OwnedFd)> {
    let made = tcp_pair("127.0.0.1:0")?;
    SockRef::from(&made.0).set_send_buffer_size(8192)?;
    Ok(made)
}

/// A connection of which one end is shut down.
fn shut(made: io::Result<(OwnedFd, OwnedFd)>, ours: bool, how: Shutdown) -> io::Result<Made> {
    let made = made?;
    SockRef::from(if ours { &made.0 } else { &made.1 }).shutdown(how)?;
    Ok(made.into())
}

/// A file, opened twice.
fn file_twice(content: &str, options: &mut OpenOptions) -> io::Result<Made> {
    let path = std::env::temp_dir().join(format!("epipe-twice-{}", std::process::id()));
    std::fs::write(&path, content)?;
    let made = options.open(&path).and_then(|ours| Ok((ours, File::open(&path)?)));
    std::fs::remove_file(&path)?;
    let (ours, theirs) = made?;
    Ok((OwnedFd::from(ours), OwnedFd::from(theirs)).into())
}

/// The two sides of a terminal that passes all bytes unchanged.
fn pty() -> io::Result<(OwnedFd, OwnedFd)> {
    let (mut master, mut slave) = (-1, -1);
    let null = std::ptr::null_mut();
    // SAFETY: openpty writes both descriptors. The settings are valid for the calls.
    unsafe {
        if libc::openpty(&mut master, &mut slave, null, null.cast(), null.cast()) == -1 {
            return Err(io::Error::last_os_error());
        }
        let mut settings = std::mem::zeroed();
        assert_eq!(libc::tcgetattr(slave, &mut settings), 0);
        libc::cfmakeraw(&mut settings);
        assert_eq!(libc::tcsetattr(slave, libc::TCSANOW, &settings), 0);
    }
    Ok((owned(master)?, owned(slave)?))
}

/// A name, whether written data arrives as records, and how to make the descriptor.
type Kind = (&'static str, bool, Make);

fn kinds() -> Vec<Kind> {
    use Shutdown::{Both, Read, Write};
    vec![
        ("a Unix stream", false, || Ok(unix_pair()?.into())),
        ("a Unix seqpacket socket", true, || Ok(pair(Type::SEQPACKET)?.into())),
        ("a Unix datagram socket", true, || Ok(pair(Type::DGRAM)?.into())),
        ("a TCP socket", false, || Ok(tcp()?.into())),
        ("a UDP socket", true, || {
            let (ours, theirs) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
            ours.connect(theirs.local_addr()?)?;
            Ok((OwnedFd::from(ours), OwnedFd::from(theirs)).into())
        }),
        ("TCP shut down for reading", false, || shut(tcp(), true, Read)),
        ("TCP shut down for writing", false, || shut(tcp(), true, Write)),
        ("TCP shut down", false, || shut(tcp(), true, Both)),
        ("TCP whose peer reads no more", false, || shut(tcp(), false, Read)),
        ("TCP whose peer writes no more", false, || shut(tcp(), false, Write)),
        ("Unix shut down for reading", false, || shut(unix_pair(), true, Read)),
        ("Unix shut down for writing", false, || shut(unix_pair(), true, Write)),
        ("Unix shut down", false, || shut(unix_pair(), true, Both)),
        ("Unix whose peer reads no more", false, || shut(unix_pair(), false, Read)),
        ("Unix whose peer writes no more", false, || shut(unix_pair(), false, Write)),
        ("seqpacket whose peer reads no more", true, || shut(pair(Type::SEQPACKET), false, Read)),
        ("a Unix datagram socket shut down", true, || shut(pair(Type::DGRAM), true, Write)),
        ("a Unix datagram socket whose peer is gone", true, || Ok(pair(Type::DGRAM)?.0.into())),
        ("unconnected TCP", false, || Ok(OwnedFd::from(tcp_socket()?).into())),
        ("unconnected UDP", true, || Ok(OwnedFd::from(UdpSocket::bind("127.0.0.1:0")?).into())),
        ("unconnected Unix stream", false, || unconnected(Type::STREAM)),
        ("unconnected Unix datagrams", true, || unconnected(Type::DGRAM)),
        ("unconnected seqpacket", true, || unconnected(Type::SEQPACKET)),
        ("a TCP listener", false, || {
            let listener = tcp_socket()?;
            listener.listen(1)?;
            Ok(OwnedFd::from(listener).into())
        }),
        ("a Unix listener", false, || {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            let path = std::env::temp_dir().join(format!("epipe-listen-{}", std::process::id()));
            socket.bind(&SockAddr::unix(&path)?)?;
            std::fs::remove_file(path)?;
            socket.listen(1)?;
            Ok(OwnedFd::from(socket).into())
        }),
        ("a raw socket", true, || raw_ip(true)),
        ("a raw socket that is not connected", true, || raw_ip(false)),
        ("a pipe", false, || {
            let (reader, writer) = io::pipe()?;
            Ok((OwnedFd::from(writer), OwnedFd::from(reader)).into())
        }),
        ("a pipe whose reader is gone", false, || Ok(broken_pipe().into())),
        ("the reading end of a pipe", false, || {
            let (reader, writer) = io::pipe()?;
            Ok((OwnedFd::from(reader), OwnedFd::from(writer)).into())
        }),
        ("a terminal's master", false, || Ok(pty()?.into())),
        ("a terminal's slave", false, || pty().map(|(master, slave)| (slave, master).into())),
        ("a terminal whose master is gone", false, || Ok(pty()?.1.into())),
        ("a terminal whose slave is gone", false, || Ok(pty()?.0.into())),
        ("a file", false, || file_twice("", OpenOptions::new().write(true))),
        ("a file to append to", false, || file_twice("old", OpenOptions::new().append(true))),
        ("a file to read", false, || {
            Ok(OwnedFd::from(File::open(std::env::current_exe()?)?).into())
        }),
        ("a directory", false, || open("/", libc::O_RDONLY)),
        ("/dev/null", false, || writable("/dev/null")),
        ("/dev/zero", false, || writable("/dev/zero")),
    ]
}

fn tcp_socket() -> io::Result<Socket> {
    Socket::new(Domain::IPV4, Type::STREAM, None)
}

fn unconnected(ty: Type) -> io::Result<Made> {
    Ok(OwnedFd::from(Socket::new(Domain::UNIX, ty, None)?).into())
}

/// A raw socket of a protocol for experiments. Arriving data is not read, since every such socket
/// of the machine gets it.
fn raw_ip(is_connected: bool) -> io::Result<Made> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(253)))?;
    if is_connected {
        socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    }
    Ok(OwnedFd::from(socket).into())
}

pub type Slices<'a, 'b> = &'a [IoSlice<'b>];

/// One of our ways to write, and whether it takes slices. `File` makes the plain call.
pub type Way = (&'static str, bool, fn(OwnedFd, Slices<'_, '_>) -> io::Result<usize>);

pub const WAYS: [Way; 7] = [
    ("raw::write", false, |fd, bufs| raw::write(fd, &bufs[0])),
    ("raw::write_vectored", true, |fd, bufs| raw::write_vectored(fd, bufs)),
    ("PipeWriter::write", false, |fd, bufs| PipeWriter::from(fd).write(&bufs[0])),
    ("NoSigpipe<OwnedFd>::write", false, |fd, bufs| NoSigpipe::new(fd)?.write(&bufs[0])),
    ("NoSigpipe<OwnedFd>::write_vectored", true, |fd, bufs| {
        NoSigpipe::new(fd)?.write_vectored(bufs)
    }),
    ("NoSigpipe<File>::write", false, |fd, bufs| NoSigpipe::new(File::from(fd))?.write(&bufs[0])),
    ("NoSigpipe<File>::write_vectored", true, |fd, bufs| {
        NoSigpipe::new(File::from(fd))?.write_vectored(bufs)
    }),
];

pub fn plain(fd: OwnedFd, is_vectored: bool, bufs: Slices<'_, '_>) -> io::Result<usize> {
    let mut file = File::from(fd);
    if is_vectored { file.write_vectored(bufs) } else { file.write(&bufs[0]) }
}

/// None, one, as many as an eventfd takes, and more than every buffer holds.
const LENGTHS: [usize; 4] = [0, 1, 8, 1 << 20];

/// The result of a write. How much of a long write fits is chance: there only the sum is compared.
#[derive(Debug, PartialEq)]
struct Outcome {
    answer: Result<&'static str, String>,
    arrived: Vec<Record>,
}

/// One read: the count of bytes, their hash, and the flags of the record.
type Record = (usize, u64, c_int);

fn outcome(
    make: Make,
    are_records: bool,
    len: usize,
    write: impl FnOnce(OwnedFd) -> io::Result<usize>,
) -> Outcome {
    let Made { ours, theirs, .. } = &make().unwrap();
    for end in [Some(ours), theirs.as_ref()].into_iter().flatten() {
        let _ = SockRef::from(end).set_nonblocking(true); // refused without access
    }
    let answer = write(ours.try_clone().unwrap());
    let count = *answer.as_ref().unwrap_or(&0);
    let answer = comparable(answer.map(|count| count as u64)).map(|_| match count {
        0 => "nothing",
        _ if count < len => "short",
        _ => "whole",
    });
    let mut arrived = Vec::new();
    if let Some(theirs) = theirs {
        receive(theirs, count, |bytes, flags| arrived.push((bytes.to_vec(), flags)));
    }
    if !are_records {
        let all: Vec<_> = arrived.into_iter().map(|(bytes, _)| bytes).collect();
        arrived = vec![(all.concat(), 0)];
    }
    if answer == Ok("short") && theirs.is_some() {
        let all: usize = arrived.iter().map(|(bytes, _)| bytes.len()).sum();
        assert_eq!(all, count, "written bytes are lost");
        arrived.clear();
    }
    let hash = |bytes: &[u8]| BuildHasherDefault::<DefaultHasher>::default().hash_one(bytes);
    let record = |(bytes, flags): (Vec<u8>, c_int)| (bytes.len(), hash(&bytes), flags);
    Outcome { answer, arrived: arrived.into_iter().map(record).collect() }
}

/// Reads what is there, and waits a while for `count` bytes.
fn receive(theirs: &OwnedFd, count: usize, mut take: impl FnMut(&[u8], c_int)) {
    let mut buffer = vec![0; 1 << 20];
    let mut received = 0;
    let mut file = File::from(theirs.try_clone().unwrap());
    let is_socket = file.metadata().unwrap().file_type().is_socket();
    loop {
        let read = if is_socket {
            receive_message(theirs, &mut buffer)
        } else {
            file.read(&mut buffer).map(|len| (len, 0))
        };
        match read {
            Ok((len, flags)) => {
                take(&buffer[..len], flags);
                received += len;
                // The end, or more than was written.
                if len == 0 || received > count {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && received < count => {
                let mut poll =
                    libc::pollfd { fd: theirs.as_raw_fd(), events: libc::POLLIN, revents: 0 };
                // SAFETY: one pollfd, valid for the call.
                if unsafe { libc::poll(&mut poll, 1, 1000) } != 1 {
                    break;
                }
            }
            Err(_) => break,
        }
    }
}

/// `recvmsg`, for its flags: MSG_EOR marks the end of a record.
fn receive_message(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<(usize, c_int)> {
    let mut slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all zeros is a valid msghdr. The message names one slice, of the buffer's length, and
    // outlives the call.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &mut slice;
        message.msg_iovlen = 1;
        match libc::recvmsg(socket.as_raw_fd(), &mut message, libc::MSG_DONTWAIT) {
            -1 => Err(io::Error::last_os_error()),
            len => Ok((len as usize, message.msg_flags & (libc::MSG_EOR | libc::MSG_TRUNC))),
        }
    }
}

fn play(make: Make, are_records: bool) {
    let mut differences = Differences::default();
    let bytes = (1..=251).collect::<Vec<u8>>().repeat(LENGTHS[3] / 251 + 1);
    for (name, is_vectored, way) in WAYS {
        for len in LENGTHS {
            let what = format!("{name}, {len} bytes");
            let (first, rest) = bytes[..len].split_at(if is_vectored { len / 3 } else { len });
            let both = [IoSlice::new(first), IoSlice::new(rest)];
            let bufs = if is_vectored { &both[..] } else { &both[..1] };
            let ours = outcome(make, are_records, len, |fd| way(fd, bufs));
            differences.note_left(&what);
            let std = |fd| suppressed(|| plain(fd, is_vectored, bufs)).unwrap();
            differences.same(what, &ours, &outcome(make, are_records, len, std));
        }
    }
    differences.assert_none();
}

pub fn scenes() -> Vec<Scene> {
    scenes_of(kinds())
}

fn scenes_of(kinds: Vec<Kind>) -> Vec<Scene> {
    // In gVisor a send differs from a write in more than the signal: for an empty datagram, and
    // without a connection. Its sockets raise nothing, which identifies it.
    let is_played = socket_raises(unix_pair);
    let scene = |(name, are_records, make): Kind| {
        // Under a model the parent can make descriptors that a scene cannot.
        let is_offered = cfg!(not(kernel = "apple")) || !name.contains("seqpacket");
        let can_be_played = is_offered && (is_child() || make().is_ok());
        Scene::survives(format!("exotic: {name}"), move || play(make, are_records))
            .only_where(is_played, "a send and a write differ here")
            .only_where(can_be_played, "no such descriptor can be made here")
    };
    kinds.into_iter().map(scene).collect()
}

#[cfg(kernel = "linux")]
pub use linux::scenes as of_linux;

/// Kinds that only Linux has.
#[cfg(kernel = "linux")]
mod linux {
    use super::*;

    pub fn scenes() -> Vec<Scene> {
        scenes_of(kinds())
    }

    fn kinds() -> Vec<Kind> {
        vec![
            ("netlink, the kernel's", true, || netlink(libc::NETLINK_ROUTE)),
            ("netlink, between users", true, || netlink(libc::NETLINK_USERSOCK)),
            ("vsock seqpacket", true, vsock),
            ("a packet socket", true, || packet(true)),
            ("a packet socket that is not bound", true, || packet(false)),
            ("vsock that is not connected", false, || {
                Ok(OwnedFd::from(socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0)?).into())
            }),
            ("vsock seqpacket that is not connected", true, || {
                Ok(OwnedFd::from(socket(libc::AF_VSOCK, libc::SOCK_SEQPACKET, 0)?).into())
            }),
            ("a hash of the kernel's", true, hash),
            ("a pipe of packets", true, || pipe(libc::O_DIRECT)),
            ("an eventfd", true, || eventfd(1)),
            ("an eventfd that would overflow", true, || eventfd(u64::MAX - 1)),
            ("a memfd", false, || sealed(0)),
            ("a memfd sealed against writes", false, || sealed(libc::F_SEAL_WRITE)),
            ("a memfd sealed against growth", false, || sealed(libc::F_SEAL_GROW)),
            ("a file without access", false, || open("/proc/self/exe", libc::O_PATH)),
            ("a directory without access", false, || open("/", libc::O_PATH)),
            ("/dev/full", false, || writable("/dev/full")),
            ("/dev/net/tun", false, || open("/dev/net/tun", libc::O_RDWR)),
            ("a file of /proc", false, || writable("/proc/self/comm")),
            ("a file of /proc that wants a number", false, || writable("/proc/self/oom_score_adj")),
            ("a file of /proc to read", false, || open("/proc/self/stat", libc::O_RDONLY)),
            ("a timerfd", true, || new(libc::SYS_timerfd_create, [libc::CLOCK_MONOTONIC, 0])),
            ("an epoll", true, || new(libc::SYS_epoll_create1, [0, 0])),
            ("an inotify", true, || new(libc::SYS_inotify_init1, [0, 0])),
            ("a pidfd", true, || new(libc::SYS_pidfd_open, [std::process::id() as c_int, 0])),
            ("a signalfd", true, || {
                // SAFETY: all zeros is an empty set here, valid for the call.
                let fd = unsafe { libc::signalfd(-1, &std::mem::zeroed(), 0) };
                Ok(owned(fd)?.into())
            }),
        ]
    }

    fn socket(domain: c_int, ty: c_int, protocol: c_int) -> io::Result<Socket> {
        Socket::new(domain.into(), ty.into(), Some(protocol.into()))
    }

    /// The same file, opened again.
    fn with_itself(ours: OwnedFd) -> io::Result<Made> {
        let theirs = File::open(format!("/proc/self/fd/{}", ours.as_raw_fd()))?;
        Ok((ours, theirs.into()).into())
    }

    fn sealed(seals: c_int) -> io::Result<Made> {
        // SAFETY: the name is a C string, the command takes an integer.
        unsafe {
            let memfd = owned(libc::memfd_create(c"sealed".as_ptr(), libc::MFD_ALLOW_SEALING))?;
            assert_eq!(libc::fcntl(memfd.as_raw_fd(), libc::F_ADD_SEALS, seals), 0);
            with_itself(memfd)
        }
    }

    /// The descriptor that a system call of two integers makes.
    fn new(number: libc::c_long, [one, two]: [c_int; 2]) -> io::Result<Made> {
        // SAFETY: the call takes integers, and makes a descriptor.
        Ok(owned(unsafe { libc::syscall(number, one, two) } as c_int)?.into())
    }

    fn eventfd(value: u64) -> io::Result<Made> {
        let Made { ours, .. } = new(libc::SYS_eventfd2, [0, 0])?;
        File::from(ours.try_clone()?).write_all(&value.to_ne_bytes())?;
        Ok((ours.try_clone()?, ours).into())
    }

    /// A hash of the kernel's crypto API: data is written to it, then the hash is read.
    fn hash() -> io::Result<Made> {
        let socket = socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0)?;
        // SAFETY: all zeros is a valid address, and the address is valid for the call.
        let accepted = unsafe {
            let mut address: libc::sockaddr_alg = std::mem::zeroed();
            address.salg_family = libc::AF_ALG as u16;
            address.salg_type[..4].copy_from_slice(b"hash");
            address.salg_name[..6].copy_from_slice(b"sha256");
            let (at, len) = ((&raw const address).cast(), size_of_val(&address) as libc::socklen_t);
            if libc::bind(socket.as_raw_fd(), at, len) == -1 {
                return Err(io::Error::last_os_error());
            }
            owned(libc::accept(socket.as_raw_fd(), std::ptr::null_mut(), std::ptr::null_mut()))?
        };
        let theirs = accepted.try_clone()?;
        Ok(Made { ours: accepted, theirs: Some(theirs), _kept: Some(socket.into()) })
    }

    /// A packet socket on the loopback interface, whose packets no protocol takes.
    fn packet(is_bound: bool) -> io::Result<Made> {
        let socket = socket(libc::AF_PACKET, libc::SOCK_DGRAM, 0)?;
        if is_bound {
            // SAFETY: all zeros is a valid address. The address and the name are valid for the
            // calls.
            unsafe {
                let mut address: libc::sockaddr_ll = std::mem::zeroed();
                address.sll_family = libc::AF_PACKET as u16;
                address.sll_ifindex = libc::if_nametoindex(c"lo".as_ptr()) as c_int;
                let (at, len) =
                    ((&raw const address).cast(), size_of_val(&address) as libc::socklen_t);
                assert_eq!(libc::bind(socket.as_raw_fd(), at, len), 0);
            }
        }
        Ok(OwnedFd::from(socket).into())
    }

    fn netlink(family: c_int) -> io::Result<Made> {
        Ok(OwnedFd::from(socket(libc::AF_NETLINK, libc::SOCK_RAW, family)?).into())
    }

    /// A connection of the machine with itself, if the kernel has vsock loopback. The reader sees
    /// where a record ends.
    fn vsock() -> io::Result<Made> {
        const ANY: u32 = libc::VMADDR_PORT_ANY;
        let new = || Socket::new(Domain::VSOCK, Type::SEQPACKET, None);
        let (listener, ours) = (new()?, new()?);
        listener.bind(&SockAddr::vsock(libc::VMADDR_CID_LOCAL, ANY))?;
        listener.listen(1)?;
        ours.connect(&listener.local_addr()?)?;
        let (theirs, _) = listener.accept()?;
        Ok((OwnedFd::from(ours), OwnedFd::from(theirs)).into())
    }

    fn pipe(flags: c_int) -> io::Result<Made> {
        let mut ends = [-1; 2];
        // SAFETY: pipe2 writes both descriptors.
        let made = unsafe { libc::pipe2(ends.as_mut_ptr(), flags | libc::O_CLOEXEC) };
        let [reader, writer] = if made == 0 { ends } else { [-1; 2] };
        Ok((owned(writer)?, owned(reader)?).into())
    }
}
