//! `io::copy` inside the kernel and `sendfile`: sinks that vanish in the middle, and systems that
//! refuse a call.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use epipe::net::TcpStream;
use socket2::SockRef;

use crate::Scene;
use crate::c_calls::splice_raises;
use crate::rows::socket_raises;
use crate::support::{
    assert_epipe, file, is_blocked, is_pending, tcp_pair, unix_pair, without_descriptors,
};

/// More than all buffers on the way can hold.
const LONG: usize = 8 << 20;

/// A socket that gives zeros without end, while they are read.
fn endless_socket() -> OwnedFd {
    let (ours, theirs) = unix_pair().unwrap();
    std::mem::forget(ours.try_clone());
    thread::spawn(move || pour(theirs));
    ours
}

/// The same for a pipe.
fn endless_pipe() -> io::PipeReader {
    let (ours, theirs) = io::pipe().unwrap();
    std::mem::forget(ours.try_clone());
    thread::spawn(move || pour(theirs.into()));
    ours
}

/// Writes by plain calls, which no library and no filter of the scenes affects. The reader stays
/// open until the process ends. This thread is not under test, and a signal that it raised might
/// reach another thread.
fn pour(to: OwnedFd) {
    let mut to = File::from(to);
    while to.write_all(&[0; 10_000]).is_ok() {}
}

/// A connection whose peer takes this many bytes, then resets.
fn resets_after(bytes: usize) -> OwnedFd {
    let (ours, theirs) = tcp_pair("127.0.0.1:0").unwrap();
    // Less than the copies offer, on any machine: data that fits in the buffer may be sent before
    // the reset.
    SockRef::from(&theirs).set_recv_buffer_size(1 << 16).unwrap();
    let mut theirs = std::net::TcpStream::from(theirs);
    thread::spawn(move || {
        let taken = io::copy(&mut (&mut theirs).take(bytes as u64), &mut io::sink());
        assert_eq!(taken.unwrap(), bytes as u64);
        SockRef::from(&theirs).set_linger(Some(Duration::ZERO)).unwrap();
    });
    ours
}

/// Copies twice. The first copy may report the reset. The second reports `EPIPE`.
fn until_it_breaks(mut copy: impl FnMut() -> io::Result<u64>) {
    let first = copy().unwrap_err();
    assert!(
        matches!(first.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe),
        "{first}"
    );
    assert_epipe(copy());
    assert!(!is_blocked() && !is_pending());
}

fn long_content() -> Vec<u8> {
    (0..100_000_u32).map(|n| (n % 251) as u8).collect()
}

/// A socket to which 100,000 bytes were already sent, and these bytes.
fn long_socket() -> (OwnedFd, Vec<u8>) {
    let content = long_content();
    let (ours, theirs) = unix_pair().unwrap();
    File::from(theirs).write_all(&content).unwrap();
    (ours, content)
}

/// The same for a file.
fn long_file() -> (File, Vec<u8>) {
    let (mut file, content) = (file(0), long_content());
    file.write_all(&content).unwrap();
    (file, content)
}

fn arrived(theirs: OwnedFd) -> Vec<u8> {
    let mut content = Vec::new();
    UnixStream::from(theirs).read_to_end(&mut content).unwrap();
    content
}

