use env_logger::{Builder, Target};

use epipe::io::{BestEffort, stderr};

pub fn init() {
    let target = Target::Pipe(Box::new(BestEffort(stderr())));
    Builder::from_default_env().target(target).init();
}
