//! Loggers whose standard output and standard error have both lost their readers.

use std::io;
use std::panic::catch_unwind;

use epipe::io::{BestEffort, stderr, stdout};

use crate::support::{close_the_reader_of, dispose};
use crate::{Scene, masks_the_thread};

/// Both streams lose their readers, then two lines are logged.
macro_rules! traced {
    ($writer:expr) => {{
        close_the_reader_of(1);
        close_the_reader_of(2);
        tracing_subscriber::fmt().with_writer($writer).init();
        tracing::error!("a line");
        tracing::error!("a line");
    }};
}

fn logged(target: env_logger::Target) {
    close_the_reader_of(1);
    close_the_reader_of(2);
    let mut builder = env_logger::Builder::new();
    builder.filter_level(log::LevelFilter::Info).target(target).init();
    log::error!("a line");
    log::error!("a line");
}

pub fn scenes() -> Vec<Scene> {
    vec![
        Scene::survives("tracing to stdout: BestEffort", || {
            traced!(|| BestEffort(stdout()));
        }),
        Scene::dies("tracing to stdout: BestEffort: control", || traced!(io::stdout)),
        Scene::dies("tracing to stdout: our EPIPE alone, which it reports by eprintln!", || {
            traced!(stdout);
        })
        .only_where(masks_the_thread(), "a guard's handler may stay"),
        Scene::survives("tracing to stderr: BestEffort", || {
            traced!(|| BestEffort(stderr()));
        }),
        Scene::dies("tracing to stderr: BestEffort: control", || traced!(io::stderr)),
        Scene::survives("tracing to stdout, SIGPIPE ignored: BestEffort", || {
            dispose(libc::SIG_IGN);
            traced!(|| BestEffort(stdout()));
        }),
        Scene::survives("tracing to stdout, SIGPIPE ignored: BestEffort: control panics", || {
            dispose(libc::SIG_IGN);
            catch_unwind(|| traced!(io::stdout)).unwrap_err();
        }),
        Scene::survives("env_logger to stderr: BestEffort", || {
            let stderr = BestEffort(stderr());
            logged(env_logger::Target::Pipe(Box::new(stderr)));
        }),
        Scene::dies("env_logger to stderr: BestEffort: control", || {
            logged(env_logger::Target::Stderr);
        }),
    ]
}
