//! What the adapter holds: a descriptor of any kind. What it is decides how it is written to.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::sync::atomic::{AtomicU8, Ordering};

use super::handle::as_file;
use super::{call, pipe, socket};

/// What the adapter remembers of its descriptor.
#[derive(Default)]
pub(crate) struct DescriptorState {
    kind: AtomicU8,
}

/// Not asked yet.
const UNKNOWN: u8 = 0;
const SOCKET: u8 = 1;
/// A pipe or FIFO, or what may be like one: a terminal, an eventfd, what could not be asked.
const PIPE: u8 = 2;
/// A regular file, a directory or a disk: no write to it raises, as long as nothing else is put in
/// its place.
const FILE: u8 = 3;

impl DescriptorState {
    /// Finds out what the descriptor is, and adopts it. An error means that it is closed.
    pub(crate) fn adopt(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.kind(fd).map(drop)
    }

    #[inline]
    pub(crate) fn write(&self, fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<usize> {
        match self.kind(fd)? {
            FILE => {
                pipe::write_to_file(fd, &[IoSlice::new(buf)], |fd, bufs| call::write(fd, &bufs[0]))
            }
            SOCKET => match socket::write(&fd, buf) {
                // Something else is in the socket's place now. Nothing was sent.
                Err(error) if error.raw_os_error() == Some(libc::ENOTSOCK) => {
                    self.kind.store(PIPE, Ordering::Relaxed);
                    pipe::write(fd, buf)
                }
                answer => answer,
            },
            _ => pipe::write(fd, buf),
        }
    }

    #[inline]
    pub(crate) fn write_vectored(
        &self,
        fd: BorrowedFd<'_>,
        bufs: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        match self.kind(fd)? {
            FILE => pipe::write_to_file(fd, call::cut(bufs), call::write_vectored),
            // If something else has replaced the socket, each call meets ENOTSOCK and falls back.
            SOCKET => socket::write_vectored(&fd, bufs),
            _ => pipe::write_vectored(fd, bufs),
        }
    }

    #[inline]
    fn kind(&self, fd: BorrowedFd<'_>) -> io::Result<u8> {
        match self.kind.load(Ordering::Relaxed) {
            UNKNOWN => self.ask(fd),
            known => Ok(known),
        }
    }

    /// Only a closed descriptor is an error. If a sandbox forbids the question, it counts as a
    /// pipe: those techniques protect every write.
    #[cold]
    #[inline(never)]
    fn ask(&self, fd: BorrowedFd<'_>) -> io::Result<u8> {
        let kind = match as_file(fd, File::metadata).map(|about| about.file_type()) {
            Ok(kind) if kind.is_socket() => SOCKET,
            Ok(kind) if kind.is_file() || kind.is_dir() || kind.is_block_device() => FILE,
            Err(error) if error.raw_os_error() == Some(libc::EBADF) => return Err(error),
            Ok(_) | Err(_) => PIPE,
        };
        // Descriptors 0 to 2 are inherited and shared with other processes: no option is set there.
        if kind == SOCKET && fd.as_raw_fd() > 2 {
            socket::adopt(&fd);
        }
        self.kind.store(kind, Ordering::Relaxed);
        Ok(kind)
    }
}
