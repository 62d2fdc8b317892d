//! Does a server survive a client that vanishes? Connects, sends, resets at a byte, and looks
//! whether the server still accepts.
//!
//! ```text
//! epipe-reset HOST:PORT [--send FILE] [--after N | --sweep A..B] [--repeat K]
//! ```
//!
//! `--help` tells the rest. Each byte is tried in two ways. After a mere reset a server's first
//! write is told `ECONNRESET`, and only the one after it raises SIGPIPE; with a FIN before the
//! reset the first one does. So a server dies that thinks before it answers:
//!
//! ```text
//! cc -o /tmp/naive_echo crates/epipe-reset/tests/naive_echo.c && /tmp/naive_echo 7007 100 &
//! epipe-reset localhost:7007
//! ```
//!
//! A quick one has answered before its client can vanish. It is hit for sure in the middle of an
//! answer that is larger than all buffers between the two (some MiB), for it then stands in a
//! write:
//!
//! ```text
//! /tmp/naive_echo 7008 &
//! head -c 8M /dev/zero > /tmp/zeros
//! epipe-reset localhost:7008 --send /tmp/zeros --after 1
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
    use std::io::{self, ErrorKind, IsTerminal, Read, Write as _};
    use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
    use std::ops::Range;
    use std::process::ExitCode;
    use std::thread;
    use std::time::{Duration, Instant};

    use epipe_testing::{Break, Peer, WaitError};
    use lexopt::ValueExt;

    const USAGE: &str = "usage: epipe-reset HOST:PORT [--send FILE] [--after N | --sweep A..B] [--repeat K] \
                         [--allow-remote]";

    const HELP: &str = "
Connects to a server, sends, vanishes after a byte of the answer, and looks whether the server still
accepts. Each byte is tried in two ways: by a reset, and by a FIN with a reset behind it.

    --send FILE     what to send (default: a request, GET / HTTP/1.0)
    --after N       vanish when exactly N bytes of the answer have come (default: 0)
    --sweep A..B    once for each N from A up to, not including, B; ends where the answers do
    --repeat K      each of them K times (default: 1)
    --allow-remote  also a server that is not on this machine: yours, that is
    -h, --help      this text

A quick server has answered before its client can vanish, and lives. It is hit for sure if its answer is
larger than all buffers (some MiB): choose FILE so, and N > 0. A server that is started again at once, or whose
dying part is one process of many, seems to live: look at its log as well.