pub fn scenes() -> Vec<Scene> {
    let tcp_raises = socket_raises(|| tcp_pair("127.0.0.1:0"));
    vec![
        Scene::survives("copy: a sink resets in the middle: from a socket", || {
            let mut from = epipe::os::unix::net::UnixStream::from(endless_socket());
            let mut to = TcpStream::from(resets_after(LONG));
            until_it_breaks(|| epipe::io::copy(&mut from, &mut to));
        }),
        Scene::dies("copy: a sink resets in the middle: from a socket: control", || {
            let mut from = UnixStream::from(endless_socket());
            let mut to = socket2::Socket::from(resets_after(LONG));
            until_it_breaks(|| io::copy(&mut from, &mut to));
        })
        .control_only_if(tcp_raises),
        Scene::survives("copy: a sink resets in the middle: from a pipe", || {
            let mut from = epipe::io::PipeReader::from(endless_pipe());
            let mut to = TcpStream::from(resets_after(LONG));
            until_it_breaks(|| epipe::io::copy(&mut from, &mut to));
        })
        // gVisor's splice reports the end of a pipe that is only empty for now.
        .only_where(splice_raises(), "splice differs here"),
        Scene::dies("copy: a sink resets in the middle: from a pipe: control", || {
            let mut from = endless_pipe();
            let mut to = File::from(resets_after(LONG));
            until_it_breaks(|| io::copy(&mut from, &mut to));
        })
        .control_only_if(tcp_raises),
        Scene::survives("copy: a sink resets in the middle: sendfile", || {
            let file = file(2 * LONG as u64 + 100);
            let to = TcpStream::from(resets_after(LONG));
            until_it_breaks(|| to.sendfile(&file, ..));
        })
        .only_where(cfg!(not(kernel = "apple")), "sendfile answers ENOTCONN here"),
        Scene::dies("copy: a sink resets in the middle: sendfile: control", || {
            let file = file(2 * LONG as u64 + 100);
            // sendfile raises only on Linux. Elsewhere std's copy writes.
            let mut to = File::from(resets_after(LONG));
            until_it_breaks(|| io::copy(&mut &file, &mut to));
        })
        .control_only_if(tcp_raises),
        Scene::survives("sendfile: a range arrives, and the file's end", || {
            let (file, content) = long_file();
            let (to, theirs) = unix_pair().unwrap();
            let reading = thread::spawn(|| arrived(theirs));
            let to = epipe::os::unix::net::UnixStream::from(to);
            assert_eq!(to.sendfile(&file, 5..70_000).unwrap(), 69_995);
            assert_eq!(to.sendfile(&file, 70_000..).unwrap(), 30_000);
            assert_eq!(to.sendfile(&file, 100_000..).unwrap(), 0);
            drop(to);
            assert!(reading.join().unwrap() == content[5..]);
        }),
        Scene::survives("sendfile: a stream that would block has taken what is reported", || {
            let file = file(LONG as u64);
            let (to, theirs) = unix_pair().unwrap();
            let to = epipe::os::unix::net::UnixStream::from(to);
            to.set_nonblocking(true).unwrap();
            let sent = to.sendfile(&file, ..).unwrap();
            drop(to);
            assert_eq!(arrived(theirs).len() as u64, sent);
        }),
        Scene::survives("copy: the reader of a pipe leaves in the middle", || {
            let mut from = epipe::os::unix::net::UnixStream::from(endless_socket());
            let (mut theirs, to) = epipe::io::pipe().unwrap();
            thread::spawn(move || theirs.read_exact(&mut vec![0; LONG]).unwrap());
            let mut to = to;
            assert_epipe(epipe::io::copy(&mut from, &mut to));
            assert!(!is_blocked() && !is_pending());
        }),
        Scene::dies("copy: the reader of a pipe leaves in the middle: control", || {
            let mut from = UnixStream::from(endless_socket());
            let (mut theirs, mut to) = io::pipe().unwrap();
            thread::spawn(move || theirs.read_exact(&mut vec![0; LONG]).unwrap());
            drop(io::copy(&mut from, &mut to));
        })
        .control_only_if(splice_raises()),
        Scene::survives("copy: no descriptor is left for a pipe in between", || {
            let (from, content) = long_socket();
            let (to, theirs) = unix_pair().unwrap();
            let mut from = epipe::os::unix::net::UnixStream::from(from);
            let mut to = epipe::os::unix::net::UnixStream::from(to);
            let copied = without_descriptors(|| epipe::io::copy(&mut from, &mut to));
            assert_eq!(copied.unwrap(), 100_000);
            drop(to);
            assert!(arrived(theirs) == content);
        }),
    ]
}

