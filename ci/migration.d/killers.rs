//! One call of each crate to a peer that is gone, with SIGPIPE at its default. `ci/migration`
//! builds it with the crates as they are published, and with the migrated ones.

use std::fs::File;
use std::io::{Result, Write};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

fn x11rb() -> Result<()> {
    use x11rb::reexports::x11rb_protocol::parse_display::ConnectAddress;
    use x11rb::rust_connection::{DefaultStream, Stream};
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let (stream, _) = DefaultStream::connect(&ConnectAddress::Hostname("127.0.0.1", port))?;
    drop(listener.accept()?);
    loop {
        stream.write(b"request", &mut Vec::new())?;
    }
}

fn sendfd() -> Result<()> {
    use sendfd::SendWithFd;
    let (stream, _) = UnixStream::pair()?;
    let null = File::open("/dev/null")?;
    stream.send_with_fd(b"a descriptor", &[null.as_raw_fd()]).map(drop)
}

fn os_pipe() -> Result<()> {
    let (_, mut writer) = os_pipe::pipe()?;
    writer.write_all(b"bytes")
}

/// duct takes the broken pipe for the end, and reports no error.
fn duct() -> Result<()> {
    duct::cmd!("true").stdin_bytes(vec![0; 1 << 20]).run()?;
    Err(std::io::ErrorKind::BrokenPipe.into())
}

/// subprocess does the same. The child has ended before the first write.
fn subprocess() -> Result<()> {
    let job = subprocess::Exec::cmd("true").stdin(vec![0; 1 << 20]).start()?;
    job.wait()?;
    job.capture()?;
    Err(std::io::ErrorKind::BrokenPipe.into())
}

/// The editor has closed the pipe that is the server's standard output.
fn lsp_server() -> Result<()> {
    use lsp_server::{Connection, Message, Notification};
    let (_, output) = std::io::pipe()?;
    // SAFETY: nothing else uses the descriptors yet.
    assert_eq!(unsafe { libc::dup2(output.as_raw_fd(), 1) }, 1);
    let (connection, threads) = Connection::stdio();
    let message = Notification::new("a message".to_string(), ());
    let _ = connection.sender.send(Message::Notification(message));
    drop(connection);
    threads.join()
}

fn main() {
    // SAFETY: the default action runs no code of this process.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let ended = match std::env::args().nth(1).as_deref() {
        Some("x11rb") => x11rb(),
        Some("sendfd") => sendfd(),
        Some("os_pipe") => os_pipe(),
        Some("duct") => duct(),
        Some("subprocess") => subprocess(),
        Some("lsp-server") => lsp_server(),
        crate_name => panic!("no killer for {crate_name:?}"),
    };
    let error = ended.expect_err("the peer is gone");
    let gone = [std::io::ErrorKind::BrokenPipe, std::io::ErrorKind::ConnectionReset];
    assert!(gone.contains(&error.kind()), "{error}");
    // At the end of a Rust `main` std writes the rest of its standard output. No library can
    // protect that write, and a host that is not Rust does not make it.
    // SAFETY: it does not return, and runs no code of this process.
    unsafe { libc::_exit(0) }
}
