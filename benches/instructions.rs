//! The cost of one call: callgrind counts its instructions in user space, and strace its system
//! calls. Both are exact; a clock is not.
//!
//! ```sh
//! cargo bench -p epipe-benches --bench instructions
//! ```
//!
//! A row is a call of this crate and the same call of its peers. One process makes N calls, another
//! one 2N. The difference, divided by N, is the cost of one call. It leaves out the start, the
//! preparation, and the work of the first call, since these are in both. The preparation is always
//! that for 2N calls.
//!
//! All bytes that are read were written before, and all bytes that are written stay in the kernel's
//! buffers. So no call waits, and every run is the same. Callgrind counts each repetition of a
//! string instruction: to fill 8 KiB with zeros counts 8192.
//!
//! It prints a table, and writes `epipe-bench/instructions.tsv` in cargo's target directory. It
//! needs valgrind, strace and gungraun's runner. A build with `EPIPE_REFUSE=write_flag` shows the
//! cost of the mask.

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
