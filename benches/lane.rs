use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use socket2::SockRef;

/// The size that is requested for a buffer. The system may give less.
const BUFFER: usize = 4 << 20;

/// A connection whose both ends are in this thread. A batch of writes fits into its buffers, and is
/// read while the clock is stopped.
pub struct Lane {
    writer: OwnedFd,
    reader: File,
    space: RefCell<Vec<u8>>,
    /// How many bytes its buffers hold.
    room: usize,
    /// How many bytes more than its own the system counts for a write.
    overhead: usize,
    /// The most calls in a batch.
    most_calls: usize,
}

impl Lane {
    /// TCP over loopback, without Nagle's algorithm: each write is a packet, as in a conversation.
    pub fn tcp() -> Lane {
        let (reader, writer) = roomy_tcp();
        writer.set_nodelay(true).unwrap();
        Lane::socket(writer.into(), reader.into())
    }

    pub fn unix() -> Lane {
        let (reader, writer) = roomy_unix();
        Lane::socket(writer.into(), reader.into())
    }

    fn socket(writer: OwnedFd, reader: OwnedFd) -> Lane {
        let room = SockRef::from(&writer).send_buffer_size().unwrap() / 2;
        Lane::new(writer, reader, room, 1024, 64)
    }

    /// A pipe of 1 MiB, or of the most that the system allows.
    pub fn pipe() -> Lane {
        let (reader, writer) = io::pipe().unwrap();
        let _ = rustix::pipe::fcntl_setpipe_size(&writer, 1 << 20);
        let room = rustix::pipe::fcntl_getpipe_size(&writer).unwrap();
        Lane::new(writer.into(), reader.into(), room, 0, 256)
    }

    fn new(
        writer: OwnedFd,
        reader: OwnedFd,
        room: usize,
        overhead: usize,
        most_calls: usize,
    ) -> Lane {
        Lane {
            writer,
            reader: reader.into(),
            space: RefCell::new(vec![0; 1 << 20]),
            room,
            overhead,
            most_calls,
        }
    }

    /// A duplicate of the writing end, as any type. Subject and peer write to the same connection.
    pub fn writer<W: From<OwnedFd>>(&self) -> W {
        self.writer.as_fd().try_clone_to_owned().unwrap().into()
    }

    /// How many writes of `len` bytes make a batch: some tens of microseconds, and never more than
    /// the buffers hold.
    pub fn calls(&self, len: usize) -> usize {
        let fit = self.room / (len + self.overhead);
        fit.min((256 << 10) / len).clamp(1, self.most_calls)
    }

    /// Reads the `len` bytes that were written.
    pub fn drain(&self, mut len: usize) {
        let mut space = self.space.borrow_mut();
        while len > 0 {
            let most = len.min(space.len());
            let read = (&self.reader).read(&mut space[..most]).unwrap();
            assert!(read > 0, "the writing end is open");
            len -= read;
        }
    }
}

/// TCP over loopback with large buffers: reader and writer.
pub fn roomy_tcp() -> (TcpStream, TcpStream) {
    // Set before the connection exists, since it decides how the window is scaled.
    let (reader, writer) = tcp_by(|listener| {
        SockRef::from(listener).set_recv_buffer_size(BUFFER).unwrap();
    });
    give_room(&writer);
    (reader, writer)
}

/// A Unix pair with large buffers: reader and writer.
pub fn roomy_unix() -> (UnixStream, UnixStream) {
    let (reader, writer) = UnixStream::pair().unwrap();
    give_room(&writer);
    (reader, writer)
}

/// If the buffer is still too small, the write fails after ten seconds, and does not wait for ever.
fn give_room(writer: &impl AsFd) {
    let writer = SockRef::from(writer);
    writer.set_send_buffer_size(BUFFER).unwrap();
    writer.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
}

/// TCP over loopback with the default buffers.
pub fn tcp() -> (TcpStream, TcpStream) {
    tcp_by(|_| {})
}

fn tcp_by(prepare: impl FnOnce(&TcpListener)) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    prepare(&listener);
    let writer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (reader, _) = listener.accept().unwrap();
    (reader, writer)
}
