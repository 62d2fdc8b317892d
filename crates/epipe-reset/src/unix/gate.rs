//! Limits the rate and the number of connections, and counts and logs each one.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use super::report::time_of_day;

pub struct Gate {
    /// The shortest time from one connection to the next.
    pause: Duration,
    next: Instant,
    total: u64,
    pub made: u64,
    log: Option<File>,
}

impl Gate {
    /// At most `rate` connections a second, and `total` in all.
    pub fn new(rate: Option<f64>, total: u64, log: Option<File>) -> Gate {
        let pause = rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate));
        Gate { pause, next: Instant::now(), total, made: 0, log }
    }

    /// The time until the next connection may be made.
    pub fn closed_for(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    pub fn allows(&self, connections: usize) -> bool {
        self.made + connections as u64 <= self.total
    }

    /// Waits until the next connection may be made. False: no more are allowed.
    pub fn pass(&mut self, what: &dyn Display) -> bool {
        if !self.allows(1) {
            return false;
        }
        thread::sleep(self.closed_for());
        self.next = Instant::now() + self.pause;
        self.made += 1;
        if let Some(log) = &mut self.log {
            if let Err(error) = writeln!(log, "{} #{} {what}", time_of_day(), self.made) {
                let _ = writeln!(io::stderr(), "epipe-reset: --log: {error}");
                self.log = None;
            }
        }
        true
    }
}
