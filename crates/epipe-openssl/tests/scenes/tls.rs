//! TLS over `set_fd` and `bio`.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use epipe::sigpipe::suppressed;
use epipe_openssl::{BIO_CLOSE, BIO_NOCLOSE, bio, set_fd, set_rfd, set_wfd};
use foreign_types::ForeignTypeRef;
use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslVerifyMode,
};
use openssl::x509::{X509, X509NameBuilder};
use openssl_sys::{
    BIO_new_socket, SSL, SSL_ERROR_SYSCALL, SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE,
    SSL_do_handshake, SSL_get_error, SSL_get_rbio, SSL_read, SSL_set_bio, SSL_shutdown, SSL_write,
};
use socket2::SockRef;

use crate::Scene;
use crate::raw::{BIO_CTRL_GET_KTLS_SEND, SSL_get_fd, SSL_set_fd, SSL_set_wfd, ctrl};
use crate::support::{Break, is_blocked, is_pending, spell, tcp_pair, unix_pair, wait};

/// A self-signed certificate and its key.
pub fn identity() -> (X509, PKey<Private>) {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    identity_of(key, Some(MessageDigest::sha256()))
}

/// A self-signed certificate for any key. Some kinds of keys need no `digest`.
pub fn identity_of(key: PKey<Private>, digest: Option<MessageDigest>) -> (X509, PKey<Private>) {
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "localhost").unwrap();
    let name = name.build();
    let mut certificate = X509::builder().unwrap();
    certificate.set_subject_name(&name).unwrap();
    certificate.set_issuer_name(&name).unwrap();
    certificate.set_pubkey(&key).unwrap();
    certificate.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    certificate.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    let digest = digest.unwrap_or_else(MessageDigest::null);
    certificate.sign(&key, digest).unwrap();
    (certificate.build(), key)
}

/// A context, with the changes that `change` makes.
pub fn context(change: impl FnOnce(&mut SslContextBuilder)) -> SslContext {
    let (certificate, key) = identity();
    let mut context = SslContext::builder(SslMethod::tls()).unwrap();
    context.set_verify(SslVerifyMode::NONE);
    context.set_certificate(&certificate).unwrap();
    context.set_private_key(&key).unwrap();
    // Without tickets: a client that closes with an unread ticket would reset the connection.
    context.set_num_tickets(0).unwrap();
    context.set_mode(SslMode::ENABLE_PARTIAL_WRITE | SslMode::ACCEPT_MOVING_WRITE_BUFFER);
    change(&mut context);
    context.build()
}

/// One side: the `SSL` and its socket.
struct Side {
    ssl: Ssl,
    socket: OwnedFd,
}

/// How a side gets its socket.
pub type Install = fn(*mut SSL, RawFd);

pub fn by_set_fd(ssl: *mut SSL, fd: RawFd) {
    unsafe { set_fd(ssl, fd) }.unwrap();
}

fn by_bio(ssl: *mut SSL, fd: RawFd) {
    unsafe {
        let bio = bio(fd, BIO_NOCLOSE).unwrap();
        SSL_set_bio(ssl, bio, bio);
    }
}

fn by_set_rfd_and_set_wfd(ssl: *mut SSL, fd: RawFd) {
    unsafe { set_rfd(ssl, fd).and_then(|()| set_wfd(ssl, fd)) }.unwrap();
}

/// Replaces OpenSSL's own BIO for one direction after the other, twice.
fn by_set_wfd_after_openssl(ssl: *mut SSL, fd: RawFd) {
    for _ in 0..2 {
        by_openssl(ssl, fd);
        unsafe { set_wfd(ssl, fd) }.unwrap();
        unsafe { set_rfd(ssl, fd) }.unwrap();
    }
}

/// Replaces our BIO by OpenSSL's own for the writing direction.
fn by_openssl_after_set_fd(ssl: *mut SSL, fd: RawFd) {
    by_set_fd(ssl, fd);
    assert_eq!(unsafe { SSL_set_wfd(ssl, fd) }, 1);
}

/// Installs OpenSSL's own BIO.
pub fn by_openssl(ssl: *mut SSL, fd: RawFd) {
    assert_eq!(unsafe { SSL_set_fd(ssl, fd) }, 1);
}

