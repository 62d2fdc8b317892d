//! A migrated crate in which nothing is left to look at. The tests copy it into a new crate.

use epipe::io::{self, Read, Write};
use epipe::net::{SocketAddr, TcpListener, TcpStream};
use epipe::os::unix::net::UnixStream;
use epipe::socket2::{Domain, Socket, Type};
use epipe::{Guarded, NoSigpipe};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, ChildStdout};

pub fn serve(address: SocketAddr) -> io::Result<u64> {
    let (mut stream, _) = TcpListener::bind(address)?.accept()?;
    stream.write_all(b"hello")?;
    io::copy(&mut TcpStream::connect(address)?, &mut stream)
}

pub fn options() -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.send(b"hello").map(drop)
}

pub fn edge(stream: impl Into<UnixStream>) -> io::Result<usize> {
    stream.into().read(&mut [0])
}

pub fn child(child: &mut Child, mut output: ChildStdout) -> io::Result<u64> {
    #[expect(clippy::disallowed_fields, reason = "it goes into `NoSigpipe`")]
    let Some(stdin) = child.stdin.take() else { return Ok(0) };
    io::copy(&mut output, &mut NoSigpipe::new(stdin)?)
}

pub fn report(writer: Box<dyn Write>) -> io::Result<()> {
    let (_, mut pipe) = io::pipe()?;
    pipe.write_all(b"a byte")?;
    writeln!(Guarded::new(writer), "a line")?;
    writeln!(io::stdout().lock(), "a line")?;
    writeln!(io::stderr(), "a line")
}

pub fn lent(fd: BorrowedFd<'_>) -> io::Result<usize> {
    epipe::raw::send(fd.as_fd(), b"a record")
}
