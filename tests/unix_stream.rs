//! `epipe::os::unix::net::UnixStream`, beyond what `tests/sigpipe` and `tests/mirror.rs` show.

#![allow(missing_docs, reason = "a test")]
#![cfg(unix)]

use std::io::{Read, Write};

use epipe::os::unix::net::UnixStream;

#[test]
fn peek_leaves_the_data() {
    let (mut a, mut b) = UnixStream::pair().unwrap();
    a.write_all(b"look").unwrap();
    let mut buf = [0; 8];
    assert_eq!(b.peek(&mut buf).unwrap(), 4);
    assert_eq!(&buf[..4], b"look");
    assert_eq!(b.read(&mut buf).unwrap(), 4);
}

#[cfg(target_os = "linux")]
#[test]
fn peer_cred_is_this_process() {
    use std::os::unix::fs::MetadataExt;
    let (a, _b) = UnixStream::pair().unwrap();
    let peer = a.peer_cred().unwrap();
    let me = std::fs::metadata("/proc/self").unwrap();
    assert_eq!((peer.uid, peer.gid), (me.uid(), me.gid()));
    assert_eq!(peer.pid, Some(std::process::id() as i32));
}

#[cfg(target_os = "linux")]
#[test]
fn a_mark_is_set_or_refused_as_socket2_is() {
    use socket2::SockRef;
    // The option needs a right, and an emulator may not know it.
    let (a, b) = UnixStream::pair().unwrap();
    match (a.set_mark(7), SockRef::from(&b).set_mark(7)) {
        (Ok(()), Ok(())) => assert_eq!(SockRef::from(&a).mark().unwrap(), 7),
        (ours, theirs) => {
            assert_eq!(ours.unwrap_err().raw_os_error(), theirs.unwrap_err().raw_os_error())
        }
    }
}
