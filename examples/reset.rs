//! Does a server survive a client that vanishes? Connects, sends, resets at a byte, and looks whether the
//! server still accepts.
//!
//! ```text
//! cargo run --features testing --example reset -- HOST:PORT [OPTIONS]
//!
//!     --send FILE     what to send; without it "GET / HTTP/1.0"
//!     --after N       reset when exactly N bytes of the answer have come (default: 0)
//!     --sweep A..B    once for each N from A up to, not including, B
//!     --repeat K      each of them K times
//!     --allow-remote  also a server that is not on this machine: yours, that is
//! ```
//!
//! A sweep ends where the answer ends, if the server then waits. The exit status is 0 if the server has lived through it, 1 if it died, 2 if nothing could be tried.
//!
//! A server that reads and writes in turns is hit for sure if FILE is larger than all buffers between
//! the two (some MiB): it then stands in a write when the reset comes, and the next one is its last.
//! `examples/naive_echo.c` is such a one:
//!
//! ```text
//! cc -o /tmp/naive_echo examples/naive_echo.c && /tmp/naive_echo 7007 &
//! head -c 8M /dev/zero > /tmp/zeros
//! cargo run --features testing --example reset -- localhost:7007 --send /tmp/zeros
//! ```

use std::process::ExitCode;

#[cfg(any(not(unix), target_family = "wasm", target_os = "fuchsia"))]
fn main() -> ExitCode {
    println!("The testing kit is for systems that have SIGPIPE.");
    ExitCode::from(2)
}

#[cfg(not(any(not(unix), target_family = "wasm", target_os = "fuchsia")))]
fn main() -> ExitCode {
    let tried = unix::Plan::from_args().and_then(|plan| match plan {
        Some(plan) => unix::run(&plan),
        None => {
            println!("{}", unix::USAGE);
            Ok(ExitCode::SUCCESS)
        }
    });
    tried.unwrap_or_else(|error| {
        eprintln!("reset: {error}");
        ExitCode::from(2)
    })
}

#[cfg(not(any(not(unix), target_family = "wasm", target_os = "fuchsia")))]
mod unix {
    use std::fmt;
    use std::io::{ErrorKind, Read, Write};
    use std::net::{SocketAddr, ToSocketAddrs};
    use std::ops::Range;
    use std::process::ExitCode;
    use std::time::Duration;

    use epipe::net::TcpStream;
    use epipe::testing::{Break, Peer, WaitError};
    use indicatif::{ProgressBar, ProgressStyle};
    use lexopt::ValueExt;

    pub const USAGE: &str = "usage: reset HOST:PORT [--send FILE] [--after N | --sweep A..B] \
                             [--repeat K] [--allow-remote]";

    /// How long a connection may take.
    const PATIENCE: Duration = Duration::from_secs(5);
    /// How long a server may think about what it was sent.
    const SOON: Duration = Duration::from_secs(2);

    type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

    pub struct Plan {
        server: SocketAddr,
        send: Vec<u8>,
        bytes: Range<u64>,
        repeat: u64,
    }

