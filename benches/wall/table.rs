//! A table of ratios, measured by criterion.

use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

use criterion::measurement::{Measurement, ValueFormatter};
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};
use rustix::time::{ClockId, clock_gettime};

/// Criterion measures no time here. It measures the ratio of the subject's time to its peer's.
pub struct Ratio;

impl Measurement for Ratio {
    type Intermediate = ();
    type Value = f64;

    fn start(&self) {
        unreachable!("rows measure by `iter_custom`");
    }

    fn end(&self, (): ()) -> f64 {
        unreachable!("rows measure by `iter_custom`");
    }

    fn add(&self, one: &f64, other: &f64) -> f64 {
        one + other
    }

    fn zero(&self) -> f64 {
        0.0
    }

    fn to_f64(&self, value: &f64) -> f64 {
        *value
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self
    }
}

impl ValueFormatter for Ratio {
    fn scale_values(&self, _: f64, _: &mut [f64]) -> &'static str {
        "× peer"
    }

    fn scale_throughputs(&self, _: f64, _: &Throughput, _: &mut [f64]) -> &'static str {
        "× peer"
    }

    fn scale_for_machines(&self, _: &mut [f64]) -> &'static str {
        "ratio"
    }
}

#[derive(Clone, Copy)]
pub enum Clock {
    Wall,
    /// The CPU time of this thread. The kernel's work for the other end of a loopback connection
    /// counts for the thread that it interrupts, which is often the sender.
    Cpu,
}

impl Clock {
    fn name(self) -> &'static str {
        match self {
            Clock::Wall => "wall",
            Clock::Cpu => "cpu",
        }
    }

    /// The time that `work` takes.
    #[inline]
    pub fn time(self, work: impl FnOnce()) -> Duration {
        match self {
            Clock::Wall => {
                let begin = Instant::now();
                work();
                begin.elapsed()
            }
            Clock::Cpu => {
                let begin = used();
                work();
                used() - begin
            }
        }
    }
}

fn used() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

/// How often the system took the processor from this thread.
fn lost() -> i64 {
    let mut usage = MaybeUninit::uninit();
    // SAFETY: getrusage fills `usage`, and does not fail for the calling thread.
    unsafe {
        libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
        usage.assume_init().ru_nivcsw
    }
}

/// How thoroughly a table is measured.
#[derive(Clone, Copy)]
pub struct Effort {
    samples: usize,
    /// The time for all samples of a row.
    time: Duration,
    /// The fewest rounds of a sample, also if criterion asks for fewer.
    rounds: u64,
    /// How often a measurement is repeated if another thread had the processor meanwhile.
    again: usize,
}

/// For work of microseconds: a sample is the median of many rounds. A wait for the processor takes
/// longer than all of them, and has nothing to do with the calls.
pub const CALLS: Effort =
    Effort { samples: 40, time: Duration::from_millis(1000), rounds: 7, again: 10 };
/// For work of milliseconds and more: a sample is one round, or a few.
pub const STREAMS: Effort =
    Effort { samples: 25, time: Duration::from_millis(2000), rounds: 1, again: 0 };
/// For work in many small pieces, which the kernel's other work disturbs.
pub const ACCEPTS: Effort = Effort { rounds: 3, ..STREAMS };
/// For copies of 64 MiB.
pub const COPIES: Effort =
    Effort { samples: 11, time: Duration::from_millis(2500), rounds: 1, again: 0 };

pub struct Table<'a> {
    group: BenchmarkGroup<'a, Ratio>,
    rounds: u64,
    again: usize,
}

impl<'a> Table<'a> {
    pub fn new(
        criterion: &'a mut Criterion<Ratio>,
        name: &str,
        Effort { samples, time, rounds, again }: Effort,
    ) -> Table<'a> {
        let mut group = criterion.benchmark_group(name);
        group
            .sampling_mode(SamplingMode::Flat)
            .sample_size(samples)
            .warm_up_time(Duration::from_millis(150))
            .measurement_time(time);
        Table { group, rounds, again }
    }

    /// Compares a subject with a peer. Each does its work once, and returns how long the measured
    /// part took by the clock. A name is `WHAT against PEER`: `benches/report.rs` splits it.
    pub fn row(
        &mut self,
        name: &str,
        mut subject: impl FnMut(Clock) -> Duration,
        mut peer: impl FnMut(Clock) -> Duration,
    ) {
        for clock in [Clock::Wall, Clock::Cpu] {
            let mut subject = || undisturbed(self.again, || subject(clock));
            let mut peer = || undisturbed(self.again, || peer(clock));
            let mut swapped = false;
            self.group.bench_function(BenchmarkId::new(name, clock.name()), |bencher| {
                bencher.iter_custom(|rounds| {
                    let ratios = (0..rounds.max(self.rounds)).map(|_| {
                        swapped = !swapped;
                        round(swapped, &mut subject, &mut peer)
                    });
                    // Criterion divides by the number of rounds that it asked for.
                    median(ratios.collect()) * rounds as f64
                });
            });
        }
    }
}

/// Measures again if another thread had the processor meanwhile, at most `again` times.
fn undisturbed(again: usize, mut time: impl FnMut() -> Duration) -> Duration {
    for _ in 0..again {
        let before = lost();
        let time = time();
        if lost() == before {
            return time;
        }
    }
    time()
}

/// Runs subject, peer, peer, subject, so that a drift meets both. The next round begins with the
/// peer, which cancels the effect of the place in the round.
fn round(
    swapped: bool,
    subject: &mut impl FnMut() -> Duration,
    peer: &mut impl FnMut() -> Duration,
) -> f64 {
    let (subject, peer) = if swapped {
        let (peer, subject) = both(peer, subject);
        (subject, peer)
    } else {
        both(subject, peer)
    };
    subject.as_secs_f64() / peer.as_secs_f64()
}

fn both(
    one: &mut impl FnMut() -> Duration,
    other: &mut impl FnMut() -> Duration,
) -> (Duration, Duration) {
    let first = one();
    let others = other() + other();
    (first + one(), others)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        f64::midpoint(values[middle - 1], values[middle])
    }
}
