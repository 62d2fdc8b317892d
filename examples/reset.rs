//! Does a server survive a client that vanishes? Connects, sends, resets at a byte, and looks whether the
//! server still accepts.
//!
//! ```text
//! cargo run --features testing --example reset -- HOST:PORT [--send FILE] [--after N | --sweep A..B] [--repeat K]
//! ```
//!
//! `--help` tells the rest. Each byte is tried in two ways. After a mere reset a server's first write is told
//! `ECONNRESET`, and only the one after it raises SIGPIPE; with a FIN before the reset the first one does. So a
//! server dies that thinks before it answers:
//!
//! ```text
//! cc -o /tmp/naive_echo examples/naive_echo.c && /tmp/naive_echo 7007 100 &
//! cargo run --features testing --example reset -- localhost:7007
//! ```
//!
//! A quick one has answered before its client can vanish. It is hit for sure in the middle of an answer that is
//! larger than all buffers between the two (some MiB), for it then stands in a write:
//!
//! ```text
//! /tmp/naive_echo 7008 &
//! head -c 8M /dev/zero > /tmp/zeros
//! cargo run --features testing --example reset -- localhost:7008 --send /tmp/zeros --after 1
//! ```

use std::process::ExitCode;

#[cfg(any(not(unix), target_family = "wasm", target_os = "fuchsia"))]
fn main() -> ExitCode {
    println!("The testing kit is for systems that have SIGPIPE.");
    ExitCode::from(2)
}

#[cfg(not(any(not(unix), target_family = "wasm", target_os = "fuchsia")))]
fn main() -> ExitCode {
    unix::main()
}

#[cfg(not(any(not(unix), target_family = "wasm", target_os = "fuchsia")))]
mod unix {
    use std::fmt::{self, Write as _};
    use std::io::{self, ErrorKind, Read, Write as _};
    use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
    use std::ops::Range;
    use std::process::ExitCode;
    use std::thread;
    use std::time::{Duration, Instant};

    use epipe::net::TcpStream;
    use epipe::testing::{Break, Peer, WaitError};
    use indicatif::{ProgressBar, ProgressStyle};
    use lexopt::ValueExt;

    const USAGE: &str = "usage: reset HOST:PORT [--send FILE] [--after N | --sweep A..B] [--repeat K] \
                         [--allow-remote]";

    const HELP: &str = "
Connects to a server, sends, vanishes after a byte of the answer, and looks whether the server still
accepts. Each byte is tried in two ways: by a reset, and by a FIN with a reset behind it.

    --send FILE     what to send (default: a request, GET / HTTP/1.0)
    --after N       vanish when exactly N bytes of the answer have come (default: 0)
    --sweep A..B    once for each N from A up to, not including, B; ends where the answer does
    --repeat K      each of them K times (default: 1)
    --allow-remote  also a server that is not on this machine: yours, that is
    -h, --help      this text

A quick server has answered before its client can vanish, and lives. It is hit for sure if its answer is
larger than all buffers (some MiB): choose FILE so, and N > 0. A server that is started again at once, or whose
dying part is a process of its own, seems to live: look at its log as well.

Exit status: 0 it lives, 1 it died, 2 nothing could be tried.";

    /// How long a connection may take.
    const PATIENCE: Duration = Duration::from_secs(5);
    /// How long a server may be silent.
    const SOON: Duration = Duration::from_secs(2);
    /// When the server is looked at for the last time: some die slowly.
    const LATER: Duration = Duration::from_secs(1);

    type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

    pub fn main() -> ExitCode {
        let answer = Plan::from_args().and_then(|plan| match plan {
            Some(plan) => run(&plan),
            None => Ok((format!("{USAGE}\n{HELP}"), ExitCode::SUCCESS)),
        });
        // Who reads may be gone: the status tells as well.
        match answer {
            Ok((text, status)) => {
                let _ = writeln!(io::stdout(), "{text}");
                status
            }
            Err(error) => {
                let _ = writeln!(io::stderr(), "reset: {error}");
                ExitCode::from(2)
            }
        }
    }

    struct Plan {
        server: SocketAddr,
        send: Vec<u8>,
        bytes: Range<u64>,
        repeat: u64,
    }

