//! A test harness for tests that are made at run time. Its options are libtest's. (The crate
//! libtest-mimic has fourteen dependencies, and cargo builds all of them for an example.)

use std::collections::VecDeque;
use std::fmt::Display;
use std::num::NonZero;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

/// Why a test failed.
pub struct Failed(pub String);

impl<M: Display> From<M> for Failed {
    fn from(message: M) -> Failed {
        Failed(message.to_string())
    }
}

/// One test.
pub struct Trial {
    name: String,
    /// Why the test is ignored: `None` if it is not, an empty text without a reason.
    ignored: Option<&'static str>,
    run: Box<dyn FnOnce() -> Result<(), Failed> + Send>,
}

impl Trial {
    pub fn test(
        name: impl Into<String>,
        run: impl FnOnce() -> Result<(), Failed> + Send + 'static,
    ) -> Trial {
        Trial { name: name.into(), ignored: None, run: Box::new(run) }
    }

    #[allow(dead_code, reason = "not every system has tests to ignore")]
    pub fn with_ignored_flag(self, is_ignored: bool) -> Trial {
        self.ignored(is_ignored.then_some(""))
    }

    #[allow(dead_code, reason = "not every test says why")]
    pub fn ignored(mut self, why: Option<&'static str>) -> Trial {
        self.ignored = why;
        self
    }
}

#[derive(Default)]
struct Options {
    filters: Vec<String>,
    skip: Vec<String>,
    exact: bool,
    list: bool,
    quiet: bool,
    ignored: bool,
    include_ignored: bool,
    threads: Option<NonZero<usize>>,
}

impl Options {
    fn from_args() -> Result<Options, String> {
        let mut options = Options::default();
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let (option, value) = match arg.split_once('=') {
                Some((option, value)) if arg.starts_with('-') => (option, Some(value.to_owned())),
                _ => (&*arg, None),
            };
            let mut value = || value.clone().or_else(|| args.next()).unwrap_or_default();
            match option {
                "--skip" => options.skip.push(value()),
                "--exact" => options.exact = true,
                "--list" => options.list = true,
                "-q" | "--quiet" => options.quiet = true,
                "--ignored" => options.ignored = true,
                "--include-ignored" => options.include_ignored = true,
                "--test-threads" => {
                    let number = value().parse();
                    options.threads = Some(number.map_err(|error| format!("{arg}: {error}"))?);
                }
                // This harness captures nothing, has no colours, and one format.
                "--nocapture" | "--no-capture" | "--show-output" | "--test" => {}
                "--color" | "--format" | "-Z" => drop(value()),
                option if option.starts_with('-') => {
                    return Err(format!("unknown option {option}"));
                }
                _ => options.filters.push(arg),
            }
        }
        Ok(options)
    }

    fn wants(&self, trial: &Trial) -> bool {
        let matches = |filter: &String| match self.exact {
            true => trial.name == *filter,
            false => trial.name.contains(filter),
        };
        (self.filters.is_empty() || self.filters.iter().any(matches))
            && !self.skip.iter().any(matches)
            && (!self.ignored || trial.ignored.is_some())
    }
}

/// The results so far.
#[derive(Default)]
struct Report {
    passed: usize,
    ignored: usize,
    failures: Vec<(String, String)>,
}

/// Runs the tests that the arguments want.
pub fn run(trials: Vec<Trial>) -> ExitCode {
    let options = match Options::from_args() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let all = trials.len();
    let trials = trials.into_iter().filter(|trial| options.wants(trial));
    let trials: VecDeque<_> = trials.collect();
    let wanted = trials.len();
    if options.list {
        trials.iter().for_each(|trial| println!("{}: test", trial.name));
        return ExitCode::SUCCESS;
    }

    let s = if wanted == 1 { "" } else { "s" };
    println!("\nrunning {wanted} test{s}");
    let begun = Instant::now();
    let runs_ignored = options.ignored || options.include_ignored;
    let threads = options.threads.or_else(|| thread::available_parallelism().ok());
    let queue = Mutex::new(trials);
    let report = Mutex::new(Report::default());
    thread::scope(|scope| {
        for _ in 0..threads.map_or(1, NonZero::get) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().pop_front();
                    let Some(trial) = next else { break };
                    let outcome = match trial.ignored {
                        Some(why) if !runs_ignored => Outcome::Ignored(why),
                        _ => Outcome::Run(play(trial.run)),
                    };
                    report.lock().unwrap().add(trial.name, outcome, options.quiet);
                }
            });
        }
    });
    let report = report.into_inner().unwrap();
    if !report.failures.is_empty() {
        println!("\n\nfailures:");
    }
    for (name, message) in &report.failures {
        println!("\n---- {name} ----\n{message}");
    }
    let result = match report.failures[..] {
        [] => "ok",
        _ => "FAILED",
    };
    println!(
        "\ntest result: {result}. {} passed; {} failed; {} ignored; 0 measured; {} filtered out; \
         finished in {:.2}s\n",
        report.passed,
        report.failures.len(),
        report.ignored,
        all - wanted,
        begun.elapsed().as_secs_f64(),
    );
    ExitCode::from(if report.failures.is_empty() { 0 } else { 101 })
}

/// Runs a test. A panic is a failure too.
fn play(run: impl FnOnce() -> Result<(), Failed>) -> Result<(), String> {
    match panic::catch_unwind(AssertUnwindSafe(run)) {
        Ok(outcome) => outcome.map_err(|Failed(message)| message),
        Err(payload) => Err(match payload.downcast::<String>() {
            Ok(message) => *message,
            Err(payload) => payload
                .downcast_ref::<&str>()
                .map_or("it panicked".into(), |message| (*message).to_owned()),
        }),
    }
}

/// The outcome of a test.
enum Outcome {
    Run(Result<(), String>),
    /// The reason, or an empty text.
    Ignored(&'static str),
}

impl Report {
    fn add(&mut self, name: String, outcome: Outcome, quiet: bool) {
        let (word, letter) = match outcome {
            Outcome::Ignored("") => ("ignored", "i"),
            Outcome::Ignored(why) => (&*format!("ignored, {why}"), "i"),
            Outcome::Run(Ok(())) => ("ok", "."),
            Outcome::Run(Err(_)) => ("FAILED", "F"),
        };
        match quiet {
            true => print!("{letter}"),
            false => println!("test {name} ... {word}"),
        }
        match outcome {
            Outcome::Ignored(_) => self.ignored += 1,
            Outcome::Run(Ok(())) => self.passed += 1,
            Outcome::Run(Err(message)) => self.failures.push((name, message)),
        }
    }
}