/// Scenes where splice or sendfile is refused, and where no other call is allowed.
#[cfg(kernel = "linux")]
pub fn of_linux() -> Vec<Scene> {
    use std::os::fd::AsRawFd;

    use crate::seccomp::{DEADLY, NO_FILTERS, Which, can_filter_sockets, filter, refusing};
    use crate::support::{broken_pipe, broken_stream};

    /// Asserts that a copy between two sockets brings every byte.
    fn every_byte_arrives() {
        let (from, content) = long_socket();
        let (to, theirs) = unix_pair().unwrap();
        let mut from = epipe::os::unix::net::UnixStream::from(from);
        let mut to = epipe::os::unix::net::UnixStream::from(to);
        assert_eq!(epipe::io::copy(&mut from, &mut to).unwrap(), 100_000);
        drop(to);
        assert!(arrived(theirs) == content);
    }

    let mut scenes = Vec::new();
    let can = can_filter_sockets();
    for (name, error) in [
        ("EPERM", libc::EPERM),
        ("EACCES", libc::EACCES),
        ("ENOSYS", libc::ENOSYS),
        ("EINVAL", libc::EINVAL),
    ] {
        scenes.push(
            Scene::survives(format!("copy: splice answers {name}"), move || {
                filter(libc::SYS_splice, Which::All, refusing(error));
                every_byte_arrives();
                let mut from = epipe::os::unix::net::UnixStream::from(long_socket().0);
                assert_epipe(epipe::io::copy(&mut from, &mut TcpStream::from(broken_stream())));
                let mut from = epipe::io::PipeReader::from(endless_pipe());
                assert_epipe(epipe::io::copy(&mut from, &mut TcpStream::from(broken_stream())));
                let mut to = epipe::io::PipeWriter::from(broken_pipe());
                assert_epipe(epipe::io::copy(&mut from, &mut to));
                assert!(!is_blocked() && !is_pending());
            })
            .only_where(can, NO_FILTERS),
        );
        scenes.push(
            Scene::survives(format!("copy: sendfile answers {name}"), move || {
                filter(libc::SYS_sendfile, Which::All, refusing(error));
                let (to, theirs) = unix_pair().unwrap();
                let to = epipe::os::unix::net::UnixStream::from(to);
                assert_eq!(to.sendfile(&file(100_000), 10..).unwrap(), 99_990);
                drop(to);
                assert!(arrived(theirs) == [0; 99_990]);
                assert_epipe(TcpStream::from(broken_stream()).sendfile(&file(10), ..));
            })
            .only_where(can, NO_FILTERS),
        );
    }
    scenes.extend([
        // Only the splice to the sink is refused. The pipe in between then holds data.
        Scene::survives("copy: splice is refused when a pipe in between holds something", || {
            let (from, content) = long_socket();
            let (to, theirs) = unix_pair().unwrap();
            let to = epipe::os::unix::net::UnixStream::from(to);
            // Its number has a bit that the numbers of a new pipe lack. The filter tests this bit.
            // SAFETY: the new number is not in use.
            let high = unsafe { libc::dup2(to.as_raw_fd(), 512) };
            assert_eq!(high, 512);
            // SAFETY: the descriptor is new, and nothing else owns it.
            let mut high = epipe::os::unix::net::UnixStream::from(unsafe {
                <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(high)
            });
            drop(to);
            filter(libc::SYS_splice, Which::With((2, 512)), refusing(libc::EINVAL));
            let mut from = epipe::os::unix::net::UnixStream::from(from);
            assert_eq!(epipe::io::copy(&mut from, &mut high).unwrap(), 100_000);
            drop(high);
            assert!(arrived(theirs) == content);
        })
        .only_where(can, NO_FILTERS),
        Scene::survives("copy: the same, and the sink would block", || {
            // All data is there at once. It is more than one buffer of the fallback.
            const ALL: usize = 300_000;
            let (from, theirs) = unix_pair().unwrap();
            SockRef::from(&theirs).set_send_buffer_size(1 << 20).unwrap();
            File::from(theirs).write_all(&[1; ALL]).unwrap();
            let (to, theirs) = unix_pair().unwrap();
            SockRef::from(&to).set_send_buffer_size(8192).unwrap();
            let reader = thread::spawn(move || arrived(theirs));
            // SAFETY: the new number is not in use, and nothing else owns it.
            let mut high = epipe::os::unix::net::UnixStream::from(unsafe {
                assert_eq!(libc::dup2(to.as_raw_fd(), 512), 512);
                <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(512)
            });
            drop(to);
            high.set_nonblocking(true).unwrap();
            filter(libc::SYS_splice, Which::With((2, 512)), refusing(libc::EINVAL));
            let mut from = epipe::os::unix::net::UnixStream::from(from);
            while let Err(error) = epipe::io::copy(&mut from, &mut high) {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            }
            drop(high);
            assert_eq!(reader.join().unwrap().len(), ALL);
        })
        .only_where(can, NO_FILTERS),
        Scene::survives("copy: between sockets nothing is read and nothing written", || {
            type Ours = epipe::os::unix::net::UnixStream;
            let [one, two, three, four] = [(); 4].map(|()| {
                let (to, theirs) = unix_pair().unwrap();
                (long_socket().0, to, theirs)
            });
            let (mut from, mut to) = (Ours::from(one.0), Ours::from(one.1));
            // By each kind of reference, and in the adapter.
            let shared = (Ours::from(two.0), Ours::from(two.1));
            let mut lent = (Ours::from(three.0), Ours::from(three.1));
            let lent = (&mut lent.0, &mut lent.1);
            let mut adopted = (
                epipe::NoSigpipe::new(UnixStream::from(four.0)).unwrap(),
                epipe::NoSigpipe::new(UnixStream::from(four.1)).unwrap(),
            );
            for number in [
                libc::SYS_read,
                libc::SYS_readv,
                libc::SYS_recvmsg,
                libc::SYS_write,
                libc::SYS_writev,
                libc::SYS_sendto,
                libc::SYS_sendmsg,
            ] {
                filter(number, Which::All, DEADLY);
            }
            // A peek asks whether that was the end. It takes nothing.
            let peek = (3, libc::MSG_PEEK);
            filter(libc::SYS_recvfrom, Which::Without(peek), DEADLY);
            for copied in [
                epipe::io::copy(&mut from, &mut to),
                epipe::io::copy(&mut &shared.0, &mut &shared.1),
                epipe::io::copy(&mut { lent.0 }, &mut { lent.1 }),
                epipe::io::copy(&mut adopted.0, &mut adopted.1),
            ] {
                assert_eq!(copied.unwrap(), 100_000);
            }
        })
        .only_where(can, NO_FILTERS),
        Scene::survives("copy: sendfile neither reads nor writes", || {
            let (to, _theirs) = unix_pair().unwrap();
            let to = epipe::os::unix::net::UnixStream::from(to);
            let file = file(1000);
            for number in [libc::SYS_pread64, libc::SYS_sendto, libc::SYS_write] {
                filter(number, Which::All, DEADLY);
            }
            assert_eq!(to.sendfile(&file, ..).unwrap(), 1000);
        })
        .only_where(can, NO_FILTERS),
    ]);
    scenes
}
