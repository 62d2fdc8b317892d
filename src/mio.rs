//! mio's sockets and pipes in `NoSigpipe`, and the adapter in a mio `Registry`.
//!
//! mio must see a call that would block: where it has neither epoll nor kqueue, it watches a handle
//! again only then. So each write stands in its `try_io`.

use std::io::{self, IoSlice, Write};

use ::mio::event::Source;
use ::mio::net::TcpStream;
use ::mio::{Interest, Registry, Token};

use crate::adopt::{Adopt, Route, adopt};
use crate::no_sigpipe::{Care, Sealed, Writes};
use crate::{NoSigpipe, sys};

/// As [`Direct`](crate::adopt::Direct), inside mio's own `try_io`.
#[derive(Debug)]
pub enum Registered {}

impl Sealed for Registered {}
impl Route for Registered {}

/// A handle of mio's, or a pointer to one.
pub trait TryIo: sys::Handle {
    fn try_io(&self, write: impl FnOnce() -> io::Result<usize>) -> io::Result<usize>;

    /// mio's own call, where nothing is to fear.
    fn plain_write(&self, buf: &[u8]) -> io::Result<usize>;

    /// The same of many slices.
    fn plain_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize>;
}

macro_rules! registered {
    ($($ty:ty),+) => {
        adopt! { Registered: $($ty),+; }

        $(
            impl TryIo for $ty {
                fn try_io(&self, write: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
                    self.try_io(write)
                }

                fn plain_write(&self, buf: &[u8]) -> io::Result<usize> {
                    (&*self).write(buf)
                }

                fn plain_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                    (&*self).write_vectored(bufs)
                }
            }
        )+
    };
}

registered! { TcpStream }

sys::only_unix! {
    registered! { ::mio::net::UnixStream, ::mio::unix::pipe::Sender }
}

macro_rules! pointers {
    ($($pointer:ty),+) => {$(
        impl<T: TryIo> TryIo for $pointer {
            fn try_io(&self, write: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
                T::try_io(self, write)
            }

            fn plain_write(&self, buf: &[u8]) -> io::Result<usize> {
                T::plain_write(self, buf)
            }

            fn plain_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                T::plain_write_vectored(self, bufs)
            }
        }
    )+};
}
pointers! { &T, &mut T, Box<T> }

impl<H: TryIo> Writes<H> for Registered {
    fn writer(handle: H, care: &Care) -> impl Write {
        Inside { handle, care }
    }
}

struct Inside<'a, H> {
    handle: H,
    care: &'a Care,
}

impl<H: TryIo> Write for Inside<'_, H> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let plain = |handle: &mut &H| handle.plain_write(buf);
        let write = || self.care.write(&mut &self.handle, buf, plain);
        self.handle.try_io(write)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let plain = |handle: &mut &H| handle.plain_write_vectored(bufs);
        let write = || self.care.write_vectored(&mut &self.handle, bufs, plain);
        self.handle.try_io(write)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<T: Source> Source for NoSigpipe<T> {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.handle_mut().register(registry, token, interests)
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.handle_mut().reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.handle_mut().deregister(registry)
    }
}
