use std::io;

use tokio::runtime::Builder;

use epipe::sigpipe::suppressed;
use epipe::tokio::guard_threads;

pub fn run(program: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    let mut builder = Builder::new_multi_thread();
    let runtime = guard_threads(builder.enable_all()).build()?;
    suppressed(|| runtime.block_on(program))?
}
