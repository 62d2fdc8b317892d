//! The command line.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use lexopt::{Arg, ValueExt};
use socket2::SockAddr;

use super::attack::{Attack, Random, Stage};
use super::net::Requests;
use super::request;
#[cfg(feature = "tls")]
use super::tls::layers;

pub const USAGE: &str = "usage: epipe-reset HOST:PORT | unix:PATH [OPTION]... [--spawn COMMAND...]";

pub const HELP: &str = "
Finds out whether a server survives clients that send a request and vanish.
It sends a request with a FIN and a reset right behind it. Then it vanishes at
other moments, until the server dies or the time is over. A server that dies
was most likely killed by SIGPIPE.

  epipe-reset localhost:8080
      attacks a server that runs already, and watches it from outside
  epipe-reset localhost:8080 --spawn ./server 8080
      starts the server with SIGPIPE's default, and reports what killed it
  epipe-reset --self-test
      checks that this program can kill a server on this machine

The request
  --request NAME       http (default), tls (a ClientHello), modbus, redis, mqtt,
                       smtp, postgresql
  --path PATH          the path for http (default: /); a large answer can be
                       broken at more moments
  --tls                sends the request over TLS, and attacks the handshake
                       too; accepts any certificate (feature tls)
  --send FILE          sends these bytes instead; if repeated, +pipelined sends
                       all the files

How it detects a death
  --spawn COMMAND...   starts the server, watches what it forks (on Linux), and
                       reports the signal; must be the last option
  --pid PID            also watches this process (its end, not its signal)
  (neither)            sees connections refused, and idle connections that end

How long, and which attacks
  --time SECONDS       default: 30
  --seed NUMBER        the same plan again; each run prints its seed
  --attack LIST        only these attacks, again and again: breath, pause:MS,
                       late:MS, first-byte[:MS], full; each can have +pipelined,
                       +byte, +no-fin, +queued, with --tls +hello, +handshake.
                       Example: breath,late:3ms+pipelined
  --polite             no attacks, only polite clients that wait for answers
  --keep-going         does not stop at the first death
  --dry-run            prints the connections that could be made; makes none

On a network: attacks only loopback addresses, except with
  --allow-remote HOST  repeats the host of the target, as a confirmation
  --gentle             one connection at a time, one a second; a polite client
                       after each attack
  --rate N             at most N connections a second (remote: 20)
  --open N             at most N connections at once (64, remote: 4)
  --total N            at most N connections in all (1000000, remote: 1000)

Output
  --json               one JSON object a line; the manual page lists the fields
  --log FILE           appends a line for each connection, with the time of day
  --expect RESULT      killed or survived: the exit status is 0 for this result,
                       and 1 for the other
  --quiet              prints only the result
  --self-test          first kills an unprotected server of its own; if that
                       server survives, the result is undecided
  -h, --help           this text
  -V, --version

Results
  killed               the server died; the command after `again:` repeats the
                       attack (without --spawn, restart the server first)
  survived             no death was seen, but other timings may kill
  undecided            the run proves nothing; the line says why

Exit status: 1 killed, 0 survived, 2 undecided or a wrong command line.";

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    Killed,
    Survived,
}

#[derive(Default)]
pub struct Options {
    /// As typed.
    pub target: String,
    pub addresses: Vec<SockAddr>,
    pub is_remote: bool,
    pub requests: Requests,
    pub spawn: Vec<OsString>,
    pub pid: Option<i32>,
    pub time: Duration,
    pub seed: u64,
    pub attacks: Vec<Attack>,
    pub polite: bool,
    pub keep_going: bool,
    pub dry_run: bool,
    /// Connections a second.
    pub rate: Option<f64>,
    pub open: usize,
    pub total: u64,
    pub json: bool,
    pub quiet: bool,
    pub log: Option<PathBuf>,
    pub expect: Option<Expect>,
    pub self_test: bool,
    /// The options of the `again:` command, without the attack.
    pub again: Vec<String>,
}

impl Options {
    /// For a run against the unprotected server of the self-test.
    pub fn of_self_test(address: SocketAddr, pid: u32) -> Options {
        Options {
            target: address.to_string(),
            addresses: vec![address.into()],
            requests: Requests { list: vec![b"x".to_vec()], tls: None },
            pid: i32::try_from(pid).ok(),
            time: Duration::from_secs(10),
            open: 64,
            total: 1_000_000,
            quiet: true,
            ..Options::default()
        }
    }
}

pub enum Command {
    Run(Box<Options>),
    /// The text to print.
    Print(String),
    /// Run as the unprotected server of the self-test.
    NaiveServer,
}

const MOST_SENT: u64 = 16 << 20;

