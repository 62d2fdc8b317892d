//! Reads the results of the benches.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde_json::Value;

/// The first word of a row that compares the peer with itself.
const AA: &str = "A/A: ";

/// The median of the ratios, and its confidence interval of 95 %.
#[derive(Clone, Copy)]
pub struct Ratio {
    pub median: f64,
    pub lower: f64,
    pub upper: f64,
}

/// One row of `benches/wall.rs`.
pub struct Row {
    pub group: String,
    pub name: String,
    pub against: String,
    pub wall: Option<Ratio>,
    pub cpu: Option<Ratio>,
    /// When it was measured: this restores the order of the bench.
    time: SystemTime,
}

impl Row {
    /// Whether it compares the peer with itself.
    pub fn is_aa(&self) -> bool {
        self.name.starts_with(AA)
    }

    pub fn by(&self, clock: Clock) -> Option<Ratio> {
        match clock {
            Clock::Wall => self.wall,
            Clock::Cpu => self.cpu,
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
pub enum Clock {
    Wall,
    Cpu,
}

/// One row of `benches/instructions.rs`: the cost of one call.
pub struct Counted {
    pub name: String,
    pub against: String,
    pub instructions: [f64; 2],
    pub calls: [f64; 2],
}

/// One row of `ci/cost`: the cost for a crate that depends on this one.
pub struct Cost {
    pub what: String,
    pub against: String,
    pub values: [String; 2],
    /// `None` if the peer costs nothing.
    pub ratio: Option<f64>,
}

pub struct Measured {
    pub rows: Vec<Row>,
    pub counted: Vec<Counted>,
    pub costs: Vec<Cost>,
}

impl Measured {
    pub fn read(criterion: &Path, benches: &Path) -> Result<Measured, Box<dyn Error>> {
        let mut rows = Vec::new();
        if criterion.is_dir() {
            find(criterion, &mut rows)?;
        }
        rows.sort_by_key(|row| row.time);
        Ok(Measured {
            rows,
            counted: lines(&benches.join("instructions.tsv"), |columns| {
                let [name, ours, theirs, against, our_calls, their_calls] = columns else {
                    return None;
                };
                Some(Counted {
                    name: name.to_string(),
                    against: against.to_string(),
                    instructions: [ours.parse().ok()?, theirs.parse().ok()?],
                    calls: [our_calls.parse().ok()?, their_calls.parse().ok()?],
                })
            })?,
            costs: lines(&benches.join("cost.tsv"), |columns| {
                let [what, ours, theirs, against, ratio] = columns else {
                    return None;
                };
                Some(Cost {
                    what: what.to_string(),
                    against: against.to_string(),
                    values: [ours.to_string(), theirs.to_string()],
                    ratio: match *ratio {
                        "-" => None,
                        ratio => Some(ratio.parse().ok()?),
                    },
                })
            })?,
        })
    }

    /// The groups, in the order of the bench.
    pub fn groups(&self) -> Vec<&str> {
        let mut groups = Vec::new();
        for row in &self.rows {
            if !groups.contains(&row.group.as_str()) {
                groups.push(&row.group);
            }
        }
        groups
    }

    pub fn row(&self, group: &str, name: &str, against: &str) -> Option<&Row> {
        self.rows
            .iter()
            .find(|row| row.group == group && row.name == name && row.against == against)
    }

    pub fn counted(&self, name: &str, against: &str) -> Option<&Counted> {
        self.counted.iter().find(|row| row.name == name && row.against == against)
    }

    /// How far from 1.00 the ratio of a peer to itself was: a smaller difference is noise. It is
    /// that of the `A/A` rows of the same size. If there are none, it is that of the rows of the
    /// same kind (the first word), otherwise that of the whole group.
    pub fn spread(&self, row: &Row, clock: Clock) -> Option<f64> {
        let word = |text: &str| text.split(',').next().map(str::to_string);
        let same_size = |aa: &str| row.name.starts_with(aa.split(" in ").next().unwrap_or(aa));
        let same_kind = |aa: &str| word(aa) == word(&row.name);
        self.spread_of(row, clock, same_size)
            .or_else(|| self.spread_of(row, clock, same_kind))
            .or_else(|| self.spread_of(row, clock, |_| true))
    }

    fn spread_of(&self, row: &Row, clock: Clock, fits: impl Fn(&str) -> bool) -> Option<f64> {
        self.rows
            .iter()
            .filter(|aa| aa.group == row.group)
            .filter(|aa| aa.name.strip_prefix(AA).is_some_and(&fits))
            .filter_map(|aa| aa.by(clock))
            .map(|ratio| (1.0 - ratio.lower).max(ratio.upper - 1.0))
            .reduce(f64::max)
    }
}

/// The rows of a table whose columns are separated by tabs. A heading line is left out.
fn lines<T>(path: &Path, row: impl Fn(&[&str]) -> Option<T>) -> Result<Vec<T>, Box<dyn Error>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(path)?;
    let mut rows = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let columns: Vec<&str> = line.split('\t').map(str::trim).collect();
        match row(&columns) {
            Some(row) => rows.push(row),
            None if number == 0 => {}
            None => return Err(format!("{}: no row: {line}", path.display()).into()),
        }
    }
    Ok(rows)
}

/// Collects criterion's results from all directories.
fn find(directory: &Path, rows: &mut Vec<Row>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.ends_with("new") {
            take(&path, rows)?;
        } else if path.is_dir() {
            find(&path, rows)?;
        }
    }
    Ok(())
}

fn take(directory: &Path, rows: &mut Vec<Row>) -> Result<(), Box<dyn Error>> {
    let estimates = directory.join("estimates.json");
    let time = fs::metadata(&estimates)?.modified()?;
    let median = &json(&estimates)?["median"];
    let interval = &median["confidence_interval"];
    let ratio = Ratio {
        median: number(&median["point_estimate"])?,
        lower: number(&interval["lower_bound"])?,
        upper: number(&interval["upper_bound"])?,
    };
    let id = json(&directory.join("benchmark.json"))?;
    let group = text(&id["group_id"])?;
    let (name, against) =
        text(&id["function_id"])?.split_once(" against ").ok_or("a row without a peer")?;
    let index = rows
        .iter()
        .position(|row| row.group == group && row.name == name && row.against == against);
    let index = index.unwrap_or_else(|| {
        rows.push(Row {
            group: group.to_string(),
            name: name.to_string(),
            against: against.to_string(),
            wall: None,
            cpu: None,
            time,
        });
        rows.len() - 1
    });
    let row = &mut rows[index];
    row.time = row.time.min(time);
    match text(&id["value_str"])? {
        "wall" => row.wall = Some(ratio),
        "cpu" => row.cpu = Some(ratio),
        other => return Err(format!("a row by an unknown clock: {other}").into()),
    }
    Ok(())
}

fn json(path: &Path) -> Result<Value, Box<dyn Error>> {
    Ok(serde_json::from_str(&fs::read_to_string(path)?)?)
}

fn number(value: &Value) -> Result<f64, Box<dyn Error>> {
    value.as_f64().ok_or_else(|| "not a number".into())
}

fn text(value: &Value) -> Result<&str, Box<dyn Error>> {
    value.as_str().ok_or_else(|| "not a text".into())
}
