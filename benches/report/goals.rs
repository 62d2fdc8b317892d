//! The goals, and whether each is met.

use std::fmt;

use crate::measured::{Clock, Cost, Measured};

/// A ratio that is to be reached.
pub struct Goal {
    pub group: &'static str,
    pub row: String,
    pub against: &'static str,
    pub measure: Measure,
    pub most: f64,
    /// The row that counts the instructions of the same call.
    pub counted: Option<Counted>,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Measure {
    Time(Clock),
    /// The instructions and the system calls alone, without a clock.
    Instructions,
    /// A row of `ci/cost`.
    Cost,
}

/// A row of `benches/instructions.rs`.
pub struct Counted {
    pub name: String,
    pub against: &'static str,
    pub most: Most,
    /// Whether it must be met as well as the time. Otherwise it counts only where the goal is finer
    /// than the clock can see.
    pub always: bool,
}

#[derive(Clone, Copy)]
pub struct Most {
    pub ratio: f64,
    /// Instructions allowed beyond the ratio.
    pub more: f64,
    /// System calls allowed beyond the peer's.
    pub calls: f64,
}

#[derive(Clone, PartialEq)]
pub enum Outcome {
    NotMeasured,
    Yes(&'static str),
    No(&'static str),
    /// The goal is finer than the clock can see, and no instructions were counted.
    TooFine,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::NotMeasured => f.write_str("not measured"),
            Outcome::Yes(by) => write!(f, "yes{by}"),
            Outcome::No(by) => write!(f, "**no**{by}"),
            Outcome::TooFine => f.write_str("finer than A/A"),
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.measure {
            Measure::Time(Clock::Wall) => "wall ",
            Measure::Time(Clock::Cpu) => "cpu ",
            Measure::Instructions => "instructions ",
            Measure::Cost => "",
        };
        write!(f, "{by}≤ {:.2}", self.most)?;
        match &self.counted {
            Some(Counted { most, .. }) if most.more > 0.0 => {
                write!(f, ", instructions ≤ {:.2} + {}", most.ratio, most.more)
            }
            Some(Counted { most, .. }) if most.calls > 0.0 => {
                write!(f, ", calls ≤ + {}", most.calls)
            }
            _ => Ok(()),
        }
    }
}

impl Goal {
    pub fn outcome(&self, measured: &Measured) -> Outcome {
        let clock = match self.measure {
            Measure::Instructions => return self.by_instructions(measured),
            Measure::Cost => {
                let cost = measured.costs.iter().find(|cost| self.is_cost(cost));
                return match cost.and_then(|cost| cost.ratio) {
                    None => Outcome::NotMeasured,
                    Some(ratio) if ratio <= self.most => Outcome::Yes(""),
                    Some(_) => Outcome::No(""),
                };
            }
            Measure::Time(clock) => clock,
        };
        let Some(row) = measured.row(self.group, &self.row, self.against) else {
            return Outcome::NotMeasured;
        };
        let (Some(ratio), Some(spread)) = (row.by(clock), measured.spread(row, clock)) else {
            return Outcome::NotMeasured;
        };
        // The goal is finer than the clock can see. A miss that the clock does see stays a miss,
        // whatever the instructions are.
        let is_fine =
            (self.most - 1.0).abs() < spread && (ratio.median - self.most).abs() <= spread;
        if !is_fine && ratio.median > self.most {
            return Outcome::No("");
        }
        match &self.counted {
            Some(counted) if counted.always || is_fine => self.by_instructions(measured),
            None if is_fine => Outcome::TooFine,
            _ => Outcome::Yes(""),
        }
    }

    fn by_instructions(&self, measured: &Measured) -> Outcome {
        let found = self.counted.as_ref().and_then(|counted| {
            Some((measured.counted(&counted.name, counted.against)?, counted.most))
        });
        let Some((row, most)) = found else {
            return Outcome::NotMeasured;
        };
        let [ours, theirs] = row.instructions;
        let [our_calls, their_calls] = row.calls;
        let by = ", by instructions";
        // The numbers of calls are means of many rounds.
        if ours > theirs * most.ratio + most.more || our_calls > their_calls + most.calls + 0.01 {
            return Outcome::No(by);
        }
        Outcome::Yes(by)
    }

