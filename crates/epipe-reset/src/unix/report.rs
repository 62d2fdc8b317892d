//! The output: text for people, JSON for programs, and the log of connections.
#![allow(unsafe_code, reason = "calls gmtime_r")]

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::args::{Expect, Options, Result};
use super::attack::{self, Attack};
use super::session::{Kill, Outcome, RunResult, Usual};

pub struct Report {
    is_json: bool,
    is_quiet: bool,
    has_bar: bool,
    /// The last line on the terminal is the progress bar.
    bar_shown: bool,
    log: Option<File>,
}

impl Report {
    pub fn new(options: &Options) -> Result<Report> {
        let log = match &options.log {
            Some(path) => Some(
                File::options()
                    .append(true)
                    .create(true)
                    .open(path)
                    .map_err(|error| format!("--log {}: {error}", path.display()))?,
            ),
            None => None,
        };
        let is_quiet = options.quiet;
        Ok(Report {
            is_json: options.json,
            is_quiet,
            has_bar: !is_quiet && io::stderr().is_terminal(),
            bar_shown: false,
            log,
        })
    }

    /// A report that prints nothing.
    pub fn silent() -> Report {
        Report { is_json: false, is_quiet: true, has_bar: false, bar_shown: false, log: None }
    }

    pub fn start(&mut self, options: &Options) {
        if self.is_json {
            self.event(&format!(
                r#""event":"start","target":{},"seed":{},"seconds":{}"#,
                quoted(&options.target),
                options.seed,
                options.time.as_secs_f64(),
            ));
        } else {
            self.line(&format!(
                "{}: {} s, seed {}",
                options.target,
                options.time.as_secs_f64(),
                options.seed
            ));
        }
        if options.is_remote {
            self.note(
                "this may crash or hang a fragile device, or stop the machine that it controls: \
                 attack only what you may break",
            );
        }
    }

    pub fn usual(&mut self, usual: &Usual) {
        let milliseconds = usual.time.as_secs_f64() * 1000.0;
        if self.is_json {
            self.event(&format!(
                r#""event":"polite","bytes":{},"milliseconds":{:.1},"one_at_a_time":{}"#,
                usual.bytes, milliseconds, usual.one_at_a_time
            ));
        } else if usual.bytes > 0 {
            let clients = if usual.one_at_a_time { ", one client at a time" } else { "" };
            self.line(&format!(
                "a polite client gets {} bytes within {milliseconds:.1} ms{clients}",
                usual.bytes
            ));
        }
    }

