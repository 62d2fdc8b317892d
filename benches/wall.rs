//! What protection costs by the clock: each row is the ratio of a subject (this crate) to a peer,
//! both measured in the same round.
//!
//! ```sh
//! cargo bench -p epipe-benches --bench wall              # all of it, in some 11 minutes
//! cargo bench -p epipe-benches --bench wall -- '^pipe'   # what matches
//! cargo bench -p epipe-benches --bench wall -- --test    # each once
//! ```
//!
//! Each row is measured by two clocks: `wall`, and `cpu`, the CPU time of the thread that works.
//! What is printed is a mean; the report takes the median, which criterion saves beside it. Each
//! table has rows `A/A`, which compare the peer with itself: what they show beside 1.00 is noise,
//! and finer than that the table does not see.

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

    // The kernel looks up a descriptor with less work while the process has one thread, so these
    // come before anything that starts another.
    calls::pipe(&mut criterion, "pipe, one thread");
    calls::pipe_under_a_guard(&mut criterion, "pipe under a guard, one thread");

    // From here on there is a second thread, as in most programs. It sleeps.
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
    println!("these benches measure Linux alone");
}
