use epipe::io::{BestEffort, stdout};

pub fn init() {
    tracing_subscriber::fmt()
        .with_writer(|| BestEffort(stdout()))
        .log_internal_errors(false)
        .init();
}
