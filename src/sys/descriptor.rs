//! A descriptor that somebody else's type holds: what it is decides how it is written to.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::sync::atomic::{AtomicU8, Ordering};

use super::climb::{ClimbPipe, ClimbSocket, PipeLadder, SocketLadder};
use super::handle::{Plain, as_file};
use super::{Handle, ShieldHandle, ShieldPipe, ShieldSocket};

/// What `NoSigpipe` holds: the kind of its descriptor, and the memory of both ladders.
pub(crate) struct Descriptor<S: SocketLadder, P: PipeLadder> {
    kind: AtomicU8,
    socket: ClimbSocket<S>,
    pipe: ClimbPipe<P>,
}

/// Not asked yet.
const UNKNOWN: u8 = 0;
const SOCKET: u8 = 1;
/// A pipe or FIFO, or what may be like one: a terminal, an eventfd, what could not be asked.
const PIPE: u8 = 2;
/// A regular file, a directory or a disk: no write to it raises.
const FILE: u8 = 3;

impl<S: SocketLadder, P: PipeLadder> Default for Descriptor<S, P> {
    fn default() -> Self {
        Descriptor {
            kind: AtomicU8::new(UNKNOWN),
            socket: ClimbSocket::default(),
            pipe: ClimbPipe::default(),
        }
    }
}

impl<S: SocketLadder, P: PipeLadder> Descriptor<S, P> {
    /// What the descriptor is. Only a closed one is an error: where a sandbox forbids the question
    /// it counts as a pipe, whose techniques protect a write to anything.
    fn kind(&self, fd: BorrowedFd<'_>) -> io::Result<u8> {
        let known = self.kind.load(Ordering::Relaxed);
        if known != UNKNOWN {
            return Ok(known);
        }
        let kind = match as_file(fd, File::metadata).map(|about| about.file_type()) {
            Ok(kind) if kind.is_socket() => SOCKET,
            Ok(kind) if kind.is_file() || kind.is_dir() || kind.is_block_device() => FILE,
            Err(error) if error.raw_os_error() == Some(libc::EBADF) => return Err(error),
            Ok(_) | Err(_) => PIPE,
        };
        // The inherited ones are shared with other processes, and stay as they are.
        if kind == SOCKET && fd.as_raw_fd() > 2 {
            self.socket.arm(&fd);
        }
        self.kind.store(kind, Ordering::Relaxed);
        Ok(kind)
    }

    /// One write, by what the descriptor is.
    #[inline]
    fn write_by_kind<H: Handle>(
        &self,
        handle: &mut H,
        plain: impl FnOnce(&mut H) -> io::Result<usize>,
        to_socket: impl FnOnce(&Plain<BorrowedFd<'_>>) -> io::Result<usize>,
        to_pipe: impl FnOnce(&Plain<BorrowedFd<'_>>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let descriptor = Plain(handle.as_fd());
        let kind = self.kind(descriptor.0)?;
        if kind == FILE {
            return plain(handle);
        }
        if kind == SOCKET {
            match to_socket(&descriptor) {
                // Somebody has put something else in its place. Nothing was sent.
                Err(error) if error.raw_os_error() == Some(libc::ENOTSOCK) => {
                    self.kind.store(PIPE, Ordering::Relaxed);
                }
                answer => return answer,
            }
        }
        to_pipe(&descriptor)
    }
}

impl<S: SocketLadder, P: PipeLadder> ShieldHandle for Descriptor<S, P> {
    fn adopt<H: Handle>(&self, handle: &H) -> io::Result<()> {
        self.kind(handle.as_fd()).map(drop)
    }

    fn shared(&self) -> Self {
        Descriptor {
            kind: AtomicU8::new(self.kind.load(Ordering::Relaxed)),
            ..Descriptor::default()
        }
    }

    fn write<H: Handle>(
        &self,
        handle: &mut H,
        buf: &[u8],
        plain: impl FnOnce(&mut H) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.write_by_kind(
            handle,
            plain,
            |socket| self.socket.write(socket, buf),
            |pipe| self.pipe.write(pipe, buf),
        )
    }

    fn write_vectored<H: Handle>(
        &self,
        handle: &mut H,
        bufs: &[IoSlice<'_>],
        plain: impl FnOnce(&mut H) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.write_by_kind(
            handle,
            plain,
            |socket| self.socket.write_vectored(socket, bufs),
            |pipe| self.pipe.write_vectored(pipe, bufs),
        )
    }
}
