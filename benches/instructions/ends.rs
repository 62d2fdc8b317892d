//! The ends that are written to and read from, of this crate's types and std's. No call on them
//! waits.

use std::array;
use std::ffi::c_int;
use std::io::{self, IoSlice, Read, Write};
use std::mem;
use std::os::fd::AsRawFd;

pub(crate) use epipe_benches::{roomy_tcp as tcp, roomy_unix as unix};

/// This crate's types. `stds` has the types that they mirror.
pub(crate) mod ours {
    pub use epipe::io::{PipeReader, PipeWriter, copy};
    pub use epipe::net::{TcpListener, TcpStream};
    pub use epipe::os::unix::net::UnixStream;
}
pub(crate) mod stds {
    pub use std::io::{PipeReader, PipeWriter, copy};
    pub use std::net::{TcpListener, TcpStream};
    pub use std::os::unix::net::UnixStream;
}

pub(crate) const MIB: usize = 1 << 20;
pub(crate) const SMALL: usize = 64;

/// An end that is written to. The other end stays open and is never read.
pub(crate) trait Sink: Write + 'static {
    fn connected() -> Self;
}

/// An end that is read from.
pub(crate) trait Source: Read + 'static {
    /// All data and the end of the stream have arrived.
    fn holding(data: &[u8]) -> Self;
}

macro_rules! ends {
    ($connect:ident, $reader:ident, $writer:ident) => {
        ends!(@impl $connect, ours::$reader, ours::$writer);
        ends!(@impl $connect, stds::$reader, stds::$writer);
    };
    (@impl $connect:ident, $reader:ty, $writer:ty) => {
        impl Sink for $writer {
            fn connected() -> Self {
                let (reader, writer) = $connect();
                mem::forget(reader);
                writer.into()
            }
        }

        impl Source for $reader {
            fn holding(data: &[u8]) -> Self {
                let (reader, mut writer) = $connect();
                writer.write_all(data).unwrap();
                drop(writer);
                while arrived(&reader) < data.len() {}
                reader.into()
            }
        }
    };
}
ends!(tcp, TcpStream, TcpStream);
ends!(unix, UnixStream, UnixStream);
ends!(pipe, PipeReader, PipeWriter);

pub(crate) fn pipe() -> (stds::PipeReader, stds::PipeWriter) {
    let (reader, writer) = io::pipe().unwrap();
    // SAFETY: this command takes an integer, no pointer.
    let size = unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETPIPE_SZ, MIB as c_int) };
    assert!(size >= MIB as c_int, "a pipe of 1 MiB: {}", io::Error::last_os_error());
    (reader, writer)
}

fn arrived(reader: &impl AsRawFd) -> usize {
    let mut len: c_int = 0;
    // SAFETY: FIONREAD writes one int, and `len` is one.
    let status = unsafe { libc::ioctl(reader.as_raw_fd(), libc::FIONREAD, &mut len) };
    assert_eq!(status, 0);
    len as usize
}

pub(crate) fn sources<S: Source>(calls: usize, len: usize) -> Vec<S> {
    (0..calls).map(|_| S::holding(text(len))).collect()
}

/// Lines of 64 bytes. They live as long as the process.
pub(crate) fn text(len: usize) -> &'static [u8] {
    let line = [[b'x'; SMALL - 1].as_slice(), b"\n"].concat();
    line.repeat(len / SMALL).leak()
}

pub(crate) fn slices<const LEN: usize, const SLICES: usize>() -> [IoSlice<'static>; SLICES] {
    let text = text(LEN);
    let len = LEN / SLICES;
    array::from_fn(|i| IoSlice::new(&text[i * len..][..len]))
}