fn by_openssl_bio(ssl: *mut SSL, fd: RawFd) {
    unsafe {
        let bio = BIO_new_socket(fd, BIO_NOCLOSE);
        SSL_set_bio(ssl, bio, bio);
    }
}

impl Side {
    fn new(context: &SslContext, socket: OwnedFd, is_client: bool, install: Install) -> Side {
        SockRef::from(&socket).set_nonblocking(true).unwrap();
        let mut ssl = Ssl::new(context).unwrap();
        match is_client {
            true => ssl.set_connect_state(),
            false => ssl.set_accept_state(),
        }
        install(ssl.as_ptr(), socket.as_raw_fd());
        Side { ssl, socket }
    }

    /// The result of a call: its number, `WouldBlock`, or the system's error.
    fn judge(&self, returned: c_int) -> io::Result<usize> {
        let error = io::Error::last_os_error();
        if returned > 0 {
            return Ok(returned as usize);
        }
        match unsafe { SSL_get_error(self.ssl.as_ptr(), returned) } {
            SSL_ERROR_WANT_READ | SSL_ERROR_WANT_WRITE => Err(io::ErrorKind::WouldBlock.into()),
            SSL_ERROR_SYSCALL => Err(error),
            other => Err(io::Error::other(format!("SSL_get_error: {other}"))),
        }
    }

    fn do_handshake(&self) -> io::Result<usize> {
        self.judge(unsafe { SSL_do_handshake(self.ssl.as_ptr()) })
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let (bytes, len) = (bytes.as_ptr().cast(), bytes.len() as c_int);
        self.judge(unsafe { SSL_write(self.ssl.as_ptr(), bytes, len) })
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let (buffer, len) = (buffer.as_mut_ptr().cast(), buffer.len() as c_int);
        self.judge(unsafe { SSL_read(self.ssl.as_ptr(), buffer, len) })
    }

    fn shutdown(&self) -> io::Result<usize> {
        match unsafe { SSL_shutdown(self.ssl.as_ptr()) } {
            0 => Ok(0), // close_notify is sent, and the peer's has not arrived
            returned => self.judge(returned),
        }
    }
}

