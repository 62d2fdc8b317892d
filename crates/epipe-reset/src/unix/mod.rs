//! The steps of a run.

mod args;
mod attack;
mod gate;
mod net;
mod plan;
mod polite;
mod report;
mod request;
mod self_test;
mod session;
mod sys;
#[cfg(feature = "tls")]
mod tls;
mod victim;
mod volley;

use std::io::{self, Write};
use std::process::ExitCode;

use args::{Command, Options, Result};
use report::Report;
use session::Outcome;

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
        let mut out = io::stdout();
        for line in plan::dry_run(&options) {
            let _ = writeln!(out, "{line}");
        }
        return Ok(0);
    }
    let mut report = Report::new(&options)?;
    if !options.target.is_empty() {
        report.start(&options);
    }
    if options.self_test {
        if let Err(why) = self_test::run() {
            let outcome = Outcome::undecided(format!("the self-test failed: {why}"));
            return Ok(report.result(&options, &outcome));
        }
        report.note("self-test: an unprotected server was killed by SIGPIPE");
        if options.target.is_empty() {
            return Ok(0);
        }
    }
    self_test::warm_up();
    let outcome = session::run(&options, &mut report)
        .unwrap_or_else(|error| Outcome::undecided(error.to_string()));
    Ok(report.result(&options, &outcome))
}
