//! A table of what happens to a process that writes to a vanished peer, with and without epipe.
//!
//! ```text
//! cargo run --example fates
//! ```
//!
//! Every cell is a real child process with a broken connection. SIGPIPE has its default action in
//! the child, as in a C, Go or Swift host. (In a Rust `main`, and under `cargo test`, Rust's
//! start-up code ignores the signal and hides all of this.)
//!
//! The exit status is 1 if a cell of epipe dies, or if a control that should die survives.

use std::process::ExitCode;

#[cfg(any(not(unix), target_family = "wasm", target_os = "fuchsia"))]
fn main() -> ExitCode {
    println!("This system has no SIGPIPE: a vanished peer is already an error.");
    ExitCode::SUCCESS
}

#[cfg(not(any(not(unix), target_family = "wasm", target_os = "fuchsia")))]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match &arguments[..] {
        // A child: it ends inside the call.
        [cell, row, column] if cell == "cell" => unix::fate(row, column).map(|_| true),
        [] => unix::show(),
        _ => Err("usage: cargo run --example fates".into()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fates: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(any(not(unix), target_family = "wasm", target_os = "fuchsia")))]
mod unix {
    use std::io::{self, IoSlice, IsTerminal, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::process::{ChildStdin, Command, Stdio};
    use std::time::Duration;

    use epipe::io::PipeWriter;
    use epipe_testing::{Fate, Rerun};
    use socket2::{SockRef, Socket};

    struct Row {
        call: &'static str,
        /// The crate of the first column.
        peer: &'static str,
        /// Whether the first column should die.
        dies: bool,
        theirs: fn() -> io::Result<u64>,
        ours: fn() -> io::Result<u64>,
    }

    /// std sets SO_NOSIGPIPE on the streams that it connects, where the option exists. Elsewhere a
    /// call without a flag dies. Seen on Linux, and read in std's source for the others.
    const WITHOUT_OPTION: bool = !cfg!(any(
        target_vendor = "apple",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "netbsd",
    ));

    const ROWS: [Row; 7] = [
        Row {
            call: "write to a TcpStream",
            peer: "std",
            dies: false,
            theirs: || count(broken_stream()?.write(b"record")),
            ours: || count(epipe::net::TcpStream::from(broken_stream()?).write(b"record")),
        },
        Row {
            call: "write_vectored to a TcpStream",
            peer: "std",
            dies: WITHOUT_OPTION,
            theirs: || count(broken_stream()?.write_vectored(&record())),
            ours: || count(epipe::net::TcpStream::from(broken_stream()?).write_vectored(&record())),
        },
        Row {
            call: "rustls-style write_tls(&mut dyn Write)",
            peer: "std",
            dies: WITHOUT_OPTION,
            theirs: || write_tls(&mut broken_stream()?),
            ours: || write_tls(&mut epipe::net::TcpStream::from(broken_stream()?)),
        },
        Row {
            call: "io::copy from a pipe to a TcpStream",
            peer: "std",
            // std splices where the system can: on Linux.
            dies: cfg!(target_os = "linux"),
            theirs: || io::copy(&mut filled_pipe()?, &mut broken_stream()?),
            ours: || epipe::io::copy(&mut filled_pipe()?, &mut broken_stream()?),
        },
        Row {
            call: "write to a pipe",
            peer: "std",
            dies: true,
            theirs: || count(broken_pipe()?.write(b"record")),
            ours: || count(PipeWriter::from(broken_pipe()?).write(b"record")),
        },
        Row {
            call: "write to a child's stdin",
            peer: "std",
            dies: true,
            theirs: || count(broken_child()?.write(b"record")),
            ours: || count(epipe::NoSigpipe::new(broken_child()?)?.write(b"record")),
        },
        Row {
            call: "write to a Socket",
            peer: "socket2",
            dies: WITHOUT_OPTION,
            theirs: || count(Socket::from(broken_stream()?).write(b"record")),
            ours: || {
                count(epipe::socket2::Socket::from(Socket::from(broken_stream()?)).write(b"record"))
            },
        },
    ];

    fn count(answer: io::Result<usize>) -> io::Result<u64> {
        answer.map(|written| written as u64)
    }

    /// A TLS record as rustls writes it: several slices in one vectored write.
    fn record() -> [IoSlice<'static>; 2] {
        [IoSlice::new(b"\x17\x03\x03\x00\x06"), IoSlice::new(b"record")]
    }

    fn write_tls(stream: &mut dyn Write) -> io::Result<u64> {
        count(stream.write_vectored(&record()))
    }

    /// A stream whose peer has reset the connection. The reset has arrived.
    fn broken_stream() -> io::Result<TcpStream> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut stream = TcpStream::connect(listener.local_addr()?)?;
        let (peer, _) = listener.accept()?;
        // With zero linger, a close is a reset.
        SockRef::from(&peer).set_linger(Some(Duration::ZERO))?;
        drop(peer);
        // Returns when the reset has arrived.
        match stream.read(&mut [0]) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(stream),
            answer => Err(io::Error::other(format!("not reset but {answer:?}"))),
        }
    }

    fn broken_pipe() -> io::Result<io::PipeWriter> {
        let (reader, writer) = io::pipe()?;
        drop(reader);
        Ok(writer)
    }

    fn filled_pipe() -> io::Result<io::PipeReader> {
        let (reader, mut writer) = io::pipe()?;
        writer.write_all(b"record")?;
        Ok(reader)
    }

    /// The stdin of a child that has ended.
    fn broken_child() -> io::Result<ChildStdin> {
        let mut child = Command::new("true").stdin(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take();
        child.wait()?;
        stdin.ok_or_else(|| io::Error::other("no stdin"))
    }

    const EPIPE: &str = "EPIPE";
    const KILLED: &str = "killed by SIGPIPE";

    type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

    /// The fate of one cell. A child makes the call, and prints its result.
    pub fn fate(number: &str, column: &str) -> Result<String> {
        let row = ROWS.get(number.parse::<usize>()?).ok_or("no such row")?;
        let call = match column {
            "theirs" => row.theirs,
            _ => row.ours,
        };
        let fate = Rerun::args(["cell", number, column])?.fate_of(|| match call() {
            Err(error) if error.raw_os_error() == Some(libc::EPIPE) => print!("{EPIPE}"),
            answer => print!("{answer:?}"),
        })?;
        Ok(match fate {
            Fate::Survived(answer) => answer,
            Fate::KilledBySigpipe => KILLED.to_owned(),
            fate => fate.to_string(),
        })
    }

    /// Prints the table, and returns whether it is as it should be.
    pub fn show() -> Result<bool> {
        let out = io::stdout();
        let colour =
            out.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let paint = |fate: &str| {
            let padded = format!("{fate:<19}");
            match fate {
                EPIPE if colour => format!("\x1b[32m{padded}\x1b[0m"),
                _ if colour => format!("\x1b[31m{padded}\x1b[0m"),
                _ => padded,
            }
        };
        let mut lines = vec![
            "The peer is gone, SIGPIPE is at its default. What does the call do?\n".to_owned(),
            format!("{:<40}{:<9}{:<19}{}", "call", "", "without epipe", "with epipe"),
        ];
        let mut wrong = 0;
        for (number, row) in ROWS.iter().enumerate() {
            let theirs = fate(&number.to_string(), "theirs")?;
            let ours = fate(&number.to_string(), "ours")?;
            wrong += usize::from((theirs == KILLED) != row.dies) + usize::from(ours != EPIPE);
            let (theirs, ours) = (paint(&theirs), paint(&ours));
            lines.push(format!("{:<40}{:<9}{theirs}{}", row.call, row.peer, ours.trim_end()));
        }
        lines.push(match wrong {
            0 => "\nAs it should be: with epipe every call is an error that can be handled."
                .to_owned(),
            _ => format!("\nNot as it should be: {wrong} of {} cells.", 2 * ROWS.len()),
        });
        writeln!(out.lock(), "{}", lines.join("\n"))?;
        Ok(wrong == 0)
    }
}
