//! Every known way to write without protection after the migration, one function for each. The line
//! before a function says whether clippy sees it, or only the list of `contrib/migrate.py`. The
//! tests copy this file into a new crate.

use epipe::net::TcpStream;
use epipe::os::unix::net::UnixStream;
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

// clippy: yes
pub fn std_tcp_stream() -> io::Result<()> {
    std::net::TcpStream::connect("localhost:1")?.write_all(b"")
}

// clippy: yes
pub fn std_type_in_a_signature(mut stream: std::os::unix::net::UnixStream) -> io::Result<()> {
    stream.write_all(b"")
}

// clippy: yes
pub fn std_pipe() -> io::Result<()> {
    io::pipe()?.1.write_all(b"")
}

// clippy: yes
pub fn std_stdout() -> io::Result<()> {
    io::stdout().write_all(b"")
}

// clippy: yes
pub fn std_copy(mut from: std::process::ChildStdout) -> io::Result<u64> {
    io::copy(&mut from, &mut io::sink())
}

// clippy: yes
pub fn println() {
    println!("a line");
}

// clippy: yes
pub fn eprintln() {
    eprintln!("a line");
}

// clippy: yes
pub fn child_stdin_by_name(mut stdin: std::process::ChildStdin) -> io::Result<()> {
    stdin.write_all(b"")
}

// clippy: yes
pub fn file_from_raw_fd(fd: i32) -> io::Result<()> {
    unsafe { std::fs::File::from_raw_fd(fd) }.write_all(b"")
}

// clippy: yes
pub fn libc_sendmsg(stream: &UnixStream, message: &libc::msghdr) -> isize {
    unsafe { libc::sendmsg(stream.as_raw_fd(), message, 0) }
}

// clippy: yes
pub fn libc_write(fd: i32) -> isize {
    unsafe { libc::write(fd, c"".as_ptr().cast(), 0) }
}

// clippy: yes
pub fn libc_syscall(fd: i32) -> i64 {
    unsafe { libc::syscall(libc::SYS_write, fd, c"".as_ptr(), 0) }
}

// clippy: yes
pub fn rustix_send(fd: BorrowedFd<'_>) -> bool {
    rustix::net::send(fd, b"", rustix::net::SendFlags::empty()).is_ok()
}

// clippy: yes
pub fn rustix_write(fd: BorrowedFd<'_>) -> bool {
    rustix::io::write(fd, b"").is_ok()
}

// clippy: yes
pub fn nix_write(fd: BorrowedFd<'_>) -> bool {
    nix::unistd::write(fd, b"").is_ok()
}

// clippy: yes
pub fn nix_sendmsg(fd: i32) -> bool {
    use nix::sys::socket::{MsgFlags, sendmsg};
    sendmsg::<()>(fd, &[IoSlice::new(b"")], &[], MsgFlags::empty(), None).is_ok()
}

// clippy: yes
pub fn a_bare_descriptor(stream: TcpStream) -> i32 {
    stream.into_raw_fd()
}

// clippy: yes
pub fn unprotected_by_name(stream: TcpStream) -> io::Result<()> {
    stream.into_unprotected().write_all(b"")
}

// clippy: yes
pub fn tokio_pipe_as_a_descriptor(
    sender: epipe::tokio::net::unix::pipe::Sender,
) -> io::Result<OwnedFd> {
    sender.into_blocking_fd()
}

// clippy: yes
pub fn tokio_command_of_std(command: epipe::tokio::process::Command) -> std::process::Command {
    command.into_std()
}

// clippy: yes
pub fn tokio_child_stdin_as_a_descriptor(
    stdin: epipe::tokio::process::ChildStdin,
) -> io::Result<OwnedFd> {
    stdin.into_owned_fd()
}

// clippy: yes
pub fn inside_the_adapter(file: epipe::NoSigpipe<std::fs::File>) -> io::Result<()> {
    file.get_ref().write_all(b"")
}

// clippy: yes
pub fn socket2_socket(socket: &socket2::Socket) -> io::Result<usize> {
    socket.send(b"")
}

// clippy: yes
pub fn tokio_stream(stream: &tokio::net::TcpStream) -> io::Result<usize> {
    stream.try_write_vectored(&[])
}

// clippy: yes
pub fn tokio_stdout() -> impl Sized {
    tokio::io::stdout()
}

// clippy: yes
pub fn tokio_command() -> io::Result<tokio::process::Child> {
    tokio::process::Command::new("true").spawn()
}

// clippy: yes
pub fn mio_stream(stream: &mut mio::net::TcpStream) -> io::Result<usize> {
    stream.write_vectored(&[])
}

// clippy: yes
pub fn mio_from_std(stream: TcpStream) -> io::Result<usize> {
    mio::net::TcpStream::from_std(stream.into()).write_vectored(&[])
}

// clippy: no
pub fn an_owned_descriptor(stream: TcpStream) -> OwnedFd {
    stream.into()
}

// clippy: no
pub fn a_file_from_a_descriptor(fd: OwnedFd) -> io::Result<()> {
    std::fs::File::from(fd).write_all(b"")
}

// clippy: no
pub fn a_descriptor_by_from(stream: UnixStream) -> io::Result<()> {
    std::fs::File::write_all(&mut OwnedFd::from(stream).into(), b"")
}

// clippy: no
pub fn a_fifo() -> io::Result<()> {
    std::fs::OpenOptions::new().write(true).open("/a/fifo")?.write_all(b"")
}

// clippy: yes
pub fn a_child(mut child: std::process::Child) -> io::Result<()> {
    child.stdin.take().unwrap().write_all(b"")
}

// clippy: no
pub fn a_stream_of_another_api(server: &hidden::Server) -> io::Result<()> {
    server.0.get_ref().write_all(b"")
}

// clippy: no
pub fn any_writer<W: Write>(mut writer: W) -> io::Result<()> {
    writer.write_all(b"")
}

// clippy: no
pub fn a_boxed_writer(writer: &mut Box<dyn Write>) -> io::Result<()> {
    writer.write_all(b"")
}

// clippy: no
pub fn a_lent_descriptor(stream: &TcpStream) -> io::Result<()> {
    let fd = stream.as_fd().try_clone_to_owned()?;
    hidden::send(fd)
}

// clippy: no
mod own {
    unsafe extern "C" {
        pub fn write(fd: i32, bytes: *const u8, count: usize) -> isize;
    }
}

pub fn own_extern(fd: i32) -> isize {
    unsafe { own::write(fd, b"".as_ptr(), 0) }
}

// clippy: yes
macro_rules! connect {
    () => {
        std::net::TcpStream::connect("localhost:1")
    };
}

pub fn by_a_macro() -> io::Result<()> {
    connect!()?.write_all(b"")
}
