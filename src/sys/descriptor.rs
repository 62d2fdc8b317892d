//! The adapter's descriptor, which may be of any kind. Its kind decides how the adapter writes.

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
/// A pipe or FIFO, or something that may be like one: a terminal, an eventfd, an unknown kind.
const PIPE: u8 = 2;
/// A regular file, a directory or a disk. No write to it raises, unless something else takes its
/// place.
const FILE: u8 = 3;

impl DescriptorState {
    /// Finds the kind of the descriptor, and adopts it. An error means that it is closed.
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
                // Something else has taken the socket's place. Nothing was sent.
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
            // If something else has taken the socket's place, each call meets ENOTSOCK and falls
            // back.
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

    /// Only a closed descriptor is an error. If a sandbox forbids the question, the descriptor
    /// counts as a pipe: a pipe's techniques protect every write.
    #[cold]
    #[inline(never)]
    fn ask(&self, fd: BorrowedFd<'_>) -> io::Result<u8> {
        let kind = match as_file(fd, File::metadata).map(|about| about.file_type()) {
            Ok(kind) if kind.is_socket() => SOCKET,
            Ok(kind) if kind.is_file() || kind.is_dir() || kind.is_block_device() => FILE,
            Err(error) if error.raw_os_error() == Some(libc::EBADF) => return Err(error),
            Ok(_) | Err(_) => PIPE,
        };
        // Descriptors 0 to 2 are inherited, and other processes share them: no option is set there.
        if kind == SOCKET && fd.as_raw_fd() > 2 {
            socket::adopt(&fd);
        }
        self.kind.store(kind, Ordering::Relaxed);
        Ok(kind)
    }
}