    pub fn is_cost(&self, cost: &Cost) -> bool {
        self.measure == Measure::Cost && cost.what == self.row && cost.against == self.against
    }
}

/// All goals.
pub fn goals() -> Vec<Goal> {
    use Measure::{Instructions, Time};
    let wall = Time(Clock::Wall);
    let cpu = Time(Clock::Cpu);
    let mut goals = Vec::new();
    let mut goal = |group, row: &str, against, measure, most, counted| {
        goals.push(Goal { group, row: row.to_string(), against, measure, most, counted });
    };
    // At most this ratio of instructions, and no more system calls than the peer.
    let as_many = |ratio, name: &str, against| {
        Some(Counted {
            name: name.to_string(),
            against,
            most: Most { ratio, more: 0.0, calls: 0.0 },
            always: false,
        })
    };

    for kind in ["TCP", "Unix"] {
        for size in ["64 B", "16 KiB"] {
            let counted = Counted {
                name: format!("write {size}, {kind}"),
                against: "std write",
                most: Most { ratio: 1.0, more: 5.0, calls: 0.0 },
                always: true,
            };
            let row = format!("{kind}, {size}");
            goal("write", &row, "std write", wall, 1.01, Some(counted));
        }
        // The instructions outside the kernel do not depend on the size, so only two of the four
        // sizes are counted.
        for (size, counted) in
            [("64 B", "64 B"), ("1 KiB", "64 B"), ("16 KiB", "16 KiB"), ("256 KiB", "16 KiB")]
        {
            for n in [2, 8] {
                let row = format!("{kind}, {size} in {n} slices");
                let counted = format!("write_vectored {counted}, {n} slices, {kind}");
                let peer = "std write_vectored";
                let counted = as_many(1.0, &counted, peer);
                goal("write_vectored", &row, peer, wall, 1.0, counted);
            }
        }
    }
    for (group, most) in [("pipe, two threads", 1.15), ("pipe, one thread", 1.25)] {
        goal(group, "64 B", "std write", wall, most, None);
        goal(group, "64 B", "writev", wall, 1.02, None);
    }
    for group in ["pipe under a guard, two threads", "pipe under a guard, one thread"] {
        let counted = as_many(1.01, "pipe write 64 B under a guard", "std write");
        goal(group, "64 B", "std write", wall, 1.01, counted);
    }
    goal("mask", "pipe, 64 B", "libpq's way", wall, 1.02, None);
    let row = "suppressed around nothing";
    goal("guard", row, "curl's way", wall, 0.80, None);
    goal("copy", "file → TCP", "std io::copy", cpu, 0.75, None);
    let row = "file → TCP by sendfile";
    goal("copy", row, "std io::copy", cpu, 0.25, None);
    for peer in ["std io::copy", "tokio io::copy"] {
        goal("copy", "TCP → TCP", peer, cpu, 0.35, None);
    }
    let counted = Counted {
        name: "io::copy pipe to TCP, 1024 pieces of 64 KiB".to_string(),
        against: "std's splice",
        most: Most { ratio: 1.01, more: 0.0, calls: 2.0 },
        always: true,
    };
    let row = "pipe → TCP";
    goal("copy", row, "std io::copy", Instructions, 1.01, Some(counted));
    let counted = as_many(1.01, "read_to_end 1 MiB, Unix", "std");
    goal("read", "read_to_end, 64 MiB", "std", wall, 1.01, counted);
    let counted = as_many(1.01, "accept + close", "std");
    goal("accept", "accept + close", "std", wall, 1.01, counted);
    for row in ["clean build, release, s of CPU", "clean build, debug, s of CPU"] {
        goal("cost", row, "socket2+thiserror", Measure::Cost, 1.15, None);
    }
    goals
}
