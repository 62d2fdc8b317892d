//! mio's sockets and pipes in `NoSigpipe`, and the adapter in a mio `Registry`.
//!
//! mio must see a call that would block: where it has neither epoll nor kqueue, it watches a handle
//! again only then. So each write stands in its `try_io`.

use std::io;

use ::mio::event::Source;
use ::mio::net::TcpStream;
use ::mio::{Interest, Registry, Token};

use crate::{Adopt, NoSigpipe};

impl Adopt for TcpStream {
    fn try_io(&self, write: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
        TcpStream::try_io(self, write)
    }
}

#[cfg(unix)]
impl Adopt for ::mio::net::UnixStream {
    fn try_io(&self, write: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
        ::mio::net::UnixStream::try_io(self, write)
    }
}

#[cfg(unix)]
impl Adopt for ::mio::unix::pipe::Sender {
    fn try_io(&self, write: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
        ::mio::unix::pipe::Sender::try_io(self, write)
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