    impl Plan {
        /// `None`: help is wanted.
        fn from_args() -> Result<Option<Plan>> {
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
                        send = std::fs::read(&file)
                            .map_err(|e| format!("--send {}: {e}", file.display()))?;
                    }
                    lexopt::Arg::Long("after") if bytes.is_none() => {
                        let byte = args.value()?.parse_with(number).map_err(of("--after"))?;
                        bytes = Some(byte..byte + 1);
                    }
                    lexopt::Arg::Long("sweep") if bytes.is_none() => {
                        bytes = Some(args.value()?.parse_with(range).map_err(of("--sweep"))?);
                    }
                    lexopt::Arg::Long("after" | "sweep") => {
                        return Err(format!("--after or --sweep, and once\n{USAGE}").into());
                    }
                    lexopt::Arg::Long("repeat") => {
                        repeat = args.value()?.parse_with(number).map_err(of("--repeat"))?;
                    }
                    lexopt::Arg::Long("allow-remote") => allow_remote = true,
                    lexopt::Arg::Long("help") | lexopt::Arg::Short('h') => return Ok(None),
                    lexopt::Arg::Value(address) if server.is_none() => {
                        server = Some(address.string()?);
                    }
                    other => return Err(format!("{}\n{USAGE}", other.unexpected()).into()),
                }
            }
            if repeat == 0 {
                return Err(format!("--repeat 0 tries nothing\n{USAGE}").into());
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

    /// An error with the option whose value it is about.
    fn of(option: &str) -> impl Fn(lexopt::Error) -> String {
        move |error| format!("{option}: {error}\n{USAGE}")
    }

    fn number(text: &str) -> std::result::Result<u64, &'static str> {
        match text.trim().parse() {
            Ok(u64::MAX) => Err("too large"),
            Ok(number) => Ok(number),
            Err(_) => Err("it should be a number of 0 or more"),
        }
    }

    fn range(text: &str) -> std::result::Result<Range<u64>, &'static str> {
        let numbers = text.split_once("..");
        match numbers.map(|(from, to)| (number(from), number(to))) {
            Some((Ok(from), Ok(to))) if from < to => Ok(from..to),
            Some((Ok(_), Ok(_))) => Err("there is nothing from A up to B"),
            _ => Err("it should be A..B, as in 0..100"),
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

    /// How the client vanishes.
    #[derive(Clone, Copy, PartialEq)]
    enum Way {
        Reset,
        FinThenReset,
    }

    impl Way {
        const ALL: [Way; 2] = [Way::Reset, Way::FinThenReset];

        fn after(self, byte: u64) -> Break {
            match self {
                Way::Reset => Break::ResetAfter(byte),
                Way::FinThenReset => Break::FinThenReset(byte),
            }
        }
    }

    impl fmt::Display for Way {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.pad(match self {
                Way::Reset => "reset",
                Way::FinThenReset => "FIN, then reset",
            })
        }
    }

    /// What became of a connection.
    #[derive(PartialEq)]
    enum Tried {
        Broken,
        /// The answer was shorter, and the server ended it.
        Ended,
        /// The answer was shorter, and the server is silent: so it will be of more bytes.
        Waits,
        Failed(String),
    }

    impl fmt::Display for Tried {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self {
                Tried::Broken => f.pad("broken"),
                Tried::Ended => f.pad("ended by the server"),
                Tried::Waits => f.pad("less came in 2 s"),
                Tried::Failed(error) => f.pad(error),
            }
        }
    }

    /// What the server says to the next client.
    #[derive(Clone, PartialEq)]
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

    /// A server that answered a while ago. What is wrong with this machine is an error.
    fn connect(server: &SocketAddr) -> io::Result<std::result::Result<TcpStream, Health>> {
        match TcpStream::connect_timeout(server, PATIENCE) {
            Ok(stream) => Ok(Ok(stream)),
            Err(error) => match error.kind() {
                ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::TimedOut => {
                    Ok(Err(Health::Died(error.to_string())))
                }
                _ => Err(error),
            },
        }
    }

    /// Vanishes once.
    fn vanish(plan: &Plan, stream: TcpStream, way: Way, byte: u64) -> Tried {
        let script = way.after(byte).greeting(&*plan.send);
        let peer = match Peer::holding(stream, script) {
            Ok(peer) => peer,
            Err(error) => return Tried::Failed(error.to_string()),
        };
        let mut had = 0;
        loop {
            return match peer.wait_done(SOON) {
                Ok(_) => Tried::Broken,
                Err(WaitError::Ended { .. }) => Tried::Ended,
                Err(WaitError::TimedOut { received }) if received > had => {
                    had = received;
                    continue;
                }
                Err(WaitError::TimedOut { .. }) => Tried::Waits,
                Err(error) => Tried::Failed(error.to_string()),
            };
        }
    }

    /// Asks as a client does that does not vanish: it reads the answer to its end. A server that is dying may
    /// still have accepted: who gets no answer asks again.
    fn health(plan: &Plan) -> io::Result<Health> {
        for _ in 0..5 {
            let mut stream = match connect(&plan.server)? {
                Ok(stream) => stream,
                Err(died) => return Ok(died),
            };
            stream.set_read_timeout(Some(SOON))?;
            stream.set_write_timeout(Some(SOON))?;
            let _ = stream.write_all(&plan.send[..plan.send.len().min(4096)]);
            match stream.read(&mut [0]) {
                Ok(1..) => {
                    let _ = stream.shutdown(Shutdown::Write);
                    let begun = Instant::now();
                    let mut buf = vec![0; 1 << 16];
                    while begun.elapsed() < PATIENCE && matches!(stream.read(&mut buf), Ok(1..)) {}
                    return Ok(Health::Answers);
                }
                Err(e) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&e.kind()) => break,
                _ => {}
            }
        }
        Ok(match connect(&plan.server)? {
            Ok(_) => Health::Accepts,
            Err(died) => died,
        })
    }

    /// A row of the table: bytes next to each other that fared alike.
    struct Row {
        way: Way,
        bytes: Range<u64>,
        tries: u64,
        tried: Tried,
        health: Health,
    }

    /// All tries, until the server dies.
    fn sweep(plan: &Plan, rows: &mut Vec<Row>, bar: &ProgressBar) -> io::Result<()> {
        for way in Way::ALL {
            'way: for byte in plan.bytes.clone() {
                for _ in 0..plan.repeat {
                    let (tried, health) = match connect(&plan.server)? {
                        Ok(stream) => (vanish(plan, stream, way, byte), health(plan)?),
                        Err(died) => (Tried::Failed("not accepted".into()), died),
                    };
                    bar.inc(1);
                    let is_dead = matches!(health, Health::Died(_));
                    let is_over = tried == Tried::Waits;
                    match rows.last_mut() {
                        Some(row)
                            if (row.way, &row.tried, &row.health) == (way, &tried, &health) =>
                        {
                            row.bytes.end = byte + 1;
                            row.tries += 1;
                        }
                        _ => rows.push(Row {
                            way,
                            bytes: byte..byte + 1,
                            tries: 1,
                            tried,
                            health,
                        }),
                    }
                    if is_dead {
                        return Ok(());
                    }
                    if is_over {
                        break 'way;
                    }
                }
            }
        }
        Ok(())
    }

    /// The table and the verdict.
    fn run(plan: &Plan) -> Result<(String, ExitCode)> {
        let bytes = plan.bytes.end - plan.bytes.start;
        let tries = bytes.saturating_mul(plan.repeat).saturating_mul(2);
        let bar = if tries >= 20 {
            ProgressBar::new(tries)
        } else {
            ProgressBar::hidden()
        };
        bar.set_style(ProgressStyle::with_template(
            "{bar:40} {pos} of {len} tries, {eta} left",
        )?);
        let mut rows = Vec::new();
        let swept = sweep(plan, &mut rows, &bar);
        bar.finish_and_clear();

        let mut text = format!(
            "{:<16} {:>16} {:>8}  {:<20} the server\n",
            "break", "after bytes", "tries", "connection"
        );
        for row in &rows {
            let last = row.bytes.end - 1;
            let bytes = if row.bytes.start == last {
                last.to_string()
            } else {
                format!("{}..={last}", row.bytes.start)
            };
            writeln!(
                text,
                "{:<16} {bytes:>16} {:>8}  {:<20} {}",
                row.way, row.tries, row.tried, row.health
            )?;
        }
        if let Err(error) = swept {
            return Err(format!("{error}, after\n{text}").into());
        }

        let server = plan.server;
        let mut last = rows.last().map(|row| row.health.clone());
        if !matches!(last, Some(Health::Died(_))) {
            thread::sleep(LATER);
            last = Some(health(plan)?);
        }
        let broken = rows.iter().filter(|row| row.tried == Tried::Broken);
        let broken: u64 = broken.map(|row| row.tries).sum();
        Ok(match last {
            Some(Health::Died(error)) => {
                write!(
                    text,
                    "\n{server} did not survive a client that vanished: {error}."
                )?;
                (text, ExitCode::FAILURE)
            }
            _ if broken == 0 => {
                write!(
                    text,
                    "\nNothing was tried: no answer of {server} has as many bytes."
                )?;
                (text, ExitCode::from(2))
            }
            _ => {
                write!(text, "\n{server} lives. Clients that vanished: {broken}.")?;
                (text, ExitCode::SUCCESS)
            }
        })
    }
}
