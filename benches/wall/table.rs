//! A table of ratios, measured by criterion.

use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

use criterion::measurement::{Measurement, ValueFormatter};
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};
use rustix::time::{ClockId, clock_gettime};

/// What criterion measures is no time, but how many times as long as its peer the subject takes.
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
    /// The CPU time of this thread. What the kernel does for the other end of a loopback connection
    /// counts for whom it interrupts, which often is the sender.
    Cpu,
}

impl Clock {
    fn name(self) -> &'static str {
        match self {
            Clock::Wall => "wall",
            Clock::Cpu => "cpu",
        }
    }

    /// How long `work` takes.
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
    // SAFETY: getrusage fills it, and does not fail for the own thread.
    unsafe {
        libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
        usage.assume_init().ru_nivcsw
    }
}

/// How thoroughly a table is measured.
#[derive(Clone, Copy)]
pub struct Effort {
    samples: usize,
    /// For all samples of a row.
    time: Duration,
    /// How many rounds a sample has at least, whatever criterion asks for.
    rounds: u64,
    /// How often a time is taken again in which somebody else had the processor.
    again: usize,
}

/// For what takes microseconds: a sample is the median of many rounds. To wait for the processor
/// takes longer than all of it, and says nothing of the calls.
pub const CALLS: Effort =
    Effort { samples: 40, time: Duration::from_millis(1000), rounds: 7, again: 10 };
/// For what takes milliseconds and more: a sample is a round, or a few.
pub const STREAMS: Effort =
    Effort { samples: 25, time: Duration::from_millis(2000), rounds: 1, again: 0 };
/// For what is taken from the kernel piece by piece, and disturbed by whatever else it does.
pub const ACCEPTS: Effort = Effort { rounds: 3, ..STREAMS };
/// For 64 MiB.
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

    /// Compares two ways. Each is asked to do its work once, and returns how long the part that
    /// counts took by the clock. A name is `WHAT against PEER`: `benches/report.rs` takes it apart.
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
                    // Criterion divides by the rounds that it asked for.
                    median(ratios.collect()) * rounds as f64
                });
            });
        }
    }
}

/// Takes the time again where somebody else had the processor meanwhile; a few times at most.
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

/// One and the other, then the other and the one: what drifts meets both. What the place in the
/// round does is cancelled by the next round, in which the peer is the first.
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
