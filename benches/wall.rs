//! What protection costs by the clock. Each row is the ratio of a subject (this crate) to a peer,
//! both measured in the same round.
//!
//! ```sh
//! cargo bench -p epipe-benches --bench wall              # all of it: some 11 minutes
//! cargo bench -p epipe-benches --bench wall -- '^pipe'   # the groups that match
//! cargo bench -p epipe-benches --bench wall -- --test    # each once
//! ```
//!
//! Each row is measured by two clocks: `wall`, and `cpu`, the CPU time of the thread that works.
//! Criterion prints a mean. The report takes the median, which criterion saves beside the mean. The
//! rows `A/A` of each table compare the peer with itself. Their distance from 1.00 is noise, and a
//! smaller difference between subject and peer cannot be seen.

#[cfg(target_os = "linux")]
#[path = "wall/calls.rs"]
mod calls;
#[cfg(target_os = "linux")]
#[path = "wall/copy.rs"]
mod copy;
#[cfg(target_os = "linux")]
#[path = "wall/streams.rs"]
mod streams;
#[cfg(target_os = "linux")]
#[path = "wall/table.rs"]
mod table;

#[cfg(target_os = "linux")]
fn main() {
    let mut criterion = criterion::Criterion::default()
        .with_measurement(table::Ratio)
        .without_plots()
        .nresamples(10_000)
        .configure_from_args();

    // While the process has one thread, the kernel looks up a descriptor with less work. So these
    // groups run before a second thread starts.
    calls::pipe(&mut criterion, "pipe, one thread");
    calls::pipe_under_a_guard(&mut criterion, "pipe under a guard, one thread");

    // From here on a second thread sleeps, as in most programs.
    let (awake, asleep) = std::sync::mpsc::channel::<()>();
    let second = std::thread::spawn(move || asleep.recv().unwrap_err());
    calls::pipe(&mut criterion, "pipe, two threads");
    calls::pipe_under_a_guard(&mut criterion, "pipe under a guard, two threads");
    calls::mask(&mut criterion);
    calls::write(&mut criterion);
    calls::write_vectored(&mut criterion);
    calls::others(&mut criterion);
    calls::guard(&mut criterion);
    copy::copy(&mut criterion);
    streams::read(&mut criterion);
    streams::write(&mut criterion);
    streams::accept(&mut criterion);
    streams::throughput(&mut criterion);
    drop(awake);
    second.join().unwrap();

    criterion.final_summary();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("these benches measure only on Linux");
}
