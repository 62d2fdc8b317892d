//! mio's sockets and pipes in `NoSigpipe`, and the adapter in a mio `Registry`.

use std::io;

use ::mio::event::Source;
use ::mio::net::TcpStream;
use ::mio::{Interest, Registry, Token};

use crate::NoSigpipe;
use crate::adopt::{Adopt, Direct, adopt};
use crate::sys;

adopt! { Direct: TcpStream; }

sys::only_unix! {
    adopt! { Direct: ::mio::net::UnixStream, ::mio::unix::pipe::Sender; }
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
