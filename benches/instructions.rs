//! What one call costs: its instructions in user space, counted by callgrind, and its system calls,
//! counted by strace. Both are exact, where a clock is not.
//!
//! ```sh
//! cargo bench -p epipe-benches --bench instructions
//! ```
//!
//! A row is a call of this crate and the same call of its peers. Each is played N times, and 2N
//! times in another process; the difference, divided by N, is one call: the start, the preparation
//! and what only the first call does are in both. The preparation is always that for 2N calls. What
//! is read was written before, and what is written stays in the kernel's buffers, so that nobody
//! waits and every run is the same. Callgrind counts each repetition of a string instruction: 8 KiB
//! filled with zeros are 8192.
//!
//! It prints a table and writes `epipe-bench/instructions.tsv` in cargo's target folder. A build
//! with `EPIPE_REFUSE=write_flag` shows what the mask costs. It needs valgrind, strace and
//! gungraun's runner.

#[cfg(target_os = "linux")]
#[path = "instructions/count.rs"]
mod count;
#[cfg(target_os = "linux")]
#[path = "instructions/ends.rs"]
mod ends;
#[cfg(target_os = "linux")]
#[path = "instructions/rows.rs"]
mod rows;

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    count::run()
}

#[cfg(not(target_os = "linux"))]
fn main() {}