pub fn parse() -> Result<Command> {
    let mut parser = lexopt::Parser::from_env();
    let mut target = None;
    let (mut request, mut path, mut files) = (None, "/".to_owned(), Vec::new());
    let (mut spawn, mut pid) = (Vec::new(), None);
    let (mut time, mut seed, mut attacks) = (30.0, None, Vec::new());
    let (mut rate, mut open, mut total) = (None, None, None);
    let (mut allowed, mut log, mut expect): (Option<String>, _, _) = (None, None, None);
    let [mut polite, mut keep_going, mut dry_run, mut gentle] = [false; 4];
    let [mut json, mut quiet, mut self_test, mut tls] = [false; 4];
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("request") => request = Some(parser.value()?.string()?),
            Arg::Long("path") => path = parser.value()?.string()?,
            Arg::Long("send") => files.push(PathBuf::from(parser.value()?)),
            Arg::Long("spawn") => {
                spawn = parser.raw_args()?.collect();
                if spawn.is_empty() {
                    return Err("--spawn needs a command".into());
                }
            }
            Arg::Long("tls") => tls = true,
            Arg::Long("pid") => pid = Some(number("--pid", &parser.value()?, 1, i32::MAX)?),
            Arg::Long("time") => time = number("--time", &parser.value()?, 0.1, 1e6)?,
            Arg::Long("seed") => {
                let text = parser.value()?.string()?;
                let value = text.parse().map_err(|_| format!("--seed {text}: must be a number"))?;
                seed = Some(value);
            }
            Arg::Long("attack") => {
                for text in parser.value()?.string()?.split(',') {
                    attacks
                        .push(Attack::parse(text).map_err(|error| format!("--attack: {error}"))?);
                }
            }
            Arg::Long("allow-remote") => allowed = Some(parser.value()?.string()?),
            Arg::Long("rate") => rate = Some(number("--rate", &parser.value()?, 0.01, 1e6)?),
            Arg::Long("open") => open = Some(number("--open", &parser.value()?, 1, 10_000)?),
            Arg::Long("total") => {
                total = Some(number("--total", &parser.value()?, 1, 1_000_000_000)?)
            }
            Arg::Long("log") => log = Some(PathBuf::from(parser.value()?)),
            Arg::Long("expect") => {
                expect = Some(match &*parser.value()?.string()? {
                    "killed" => Expect::Killed,
                    "survived" => Expect::Survived,
                    other => {
                        return Err(format!("--expect {other}: must be killed or survived").into());
                    }
                });
            }
            Arg::Long("polite") => polite = true,
            Arg::Long("keep-going") => keep_going = true,
            Arg::Long("dry-run") => dry_run = true,
            Arg::Long("gentle") => gentle = true,
            Arg::Long("json") => json = true,
            Arg::Long("quiet") => quiet = true,
            Arg::Long("self-test") => self_test = true,
            Arg::Long("naive-server") => return Ok(Command::NaiveServer),
            Arg::Long("help") | Arg::Short('h') => {
                return Ok(Command::Print(format!("{USAGE}\n{HELP}")));
            }
            Arg::Long("version") | Arg::Short('V') => {
                let text = concat!("epipe-reset ", env!("CARGO_PKG_VERSION"));
                return Ok(Command::Print(text.into()));
            }
            Arg::Value(value) if target.is_none() => target = Some(value.string()?),
            other => return Err(format!("{}\n{USAGE}", other.unexpected()).into()),
        }
    }
    let target = match target {
        Some(target) if !target.is_empty() => target,
        None if self_test && !dry_run => String::new(),
        _ => return Err(format!("{USAGE}\n--help lists the options").into()),
    };
    if pid.is_some() && !spawn.is_empty() {
        return Err("--spawn already watches the server that it starts; leave --pid out".into());
    }
    let (host, addresses) = match target.is_empty() {
        true => ("localhost".to_owned(), Vec::new()),
        false => resolve(&target)?,
    };
    let is_remote = check_remote(&target, &host, &addresses, allowed.as_deref())?;
    let seed = seed.unwrap_or_else(clock_seed);
    let mut again = Vec::new();
    let list = match (files.is_empty(), request) {
        (false, None) => {
            let read = |file: &PathBuf| {
                let mut bytes = Vec::new();
                File::open(file)
                    .and_then(|open| open.take(MOST_SENT + 1).read_to_end(&mut bytes))
                    .map_err(|error| format!("--send {}: {error}", file.display()))?;
                if bytes.len() as u64 > MOST_SENT {
                    return Err(format!("--send {}: more than 16 MiB", file.display()));
                }
                Ok(bytes)
            };
            for file in &files {
                again.extend(["--send".into(), file.display().to_string()]);
            }
            files.iter().map(read).collect::<std::result::Result<_, _>>()?
        }
        (false, Some(_)) => return Err("give --request or --send, not both".into()),
        (true, name) => {
            if let Some(name) = &name {
                again.extend(["--request".into(), name.clone()]);
            }
            if path != "/" {
                again.extend(["--path".into(), path.clone()]);
            }
            let mut random = Random(seed);
            let name = name.unwrap_or_else(|| "http".into());
            let bytes =
                request::named(&name, &host, &path, &mut || random.next()).ok_or_else(|| {
                    format!("--request {name}: must be one of {}", request::NAMES.join(", "))
                })?;
            vec![bytes]
        }
    };
    if list.iter().any(Vec::is_empty) {
        return Err("the request is empty".into());
    }
    let tls = match tls {
        true => {
            again.push("--tls".into());
            Some(layers(&host)?)
        }
        false => None,
    };
    if tls.is_none() && attacks.iter().any(|attack| attack.stage != Stage::Done) {
        return Err("--attack: +hello and +handshake need --tls".into());
    }
    if tls.is_some() && attacks.iter().any(|attack| attack.queued && attack.stage != Stage::Hello) {
        return Err("--attack: with --tls, +queued needs +hello".into());
    }
    if let Some(allowed) = allowed.filter(|_| is_remote) {
        again.extend(["--allow-remote".into(), allowed]);
    }
    if gentle {
        again.push("--gentle".into());
    }
    let limits: [(&str, Option<&dyn Display>); 3] = [
        ("--rate", rate.as_ref().map(|limit| limit as _)),
        ("--open", open.as_ref().map(|limit| limit as _)),
        ("--total", total.as_ref().map(|limit| limit as _)),
    ];
    for (option, limit) in limits {
        again.extend(limit.into_iter().flat_map(|limit| [option.to_owned(), limit.to_string()]));
    }
    let open = if gentle { 1 } else { open.unwrap_or(if is_remote { 4 } else { 64 }) };
    if open < 5 && attacks.iter().any(|attack| attack.queued) {
        return Err("--attack: +queued needs --open 5 or more".into());
    }
    Ok(Command::Run(Box::new(Options {
        target,
        addresses,
        is_remote,
        requests: Requests { list, tls },
        spawn,
        pid,
        time: Duration::from_secs_f64(time),
        seed,
        attacks,
        polite,
        keep_going,
        dry_run,
        rate: rate.or(gentle.then_some(1.0)).or(is_remote.then_some(20.0)),
        open,
        total: total.unwrap_or(if is_remote { 1000 } else { 1_000_000 }),
        json,
        quiet,
        log,
        expect,
        self_test,
        again,
    })))
}