    pub fn note(&mut self, text: &str) {
        if self.is_json {
            self.event(&format!(r#""event":"note","text":{}"#, quoted(text)));
        } else {
            self.line(text);
        }
    }

    /// The file of `--log`.
    pub fn log(&self) -> Option<File> {
        self.log.as_ref().and_then(|log| log.try_clone().ok())
    }

    pub fn progress(&mut self, attacks: u64, elapsed: Duration, whole: Duration) {
        if !self.has_bar {
            return;
        }
        let part = (elapsed.as_secs_f64() / whole.as_secs_f64()).min(1.0);
        let filled = (part * 30.0) as usize;
        let _ = write!(
            io::stderr(),
            "\r[{:<30}] {:.0} of {:.0} s, {attacks} attacks ",
            "=".repeat(filled),
            elapsed.as_secs_f64(),
            whole.as_secs_f64()
        );
        self.bar_shown = true;
    }

    fn clear_bar(&mut self) {
        if std::mem::take(&mut self.bar_shown) {
            let _ = write!(io::stderr(), "\r{:78}\r", "");
        }
    }

    /// Prints a line to stderr, since only the result goes to stdout.
    fn line(&mut self, text: &str) {
        self.clear_bar();
        if !self.is_quiet {
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// Prints a line of JSON before the result.
    fn event(&mut self, fields: &str) {
        if !self.is_quiet {
            self.json(fields);
        }
    }

    fn json(&mut self, fields: &str) {
        self.clear_bar();
        let _ = writeln!(io::stdout(), "{{{fields}}}");
    }

    /// Prints the result, and returns the exit status.
    pub fn result(&mut self, options: &Options, outcome: &Outcome) -> u8 {
        let (name, status) = match outcome.result {
            RunResult::Killed { .. } => ("killed", 1),
            RunResult::Survived if outcome.attacks > 0 => ("survived", 0),
            RunResult::Survived | RunResult::Undecided(_) => ("undecided", 2),
        };
        let again = again(options, outcome);
        let text = text(options, outcome);
        if let Some(log) = &mut self.log {
            let _ = writeln!(log, "{} {text}", time_of_day());
        }
        if self.is_json {
            let kinds: Vec<_> = outcome
                .kinds
                .iter()
                .map(|(kind, count)| format!("{}:{}", quoted(kind), count.vanished))
                .collect();
            self.json(&format!(
                concat!(
                    r#""event":"result","result":{},"text":{},"again":{},"replayed":{},"#,
                    r#""attacks":{},"polite":{},"kinds":{{{}}},"not_tried":[{}],"deaths":{},"#,
                    r#""forks":{},"connections":{},"seconds":{:.1}"#,
                ),
                quoted(name),
                quoted(&text),
                again.map_or("null".into(), |(line, _)| quoted(&line)),
                replayed(outcome),
                outcome.attacks,
                outcome.polite,
                kinds.join(","),
                not_tried(options, outcome).iter().map(|t| quoted(t)).collect::<Vec<_>>().join(","),
                outcome.deaths,
                outcome.forks.map_or("null".into(), |forks| forks.to_string()),
                outcome.made,
                outcome.seconds,
            ));
        } else {
            self.clear_bar();
            let mut out = io::stdout();
            let _ = writeln!(out, "{text}");
            if let Some((line, tried)) = again {
                let _ = writeln!(out, "again: {line}\n({tried})");
            }
            if !self.is_quiet {
                for line in not_tried(options, outcome) {
                    let _ = writeln!(out, "not tried: {line}");
                }
            }
        }
        match (options.expect, status) {
            (_, 2) | (None, _) => status,
            (Some(Expect::Killed), _) => u8::from(status != 1),
            (Some(Expect::Survived), _) => u8::from(status != 0),
        }
    }
}

fn text(options: &Options, outcome: &Outcome) -> String {
    match &outcome.result {
        RunResult::Killed(kill) => format!("killed after {:.1} s: {}", kill.after, kill.by),
        RunResult::Undecided(why) => format!("undecided: {why}"),
        RunResult::Survived if options.polite => {
            format!("undecided: {} polite clients, no attack", outcome.polite)
        }
        RunResult::Survived if outcome.attacks == 0 => "undecided: no attack was made".into(),
        RunResult::Survived => {
            let kinds = outcome.kinds.values().filter(|count| count.vanished > 0).count();
            let forks = match outcome.forks {
                None => {
                    "; if the server forks or restarts, it may have died unseen (--spawn sees it)"
                        .into()
                }
                Some(0) => String::new(),
                Some(forks) => {
                    format!("; the server forked {forks} processes, and each was watched")
                }
            };
            format!(
                "survived {} attacks of {kinds} kind{} in {:.0} s, which is no proof{forks}",
                outcome.attacks,
                if kinds == 1 { "" } else { "s" },
                outcome.seconds
            )
        }
    }
}

/// The timings and attacks that were not tried, and why.
fn not_tried(options: &Options, outcome: &Outcome) -> Vec<String> {
    if !matches!(outcome.result, RunResult::Survived) || outcome.attacks == 0 {
        return Vec::new();
    }
    let mut list = vec![
        "the gap between two system calls: a server that checks the connection right before its \
         only write"
            .to_owned(),
    ];
    for (kind, count) in outcome.kinds.iter().filter(|(_, count)| count.vanished == 0) {
        let why = if count.too_late > 0 {
            "the whole answer came first"
        } else if count.no_answer > 0 {
            "no byte of an answer came"
        } else if kind.ends_with("+queued") && outcome.usual.open < 5 {
            "needs up to 5 connections at once"
        } else if outcome.made >= options.total {
            "no more connections are allowed (--total)"
        } else {
            "the server ended the connection first"
        };
        list.push(format!("{kind}: {why}"));
    }
    if options.attacks.is_empty() {
        let kinds = attack::kinds(options.requests.tls.is_some());
        for kind in kinds.into_iter().filter(|kind| !outcome.kinds.contains_key(kind)) {
            list.push(format!("{kind}: the time was over (--time)"));
        }
    }
    if outcome.usual.bytes == 0 {
        list.push("anything during an answer: the server does not answer the request".into());
    }
    if options.is_remote {
        list.push(
            "on a network a FIN may be lost, which makes the attack a plain reset: no attack is \
             certain"
                .into(),
        );
    }
    list
}

/// The command that repeats the attack, and whether it has killed again.
fn again(options: &Options, outcome: &Outcome) -> Option<(String, String)> {
    let RunResult::Killed(kill) = &outcome.result else {
        return None;
    };
    let mut words = vec!["epipe-reset".to_owned(), options.target.clone()];
    words.extend(options.again.iter().cloned());
    if kill.attacks.is_empty() {
        words.push("--polite".into());
    } else {
        let attacks: Vec<_> = kill.attacks.iter().map(Attack::to_string).collect();
        words.extend(["--attack".into(), attacks.join(",")]);
    }
    if !options.spawn.is_empty() {
        words.push("--spawn".into());
        words.extend(options.spawn.iter().map(|word| word.to_string_lossy().into_owned()));
    }
    let line = words.iter().map(|word| shell_quoted(word)).collect::<Vec<_>>().join(" ");
    let tried = match kill.replayed {
        None if !options.spawn.is_empty() => "not tried again".into(),
        None => {
            "not tried again: the server is gone; one that ends after a number of clients would \
                 look the same"
                .into()
        }
        Some((0, _)) => "tried again, and the server did not die".into(),
        Some((_, tries)) => format!("this has killed the server again, at try {tries}"),
    };
    Some((line, tried))
}

/// Whether that command has killed again, in JSON.
fn replayed(outcome: &Outcome) -> &'static str {
    match &outcome.result {
        RunResult::Killed(Kill { replayed: Some((kills, _)), .. }) if *kills > 0 => "true",
        RunResult::Killed(Kill { replayed: Some(_), .. }) => "false",
        _ => "null",
    }
}

fn shell_quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,+=@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The text as a string of JSON.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The time of day in UTC, with milliseconds.
pub fn time_of_day() -> String {
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seconds = now.as_secs() as _;
    // SAFETY: `tm` has integers and a pointer, which may all be 0. gmtime_r writes only to it.
    let time = unsafe {
        let mut time: libc::tm = std::mem::zeroed();
        libc::gmtime_r(&seconds, &mut time);
        time
    };
    format!(
        "{}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        time.tm_year + 1900,
        time.tm_mon + 1,
        time.tm_mday,
        time.tm_hour,
        time.tm_min,
        time.tm_sec,
        now.subsec_millis()
    )
}