Exit status: 0 it lives, 1 it died or answers no more, 2 nothing could be told.";

    /// How long a connection may take.
    const PATIENCE: Duration = Duration::from_secs(5);
    /// How long a server may be silent: this, or thrice the time that its whole first answer took.
    const SOON: Duration = Duration::from_secs(2);
    /// How long its first answer may take.
    const FIRST: Duration = Duration::from_secs(5);
    /// How long it is waited for bytes that go on coming.
    const LONGEST: Duration = Duration::from_secs(30);
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
                let _ = writeln!(io::stderr(), "epipe-reset: {error}");
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
        let addresses =
            server.to_socket_addrs().map_err(|error| format!("{server}: {error}\n{USAGE}"))?;
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
                Err(error) if error.kind() != ErrorKind::ConnectionReset => {
                    last = format!("{address}: {error}");
                }
                _ => return Ok(address),
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
        /// The answer was shorter, and the server is silent.
        Waits,
        Failed(String),
    }

    impl fmt::Display for Tried {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self {
                Tried::Broken => f.pad("broken"),
                Tried::Ended => f.pad("ended by the server"),
                Tried::Waits => f.pad("fewer bytes came"),
                Tried::Failed(error) => f.pad(error),
            }
        }
    }

    /// What the server says to the next client.
    #[derive(Clone, PartialEq)]
    enum Health {
        Answers,
        /// It accepts, or its kernel does.
        Silent,
        /// Nobody listens.
        Gone,
    }

    impl fmt::Display for Health {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(match self {
                Health::Answers => "answers",
                Health::Silent => "accepts, and says nothing",
                Health::Gone => "refuses: nobody listens any more",
            })
        }
    }

    /// The server, and what there is to know of it before somebody vanishes.
    struct Target<'a> {
        plan: &'a Plan,
        /// How long it may be silent.
        patience: Duration,
        /// It has answered a client that did not vanish.
        was_answered: bool,
    }

    impl<'a> Target<'a> {
        /// One that does not vanish.
        fn first(plan: &'a Plan) -> io::Result<Target<'a>> {
            let mut target = Target { plan, patience: FIRST, was_answered: false };
            let begun = Instant::now();
            target.was_answered = target.ask_once()? == Health::Answers;
            target.patience =
                if target.was_answered { SOON.max(3 * begun.elapsed()) } else { SOON };
            Ok(target)
        }

        /// `None`: nobody listens.
        fn connect(&self) -> io::Result<Option<TcpStream>> {
            let mut last = None;
            for _ in 0..20 {
                match TcpStream::connect_timeout(&self.plan.server, PATIENCE) {
                    Ok(stream) => return Ok(Some(stream)),
                    Err(error) => match error.kind() {
                        ErrorKind::ConnectionRefused => return Ok(None),
                        // Somebody has accepted, and was quick to reset.
                        ErrorKind::ConnectionReset => last = Some(error),
                        _ => return Err(error),
                    },
                }
            }
            last.map_or(Ok(None), Err)
        }

        /// Vanishes once.
        fn vanish(&self, stream: TcpStream, way: Way, byte: u64) -> Tried {
            let script = way.after(byte).greeting(&*self.plan.send);
            let peer = match Peer::holding(stream, script) {
                Ok(peer) => peer,
                Err(error) => return Tried::Failed(error.to_string()),
            };
            let begun = Instant::now();
            let mut had = 0;
            loop {
                return match peer.wait_done(self.patience) {
                    Ok(_) => Tried::Broken,
                    Err(WaitError::Ended { .. }) => Tried::Ended,
                    Err(WaitError::TimedOut { received })
                        if received > had && begun.elapsed() < LONGEST =>
                    {
                        had = received;
                        continue;
                    }
                    Err(WaitError::TimedOut { .. }) => Tried::Waits,
                    Err(error) => Tried::Failed(error.to_string()),
                };
            }
        }

        /// How the server is. One that is dying may still have accepted, and one that is busy may
        /// be late: who gets no answer asks again.
        fn ask(&self) -> io::Result<Health> {
            let mut health = self.ask_once()?;
            for _ in 0..2 {
                if health != Health::Silent || !self.was_answered {
                    break;
                }
                health = self.ask_once()?;
            }
            Ok(health)
        }

        /// Asks as a client does that does not vanish: it reads the answer to its end.
        fn ask_once(&self) -> io::Result<Health> {
            let Some(stream) = self.connect()? else {
                return Ok(Health::Gone);
            };
            stream.set_read_timeout(Some(self.patience))?;
            let is_answered = thread::scope(|threads| {
                threads.spawn(|| {
                    let _ = (&stream).write_all(&self.plan.send);
                });
                let is_answered = matches!((&stream).read(&mut [0]), Ok(1..));
                if is_answered {
                    // An error is the server's, who is gone already.
                    let _ = stream.shutdown(Shutdown::Write);
                    let begun = Instant::now();
                    let mut buf = vec![0; 1 << 16];
                    while begun.elapsed() < PATIENCE && matches!((&stream).read(&mut buf), Ok(1..))
                    {
                    }
                }
                // Who still writes does so no more.
                let _ = stream.shutdown(Shutdown::Both);
                is_answered
            });
            Ok(if is_answered { Health::Answers } else { Health::Silent })
        }

        /// The server is not what it was.
        fn is_dead(&self, health: &Health) -> bool {
            match health {
                Health::Answers => false,
                Health::Silent => self.was_answered,
                Health::Gone => true,
            }
        }
    }

    /// A row of the table: bytes next to each other that fared alike.
    struct Row {
        way: Way,
        bytes: Range<u64>,
        tries: u64,
        tried: Tried,
        health: Health,
    }

    /// A line on a terminal.
    struct Progress {
        done: u64,
        all: u64,
        is_shown: bool,
    }

    impl Progress {
        fn step(&mut self) {
            self.done += 1;
            if self.is_shown {
                let _ = write!(io::stderr(), "\r{} of {} tries", self.done, self.all);
            }
        }

        fn clear(&self) {
            if self.is_shown {
                let _ = write!(io::stderr(), "\r\x1b[K");
            }
        }
    }

    /// All tries, until the server dies.
    fn sweep(target: &Target<'_>, rows: &mut Vec<Row>, progress: &mut Progress) -> io::Result<()> {
        let plan = target.plan;
        for way in Way::ALL {
            let mut too_short = 0;
            'way: for byte in plan.bytes.clone() {
                for _ in 0..plan.repeat {
                    let (tried, health) = match target.connect()? {
                        Some(stream) => (target.vanish(stream, way, byte), target.ask()?),
                        None => (Tried::Failed("not accepted".into()), Health::Gone),
                    };
                    progress.step();
                    let is_dead = target.is_dead(&health);
                    too_short = match tried {
                        Tried::Ended | Tried::Waits => too_short + 1,
                        Tried::Broken | Tried::Failed(_) => 0,
                    };
                    match rows.last_mut() {
                        Some(row)
                            if (row.way, &row.tried, &row.health) == (way, &tried, &health) =>
                        {
                            row.bytes.end = byte + 1;
                            row.tries += 1;
                        }
                        _ => rows.push(Row { way, bytes: byte..byte + 1, tries: 1, tried, health }),
                    }
                    if is_dead {
                        return Ok(());
                    }
                    // Twice in a row: that was the answer's end, and not a server that was late.
                    if too_short == 2 {
                        break 'way;
                    }
                }
            }
        }
        Ok(())
    }

    /// The table and the verdict.
    fn run(plan: &Plan) -> Result<(String, ExitCode)> {
        let target = Target::first(plan)?;
        let bytes = plan.bytes.end - plan.bytes.start;
        let mut progress = Progress {
            done: 0,
            all: bytes.saturating_mul(plan.repeat).saturating_mul(2),
            is_shown: io::stderr().is_terminal(),
        };
        let mut rows = Vec::new();
        let swept = sweep(&target, &mut rows, &mut progress);
        progress.clear();

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

        let mut last = rows.last().map_or(Health::Silent, |row| row.health.clone());
        if !target.is_dead(&last) {
            thread::sleep(LATER);
            last = target.ask()?;
        }
        let broken = rows.iter().filter(|row| row.tried == Tried::Broken);
        let broken: u64 = broken.map(|row| row.tries).sum();
        let server = plan.server;
        let (verdict, status) = match last {
            _ if broken == 0 && last == Health::Gone => {
                (format!("{server} ended before a client had vanished."), 2)
            }
            _ if broken == 0 => {
                let verdict =
                    format!("Nothing was tried: no answer of {server} has as many bytes.");
                (verdict, 2)
            }
            Health::Gone => {
                let verdict =
                    format!("{server} did not survive a client that vanished: nobody listens.");
                (verdict, 1)
            }
            Health::Silent if target.was_answered => {
                let verdict = format!("{server} answers nobody since a client vanished.");
                (verdict, 1)
            }
            Health::Silent => {
                let verdict = format!(
                    "{server} accepts, but has answered nobody, before or after: no verdict."
                );
                (verdict, 2)
            }
            Health::Answers => {
                let verdict = format!("{server} lives. Clients that vanished: {broken}.");
                (verdict, 0)
            }
        };
        write!(text, "\n{verdict}")?;
        Ok((text, ExitCode::from(status)))
    }
}