fn would_block<T>(answer: &io::Result<T>) -> bool {
    matches!(answer, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Two sides after the handshake, which runs in turns and without blocking.
fn pair(
    sockets: (OwnedFd, OwnedFd),
    context: &SslContext,
    we_are_the_client: bool,
    install: Install,
) -> (Side, Side) {
    let ours = Side::new(context, sockets.0, we_are_the_client, install);
    let theirs = Side::new(context, sockets.1, !we_are_the_client, by_openssl);
    loop {
        let answers = [ours.do_handshake(), theirs.do_handshake()];
        if answers.iter().all(Result::is_ok) {
            return (ours, theirs);
        }
        for answer in answers {
            assert!(answer.is_ok() || would_block(&answer), "{answer:?}");
        }
    }
}

#[derive(Clone, Copy)]
enum Does {
    Write,
    Shutdown,
    Handshake,
}

const DOES: [(Does, &str); 3] = [
    (Does::Write, "SSL_write"),
    (Does::Shutdown, "SSL_shutdown"),
    (Does::Handshake, "SSL_do_handshake"),
];

/// Runs an OpenSSL call that may write.
type Around = fn(&mut dyn FnMut() -> io::Result<usize>) -> io::Result<usize>;

fn bare(call: &mut dyn FnMut() -> io::Result<usize>) -> io::Result<usize> {
    call()
}

fn guarded(call: &mut dyn FnMut() -> io::Result<usize>) -> io::Result<usize> {
    suppressed(call).unwrap()
}

fn play(
    sockets: (OwnedFd, OwnedFd),
    (we_are_the_client, does, broken): (bool, Does, Break),
    install: Install,
    around: Around,
) {
    let context = context(|_| {});
    let (ours, theirs) = match does {
        Does::Handshake => {
            let ours = Side::new(&context, sockets.0, true, install);
            (ours, sockets.1)
        }
        _ => {
            let (ours, theirs) = pair(sockets, &context, we_are_the_client, install);
            (ours, theirs.socket)
        }
    };
    broken.apply(ours.socket.as_fd(), theirs).unwrap();

    let mut answers = Vec::new();
    while answers.last().is_none_or(|last| last != "EPIPE") && answers.len() < 3 {
        let answer = around(&mut || match does {
            Does::Write => ours.write(b"a record"),
            Does::Shutdown => ours.shutdown(),
            Does::Handshake => ours.do_handshake(),
        });
        if answer.is_ok() {
            wait(ours.socket.as_raw_fd(), 0); // The written bytes cause the reset.
        }
        answers.push(spell(&answer));
    }
    assert_eq!(answers.last().unwrap(), "EPIPE");
    assert!(!is_blocked() && !is_pending());
}

type Sockets = fn() -> (OwnedFd, OwnedFd);

pub fn scenes() -> Vec<Scene> {
    let tcp = || tcp_pair("127.0.0.1:0").unwrap();
    let unix = || unix_pair().unwrap();
    let mut scenes = Vec::new();
    let families: [(&str, Sockets, &[Break]); 2] = [
        ("tcp", tcp, &[Break::Rst, Break::RstRead, Break::Fin, Break::FinRst]),
        ("unix", unix, &[Break::Closed]),
    ];
    for (family, sockets, breaks) in families {
        for &broken in breaks {
            for (does, name) in DOES {
                // The others write only once, and the first write to a closed peer succeeds.
                if broken == Break::Fin && !matches!(does, Does::Write) {
                    continue;
                }
                for (side, is_client) in [("client", true), ("server", false)] {
                    if matches!(does, Does::Handshake) && !is_client {
                        continue; // In a handshake a server does not write first.
                    }
                    let name = format!("openssl {family} {side} {broken:?}: {name}");
                    let what = (is_client, does, broken);
                    let mut add = |how: &str, install: Install, around: Around| {
                        scenes.push(Scene::survives(format!("{name} {how}"), move || {
                            play(sockets(), what, install, around);
                        }));
                    };
                    add("by set_fd", by_set_fd, bare);
                    add("by bio", by_bio, bare);
                    add("by set_rfd and set_wfd", by_set_rfd_and_set_wfd, bare);
                    add("by set_wfd after SSL_set_fd", by_set_wfd_after_openssl, bare);
                    add("by SSL_set_fd, suppressed", by_openssl, guarded);
                    let mut control = |how: &str, install: Install| {
                        scenes.push(Scene::dies(format!("{name} {how}: control"), move || {
                            play(sockets(), what, install, bare);
                        }));
                    };
                    control("by SSL_set_fd", by_openssl);
                    control("by BIO_new_socket", by_openssl_bio);
                    control("by SSL_set_wfd after set_fd", by_openssl_after_set_fd);
                }
            }
        }
    }
    scenes.extend(healthy());
    scenes
}

/// Pseudo-random numbers, the same in each run (Marsaglia's xorshift).
struct Random(u32);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 as usize % limit
    }
}

