//! mio's sockets and pipes in `NoSigpipe`, and the adapter in a mio `Registry`.
//!
//! mio must see each call that would block. On a system without epoll and kqueue, it watches the
//! handle again only after such a call. So each write runs in mio's `try_io`.

use std::io::{self, IoSlice, Write};
use std::sync::Arc;

use ::mio::event::Source;
use ::mio::net::TcpStream;
use ::mio::{Interest, Registry, Token};
#[cfg(unix)]
use ::mio::{net::UnixStream, unix::pipe::Sender};

use crate::NoSigpipe;
use crate::adopt::Adoptable;

macro_rules! writes {
    ($($ty:ty),+ $(,)?) => {$(
        impl Adoptable for $ty {}

        impl Write for &NoSigpipe<$ty> {
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                let NoSigpipe { inner: handle, state } = *self;
                #[cfg(has_fd)]
                return handle.try_io(|| state.write(std::os::fd::AsFd::as_fd(handle), buf));
                #[cfg(not(has_fd))]
                plain(handle, state).write(buf)
            }

            fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                let NoSigpipe { inner: handle, state } = *self;
                #[cfg(has_fd)]
                return handle
                    .try_io(|| state.write_vectored(std::os::fd::AsFd::as_fd(handle), bufs));
                #[cfg(not(has_fd))]
                plain(handle, state).write_vectored(bufs)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        impl Write for NoSigpipe<$ty> {
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
    )+};
}

/// mio's own write, on systems without SIGPIPE.
#[cfg(not(has_fd))]
fn plain<'a>(handle: &'a TcpStream, _: &crate::sys::DescriptorState) -> &'a TcpStream {
    handle
}

/// The impls for a handle, and for pointers to it.
macro_rules! handles {
    ($($ty:ty),+) => {$(
        writes! { $ty, &$ty, &mut $ty, Box<$ty>, Arc<$ty> }
    )+};
}

handles! { TcpStream }
#[cfg(unix)]
handles! { UnixStream, Sender }

impl<T: Source> Source for NoSigpipe<T> {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.inner.register(registry, token, interests)
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.inner.reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.inner.deregister(registry)
    }
}
