use std::io;

use tokio::runtime::Builder;

use super::sigpipe::suppressed;
use super::tokio::guard_threads;

pub fn run<T>(requests: impl Future<Output = T>) -> io::Result<T> {
    let mut builder = Builder::new_multi_thread();
    let runtime = guard_threads(builder.enable_all()).build()?;
    suppressed(|| runtime.block_on(requests))
}