/// 64 MiB arrive complete, in writes of any length, through a socket that often would block.
fn much(we_are_the_client: bool, we_write: bool) {
    const MUCH: usize = 64 << 20;

    let sockets = tcp_pair("127.0.0.1:0").unwrap();
    // Small buffers, so that records are often cut.
    SockRef::from(&sockets.0).set_send_buffer_size(5_000).unwrap();
    SockRef::from(&sockets.1).set_send_buffer_size(5_000).unwrap();
    let context = context(|_| {});
    let (ours, theirs) = pair(sockets, &context, we_are_the_client, by_set_fd);
    let (writer, reader) = if we_write { (&ours, &theirs) } else { (&theirs, &ours) };

    let sent: Vec<u8> = (0..MUCH / 4).flat_map(|n| (n as u32 * 7).to_le_bytes()).collect();
    let (mut written, mut blocked) = (0, 0);
    let mut random = Random(1);
    // OpenSSL requires that a write that would block is repeated with at least the same length.
    let mut again = None;
    let mut received = Vec::with_capacity(MUCH);
    let mut buffer = vec![0; 50_000];
    while received.len() < MUCH {
        while written < MUCH {
            let any = 1 + random.below(40_000);
            let len = again.take().unwrap_or(any).min(MUCH - written);
            match writer.write(&sent[written..written + len]) {
                Ok(taken) => written += taken,
                answer if would_block(&answer) => {
                    blocked += 1;
                    again = Some(len);
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
        loop {
            let len = 1 + random.below(buffer.len());
            match reader.read(&mut buffer[..len]) {
                Ok(read) => received.extend_from_slice(&buffer[..read]),
                answer if would_block(&answer) => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(received == sent);
    assert!(blocked > 100, "{blocked}");
}

fn healthy() -> Vec<Scene> {
    let mut scenes = Vec::new();
    for (is_client, side) in [(true, "client"), (false, "server")] {
        for (we_write, what) in [(true, "writes"), (false, "reads")] {
            let name = format!("a non-blocking {side} does the handshake and {what} 64 MiB");
            scenes.push(Scene::survives(name, move || much(is_client, we_write)));
        }
    }
    scenes.extend([
        Scene::survives("SSL_get_fd returns the descriptor, and SSL_free leaves it open", || {
            let (socket, _peer) = tcp_pair("127.0.0.1:0").unwrap();
            let ssl = Ssl::new(&context(|_| {})).unwrap();
            assert_eq!(unsafe { SSL_get_fd(ssl.as_ptr()) }, -1);
            by_set_fd(ssl.as_ptr(), socket.as_raw_fd());
            assert_eq!(unsafe { SSL_get_fd(ssl.as_ptr()) }, socket.as_raw_fd());
            by_set_fd(ssl.as_ptr(), socket.as_raw_fd()); // frees the first BIO
            drop(ssl);
            SockRef::from(&socket).take_error().unwrap();
        }),
        Scene::survives("SSL_free closes the descriptor of a BIO with BIO_CLOSE", || {
            let (socket, peer) = unix_pair().unwrap();
            let ssl = Ssl::new(&context(|_| {})).unwrap();
            unsafe {
                let bio = bio(std::os::fd::IntoRawFd::into_raw_fd(socket), BIO_CLOSE).unwrap();
                SSL_set_bio(ssl.as_ptr(), bio, bio);
            }
            drop(ssl);
            let peer = SockRef::from(&peer);
            peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            assert_eq!(peer.recv(&mut [std::mem::MaybeUninit::uninit()]).unwrap(), 0);
        }),
        Scene::survives("kernel TLS is requested, and not used", || {
            const SSL_OP_ENABLE_KTLS: u64 = 1 << 3;
            let context = context(|context| {
                context.set_options(SslOptions::from_bits_retain(SSL_OP_ENABLE_KTLS as _));
            });
            let (ours, theirs) = pair(tcp_pair("127.0.0.1:0").unwrap(), &context, true, by_set_fd);
            unsafe {
                let bio = SSL_get_rbio(ours.ssl.as_ptr());
                assert_eq!(ctrl(bio, BIO_CTRL_GET_KTLS_SEND, 0), 0);
            }
            ours.write(b"a record").unwrap();
            wait(theirs.socket.as_raw_fd(), libc::POLLIN);
            let mut read = [0; 8];
            assert_eq!(theirs.read(&mut read).unwrap(), 8);
            assert_eq!(&read, b"a record");
        }),
        Scene::survives("a peer that has sent close_notify, and one that has not", || {
            for is_orderly in [true, false] {
                let ends = [by_set_fd as Install, by_openssl].map(|install| {
                    let context = context(|_| {});
                    let sockets = tcp_pair("127.0.0.1:0").unwrap();
                    let (ours, theirs) = pair(sockets, &context, true, install);
                    if is_orderly {
                        assert_eq!(theirs.shutdown().unwrap(), 0);
                    }
                    drop(theirs);
                    wait(ours.socket.as_raw_fd(), libc::POLLRDHUP);
                    let read =
                        unsafe { SSL_read(ours.ssl.as_ptr(), [0_u8; 8].as_mut_ptr().cast(), 8) };
                    (read, unsafe { SSL_get_error(ours.ssl.as_ptr(), read) })
                });
                assert_eq!(ends[0], ends[1]);
            }
        }),
    ]);
    scenes
}