    impl Plan {
        /// `None`: help is wanted.
        pub fn from_args() -> Result<Option<Plan>> {
            let mut server = None;
            let mut send = b"GET / HTTP/1.0\r\n\r\n".to_vec();
            let mut bytes = None;
            let mut repeat = 1;
            let mut allow_remote = false;
            let mut args = lexopt::Parser::from_env();
            while let Some(arg) = args.next()? {
                match arg {
                    lexopt::Arg::Long("send") => {
                        let file = args.value()?;
                        send =
                            std::fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))?;
                    }
                    lexopt::Arg::Long("after") if bytes.is_none() => {
                        let byte: u64 = args.value()?.parse()?;
                        bytes = Some(byte..byte.checked_add(1).ok_or("--after: too large")?);
                    }
                    lexopt::Arg::Long("sweep") if bytes.is_none() => {
                        bytes = Some(args.value()?.parse_with(range)?);
                    }
                    lexopt::Arg::Long("after" | "sweep") => {
                        return Err(format!("--after or --sweep, and once\n{USAGE}").into());
                    }
                    lexopt::Arg::Long("repeat") => repeat = args.value()?.parse()?,
                    lexopt::Arg::Long("allow-remote") => allow_remote = true,
                    lexopt::Arg::Long("help") | lexopt::Arg::Short('h') => return Ok(None),
                    lexopt::Arg::Value(address) if server.is_none() => {
                        server = Some(address.string()?);
                    }
                    other => return Err(format!("{}\n{USAGE}", other.unexpected()).into()),
                }
            }
            if repeat == 0 {
                return Err("--repeat 0 tries nothing".into());
            }
            let server = server.ok_or(USAGE)?;
            Ok(Some(Plan {
                server: find(&server, allow_remote)?,
                send,
                bytes: bytes.unwrap_or(0..1),
                repeat,
            }))
        }
    }

    fn range(text: &str) -> std::result::Result<Range<u64>, String> {
        let numbers = text.split_once("..").and_then(|(from, to)| {
            let range: Range<u64> = from.trim().parse().ok()?..to.trim().parse().ok()?;
            Some(range)
        });
        match numbers {
            Some(range) if !range.is_empty() => Ok(range),
            Some(_) => Err("there is nothing from A up to B".into()),
            None => Err("it should be A..B, as in 0..100".into()),
        }
    }

    /// The first address at which somebody listens.
    fn find(server: &str, allow_remote: bool) -> Result<SocketAddr> {
        let addresses = server
            .to_socket_addrs()
            .map_err(|error| format!("{server}: {error}\n{USAGE}"))?;
        let mut last = format!("{server}: no address");
        for address in addresses {
            if !allow_remote && !address.ip().to_canonical().is_loopback() {
                return Err(format!(
                    "{address} is not on this machine. This may kill the server: if it is yours to kill, \
                     say --allow-remote"
                )
                .into());
            }
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(_) => return Ok(address),
                Err(error) => last = format!("{address}: {error}"),
            }
        }
        Err(last.into())
    }

    /// What became of a connection.
    #[derive(Clone, Debug, PartialEq)]
    enum Tried {
        Reset,
        /// The answer was shorter, and the server ended it.
        Ended,
        /// The answer was shorter, and the server is silent: so it will be of more bytes.
        Waits,
        Failed(String),
    }

    impl fmt::Display for Tried {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self {
                Tried::Reset => f.pad("reset"),
                Tried::Ended => f.pad("ended by the server"),
                Tried::Waits => f.pad("less came in 2 s"),
                Tried::Failed(error) => f.pad(error),
            }
        }
    }

    /// What the server says to the next client.
    #[derive(Clone, Debug, PartialEq)]
    enum Health {
        Answers,
        Accepts,
        Died(String),
    }

    impl fmt::Display for Health {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self {
                Health::Answers => f.write_str("answers"),
                Health::Accepts => f.write_str("accepts, and says nothing"),
                Health::Died(error) => write!(f, "DIED: {error}"),
            }
        }
    }

    fn cut(plan: &Plan, byte: u64) -> Result<Tried> {
        let stream = TcpStream::connect_timeout(&plan.server, PATIENCE)?;
        let script = Break::ResetAfter(byte).greeting(&*plan.send);
        let peer = Peer::holding(stream, script)?;
        Ok(match peer.wait_done(SOON) {
            Ok(_) => Tried::Reset,
            Err(WaitError::Ended { .. }) => Tried::Ended,
            Err(WaitError::TimedOut { .. }) => Tried::Waits,
            Err(error) => Tried::Failed(error.to_string()),
        })
    }

    /// Asks as a client does. One that is dying may still have accepted: who gets no answer asks again.
    fn health(plan: &Plan) -> Result<Health> {
        for _ in 0..5 {
            let mut stream = match TcpStream::connect_timeout(&plan.server, PATIENCE) {
                Ok(stream) => stream,
                Err(error) => return Ok(Health::Died(error.to_string())),
            };
            stream.set_read_timeout(Some(SOON))?;
            stream.set_write_timeout(Some(SOON))?;
            let _ = stream.write(&plan.send[..plan.send.len().min(4096)]);
            match stream.read(&mut [0]) {
                Ok(1..) => return Ok(Health::Answers),
                Err(e) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&e.kind()) => break,
                _ => {}
            }
        }
        match TcpStream::connect_timeout(&plan.server, PATIENCE) {
            Ok(_) => Ok(Health::Accepts),
            Err(error) => Ok(Health::Died(error.to_string())),
        }
    }

    /// A row of the table: bytes next to each other that fared alike.
    struct Row {
        bytes: Range<u64>,
        tries: u64,
        tried: Tried,
        health: Health,
    }

    pub fn run(plan: &Plan) -> Result<ExitCode> {
        let tries = (plan.bytes.end - plan.bytes.start).saturating_mul(plan.repeat);
        let bar = if tries >= 20 {
            ProgressBar::new(tries)
        } else {
            ProgressBar::hidden()
        };
        bar.set_style(ProgressStyle::with_template(
            "{bar:40} {pos} of {len} resets, {eta} left",
        )?);

        let mut rows: Vec<Row> = Vec::new();
        'sweep: for byte in plan.bytes.clone() {
            for _ in 0..plan.repeat {
                let tried = cut(plan, byte)?;
                let health = health(plan)?;
                let is_over = matches!(health, Health::Died(_)) || tried == Tried::Waits;
                match rows.last_mut() {
                    Some(row) if (&row.tried, &row.health) == (&tried, &health) => {
                        row.bytes.end = byte + 1;
                        row.tries += 1;
                    }
                    _ => rows.push(Row {
                        bytes: byte..byte + 1,
                        tries: 1,
                        tried,
                        health,
                    }),
                }
                bar.inc(1);
                if is_over {
                    break 'sweep;
                }
            }
        }
        bar.finish_and_clear();

        println!(
            "{:>16} {:>8}  {:<20} the server",
            "after bytes", "tries", "connection"
        );
        for row in &rows {
            let last = row.bytes.end - 1;
            let bytes = if row.bytes.start == last {
                last.to_string()
            } else {
                format!("{}..={last}", row.bytes.start)
            };
            println!(
                "{bytes:>16} {:>8}  {:<20} {}",
                row.tries, row.tried, row.health
            );
        }
        let died = rows.iter().any(|row| matches!(row.health, Health::Died(_)));
        Ok(if died {
            println!("\n{} did not survive a client that vanished.", plan.server);
            ExitCode::FAILURE
        } else {
            println!("\n{} still accepts.", plan.server);
            ExitCode::SUCCESS
        })
    }
}
