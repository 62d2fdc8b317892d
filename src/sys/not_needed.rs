//! `not_needed`: the system has no SIGPIPE. Every call is std's own.
//!
//! A vanished peer is already an error here: EPIPE, or Windows' 10053 and 10054.

use std::io::{self, IoSlice};

use super::handle::StdWrite as _;
use super::technique::Technique;
use super::{Guard, ShieldHandle, ShieldPipe, ShieldSocket, handle};
use crate::sigpipe::Disposition;
use crate::verify::{self, Protection};

/// No handle is asked for: none has to be known.
pub trait Anything {}
impl<T> Anything for T {}

/// Does nothing, and is nothing: zero bytes.
#[derive(Debug, Default)]
pub(crate) struct NotNeeded;

impl ShieldSocket for NotNeeded {
    fn arm<S: handle::Socket>(&self, _: &S) {}

    fn write<S: handle::Stream>(&self, stream: &S, buf: &[u8]) -> io::Result<usize> {
        stream.plain_write(buf)
    }

    fn write_vectored<S: handle::Stream>(
        &self,
        stream: &S,
        bufs: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        stream.plain_write_vectored(bufs)
    }

    fn send<S: handle::Socket>(
        &self,
        _: &S,
        _: &[u8],
        plain: impl Fn() -> io::Result<usize> + Copy,
    ) -> io::Result<usize> {
        plain()
    }

    fn send_to<S: handle::Socket, A: handle::Address>(
        &self,
        _: &S,
        _: &[u8],
        _: &A,
        plain: impl Fn() -> io::Result<usize> + Copy,
    ) -> io::Result<usize> {
        plain()
    }
}

super::only_socket2! {
    impl super::ShieldCall for NotNeeded {
        fn call<S: handle::Socket>(
            &self,
            _: &S,
            _: usize,
            call: impl Fn(std::ffi::c_int) -> io::Result<usize> + Copy,
        ) -> io::Result<usize> {
            call(0)
        }

        fn run<S: handle::Socket>(
            &self,
            _: &S,
            call: impl Fn() -> io::Result<usize> + Copy,
        ) -> io::Result<usize> {
            call()
        }
    }
}

impl ShieldPipe for NotNeeded {
    fn write<P: handle::Pipe>(&self, pipe: &P, buf: &[u8]) -> io::Result<usize> {
        pipe.plain_write(buf)
    }

    fn write_vectored<P: handle::Pipe>(&self, pipe: &P, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        pipe.plain_write_vectored(bufs)
    }
}

impl ShieldHandle for NotNeeded {
    fn adopt<H: Anything>(&self, _: &H) -> io::Result<()> {
        Ok(())
    }

    fn shared(&self) -> NotNeeded {
        NotNeeded
    }

    fn write<H: Anything>(
        &self,
        handle: &mut H,
        _: &[u8],
        plain: impl FnOnce(&mut H) -> io::Result<usize>,
    ) -> io::Result<usize> {
        plain(handle)
    }

    fn write_vectored<H: Anything>(
        &self,
        handle: &mut H,
        _: &[IoSlice<'_>],
        plain: impl FnOnce(&mut H) -> io::Result<usize>,
    ) -> io::Result<usize> {
        plain(handle)
    }
}

impl Guard for NotNeeded {
    fn enter() -> io::Result<()> {
        Ok(())
    }

    fn leave() {}
}

pub(crate) fn disposition() -> io::Result<Disposition> {
    Ok(Disposition::Ignored)
}

pub(crate) fn ignore() -> io::Result<Disposition> {
    Ok(Disposition::Ignored)
}

pub(crate) fn protection() -> Protection {
    Protection {
        socket_send: vec![Technique::NotNeeded],
        foreign_write: vec![Technique::NotNeeded],
        pipe_write: vec![Technique::NotNeeded],
        sendfile: vec![Technique::NotNeeded],
    }
}

pub(crate) fn verify() -> Result<Protection, verify::Error> {
    Ok(protection())
}
