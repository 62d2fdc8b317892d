//! What the program does, in order.

mod args;
mod attack;
mod net;
mod report;
mod request;
mod self_test;
mod session;
#[cfg(feature = "tls")]
mod tls;
mod victim;

use std::io::{self, Write};
use std::process::ExitCode;

use args::{Command, Options, Result};
use attack::Random;
use report::Report;

pub fn main() -> ExitCode {
    let answer = args::parse().and_then(|command| match command {
        Command::Run(options) => run(*options),
        Command::Print(text) => {
            let _ = writeln!(io::stdout(), "{text}");
            Ok(0)
        }
        Command::NaiveServer => self_test::naive_server(),
    });
    let status = answer.unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "epipe-reset: {error}");
        2
    });
    ExitCode::from(status)
}

fn run(options: Options) -> Result<u8> {
    if options.dry_run {
        return dry_run(&options);
    }
    let mut report = Report::new(&options)?;
    if options.self_test {
        if let Err(why) = self_test::run() {
            return Err(format!("no verdict: the self-test failed: {why}").into());
        }
        report.note("self-test: a naive server was killed by SIGPIPE");
        if options.target.is_empty() {
            return Ok(0);
        }
    }
    report.start(&options);
    self_test::warm_up();
    let outcome = session::run(&options, &mut report)?;
    Ok(report.verdict(&options, &outcome))
}

/// Each connection that one cycle makes.
fn dry_run(options: &Options) -> Result<u8> {
    let mut out = io::stdout();
    let mut number = 0;
    let mut line = |what: &str| {
        number += 1;
        let _ = writeln!(out, "#{number} {what}");
    };
    for _ in 0..6 {
        line("polite or held");
    }
    let volleys = match options.attacks.is_empty() {
        true => attack::cycle(0, options.requests.tls.is_some(), &mut Random(options.seed)),
        false => vec![options.attacks.clone()],
    };
    for attack in volleys.iter().flatten() {
        line("polite (the control)");
        if !options.polite {
            line(&format!("attack {attack}"));
            line("polite (the follower)");
        }
    }
    let _ = writeln!(
        out,
        "one cycle: {number} connections; cycles go on for {} s, and up to {} connections",
        options.time.as_secs_f64(),
        options.total
    );
    Ok(0)
}
