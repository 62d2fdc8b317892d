//! Unix and WASI: a socket and a pipe are descriptors.

#![allow(unsafe_code, reason = "taking over a raw descriptor is unsafe in std")]

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd};

pub(crate) use std::os::fd::AsFd as AsSocket;
#[allow(unused_imports)] // WASI p1 has no creators to give it
pub(crate) use std::os::fd::OwnedFd as OwnedSocket;

/// A socket that a technique can be asked about.
pub(crate) trait Socket: AsFd {
    /// The descriptor, on the path of a write: std inlines `as_raw_fd`, and not `as_fd`.
    fn fd(&self) -> BorrowedFd<'_>;
}

impl<T: AsFd + AsRawFd> Socket for T {
    #[inline]
    fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: this crate asks only std's handles, socket2's and `Plain`, which show the same
        // descriptor by both traits, open for as long as they are borrowed.
        unsafe { BorrowedFd::borrow_raw(self.as_raw_fd()) }
    }
}

/// A pipe, or a descriptor of unknown kind.
pub(crate) use super::Stream as Pipe;

/// Runs `call` with std's `File` over a borrowed descriptor: its `write` and
/// `write_vectored` are `write(2)` and `writev(2)` with std's own limits.
pub(crate) fn as_file<T>(fd: BorrowedFd<'_>, call: impl FnOnce(&File) -> T) -> T {
    // SAFETY: the borrow keeps the descriptor open for as long as `file` lives, and
    // ManuallyDrop leaves closing it to its owner.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd.as_raw_fd()) });
    call(&file)
}

/// `read(2)`, into memory that need not be initialised.
///
/// # Safety
///
/// The buffer is valid for writes of `len` bytes.
#[cfg(unix)]
pub(crate) unsafe fn read(fd: BorrowedFd<'_>, buffer: *mut u8, len: usize) -> io::Result<usize> {
    // SAFETY: the caller vouches for the buffer.
    let read = unsafe { libc::read(fd.as_raw_fd(), buffer.cast(), len) };
    usize::try_from(read).map_err(|_| io::Error::last_os_error())
}

/// A handle that is written to by `write(2)` and `writev(2)`, whatever its type would do.
pub(crate) struct Plain<H>(pub(crate) H);

impl<H: AsFd> AsFd for Plain<H> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl<H: AsFd> AsRawFd for Plain<H> {
    #[inline]
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl<H: AsFd> Write for Plain<H> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<H: AsFd> Write for &Plain<H> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        as_file(self.as_fd(), |mut file| file.write(buf))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        as_file(self.as_fd(), |mut file| file.write_vectored(bufs))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where a datagram is sent.
#[cfg(not(all(target_os = "wasi", target_env = "p1")))]
pub(crate) trait Address {
    fn to_socket2(&self) -> std::io::Result<socket2::SockAddr>;
}

#[cfg(not(all(target_os = "wasi", target_env = "p1")))]
impl Address for std::net::SocketAddr {
    fn to_socket2(&self) -> std::io::Result<socket2::SockAddr> {
        Ok((*self).into())
    }
}

#[cfg(all(target_os = "wasi", target_env = "p1"))]
pub(crate) trait Address {}
#[cfg(all(target_os = "wasi", target_env = "p1"))]
impl<T> Address for T {}

/// `AsFd` and its kin for a socket type `{ std, shield }`.
macro_rules! socket_handles {
    ($ours:ident, $std:ty) => {
        $crate::sys::handle::fd_traits!($ours, $std);
    };
}
pub(crate) use socket_handles;

/// `AsFd` and its kin for a pipe end, and the ends that a child process left with us.
macro_rules! pipe_handles {
    ($ours:ident, $std:ty, $($child:ident)+) => {
        $crate::sys::handle::fd_traits!($ours, $std);

        $(
            #[cfg(unix)]
            impl From<std::process::$child> for $ours {
                #[inline]
                fn from(child: std::process::$child) -> Self {
                    std::os::fd::OwnedFd::from(child).into()
                }
            }
        )+
    };
}
pub(crate) use pipe_handles;

macro_rules! fd_traits {
    ($ours:ident, $std:ty) => {
        impl std::os::fd::AsFd for $ours {
            #[inline]
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.std.as_fd()
            }
        }

        impl std::os::fd::AsRawFd for $ours {
            #[inline]
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                self.std.as_raw_fd()
            }
        }

        impl std::os::fd::IntoRawFd for $ours {
            #[inline]
            fn into_raw_fd(self) -> std::os::fd::RawFd {
                self.std.into_raw_fd()
            }
        }

        #[allow(unsafe_code)] // the function is unsafe in std's trait
        impl std::os::fd::FromRawFd for $ours {
            #[inline]
            unsafe fn from_raw_fd(fd: std::os::fd::RawFd) -> Self {
                // SAFETY: the caller promises what std asks of it: an open descriptor that
                // nobody else owns.
                unsafe { <$std as std::os::fd::FromRawFd>::from_raw_fd(fd) }.into()
            }
        }

        impl From<std::os::fd::OwnedFd> for $ours {
            #[inline]
            fn from(fd: std::os::fd::OwnedFd) -> Self {
                <$std>::from(fd).into()
            }
        }

        impl From<$ours> for std::os::fd::OwnedFd {
            #[inline]
            fn from(ours: $ours) -> Self {
                ours.std.into()
            }
        }
    };
}
pub(crate) use fd_traits;

/// The same for the adapter, which shows what its handle shows.
macro_rules! adapter_handles {
    ($ours:ident) => {
        impl<T: std::os::fd::AsFd> std::os::fd::AsFd for $ours<T> {
            #[inline]
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.get_ref().as_fd()
            }
        }

        impl<T: std::os::fd::AsRawFd> std::os::fd::AsRawFd for $ours<T> {
            #[inline]
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                self.get_ref().as_raw_fd()
            }
        }

        impl<T: std::os::fd::IntoRawFd> std::os::fd::IntoRawFd for $ours<T> {
            #[inline]
            fn into_raw_fd(self) -> std::os::fd::RawFd {
                self.into_inner().into_raw_fd()
            }
        }

        impl<T> From<$ours<T>> for std::os::fd::OwnedFd
        where
            std::os::fd::OwnedFd: From<T>,
        {
            #[inline]
            fn from(ours: $ours<T>) -> Self {
                ours.into_inner().into()
            }
        }
    };
}
pub(crate) use adapter_handles;