#[cfg(not(feature = "tls"))]
fn layers(_: &str) -> Result<super::net::NewLayer> {
    Err("--tls: this program was built without TLS: cargo install epipe-reset --features tls"
        .into())
}

fn number<T: FromStr + PartialOrd + Display>(
    option: &str,
    value: &OsStr,
    least: T,
    most: T,
) -> Result<T> {
    let text = value.to_string_lossy();
    match text.parse::<T>() {
        Ok(number) if (&least..=&most).contains(&&number) => Ok(number),
        _ => Err(format!("{option} {text}: must be a number from {least} to {most}").into()),
    }
}

/// The host name and its addresses.
fn resolve(target: &str) -> Result<(String, Vec<SockAddr>)> {
    if let Some(path) = target.strip_prefix("unix:") {
        let address = SockAddr::unix(path).map_err(|error| format!("{target}: {error}"))?;
        return Ok(("localhost".to_owned(), vec![address]));
    }
    if target.contains("//") {
        return Err(
            format!("{target}: give HOST:PORT, not a URL; the path goes into --path").into()
        );
    }
    let Some((host, _)) = target.rsplit_once(':') else {
        return Err(format!("{target}: must be HOST:PORT or unix:PATH\n{USAGE}").into());
    };
    let addresses: Vec<SocketAddr> =
        target.to_socket_addrs().map_err(|error| format!("{target}: {error}"))?.collect();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok((host.to_owned(), addresses.into_iter().map(SockAddr::from).collect()))
}

/// Whether an address is not loopback. Only `--allow-remote` with the host name permits this.
fn check_remote(
    target: &str,
    host: &str,
    found: &[SockAddr],
    allowed: Option<&str>,
) -> Result<bool> {
    let is_remote = |address: &SocketAddr| !address.ip().to_canonical().is_loopback();
    let Some(address) = found.iter().filter_map(SockAddr::as_socket).find(is_remote) else {
        return Ok(false);
    };
    match allowed {
        Some(allowed) if allowed == host => Ok(true),
        Some(allowed) => Err(format!("--allow-remote {allowed}: the target is {host}").into()),
        None => Err(format!(
            "{target} is {address}, which is not loopback. This program may crash or hang what it \
             connects to. If you may crash it, add --allow-remote {host}"
        )
        .into()),
    }
}

fn clock_seed() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanoseconds = since.map_or(0, |time| time.as_nanos() as u64);
    // At most six digits: short enough to type.
    Random(nanoseconds ^ u64::from(std::process::id())).next() % 1_000_000
}
