//! Makes the table, and puts it into the page.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::goals::{Goal, Measure, Outcome};
use crate::measured::{Clock, Counted, Measured, Ratio, Row};

const BEGIN: &str = "<!-- ci/bench begins -->";
const END: &str = "<!-- ci/bench ends -->";

/// One line of the table. An empty cell becomes a dash.
#[derive(Default)]
struct Line {
    group: String,
    row: String,
    against: String,
    wall: String,
    interval: String,
    cpu: String,
    spread: String,
    instructions: String,
    goal: String,
    met: String,
}

pub fn table(measured: &Measured, goals: &[Goal]) -> String {
    let mut lines = Vec::new();
    for group in measured.groups() {
        for row in measured.rows.iter().filter(|row| row.group == group) {
            lines.push(timed(measured, goals, row));
        }
        let missing = goals.iter().filter(|goal| {
            goal.group == group && measured.row(group, &goal.row, goal.against).is_none()
        });
        lines.extend(missing.map(|goal| unmeasured(measured, goal)));
    }
    let groups = measured.groups();
    let missing =
        goals.iter().filter(|goal| goal.measure != Measure::Cost && !groups.contains(&goal.group));
    lines.extend(missing.map(|goal| unmeasured(measured, goal)));
    lines.extend(measured.counted.iter().map(|row| Line {
        group: "instructions".to_string(),
        row: row.name.clone(),
        against: row.against.clone(),
        instructions: counted(row),
        ..Line::default()
    }));
    lines.extend(costs(measured, goals));

    let mut text = String::from(
        "| group | row | against | wall | 95 % interval | cpu | A/A, wall and cpu \
         | instructions; system calls | goal | met |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    let mut last = String::new();
    for line in lines {
        let group = if line.group == last { "" } else { &line.group };
        let cells = [
            group,
            &line.row,
            &line.against,
            &line.wall,
            &line.interval,
            &line.cpu,
            &line.spread,
            &line.instructions,
            &line.goal,
            &line.met,
        ];
        for (number, cell) in cells.into_iter().enumerate() {
            // The first line of a group has its name. Any other empty cell becomes a dash.
            let cell = if cell.is_empty() && number > 0 { "–" } else { cell };
            write!(text, "| {} ", cell.replace('|', "\\|")).unwrap();
        }
        text.push_str("|\n");
        last = line.group;
    }
    let [mut yes, mut no, mut open] = [0; 3];
    for goal in goals {
        match goal.outcome(measured) {
            Outcome::Yes(_) => yes += 1,
            Outcome::No(_) => no += 1,
            Outcome::NotMeasured | Outcome::TooFine => open += 1,
        }
    }
    writeln!(
        text,
        "\nOf {} goals {yes} are met, {no} are not, and {open} are not decided.",
        goals.len()
    )
    .unwrap();
    text
}

/// A row of the wall bench.
fn timed(measured: &Measured, goals: &[Goal], row: &Row) -> Line {
    let goal = goals.iter().find(|goal| {
        goal.group == row.group && goal.row == row.name && goal.against == row.against
    });
    let median = |ratio: Option<Ratio>| ratio.map_or(String::new(), |r| format!("{:.3}", r.median));
    let spread = |clock| {
        measured.spread(row, clock).map_or("–".to_string(), |spread| format!("± {spread:.3}"))
    };
    Line {
        group: row.group.clone(),
        row: row.name.clone(),
        against: row.against.clone(),
        wall: median(row.wall),
        interval: row
            .wall
            .map_or(String::new(), |ratio| format!("{:.3} to {:.3}", ratio.lower, ratio.upper)),
        cpu: median(row.cpu),
        spread: format!("{}, {}", spread(Clock::Wall), spread(Clock::Cpu)),
        instructions: goal.map_or(String::new(), |goal| instructions(measured, goal)),
        goal: goal.map_or(String::new(), Goal::to_string),
        met: goal.map_or(String::new(), |goal| goal.outcome(measured).to_string()),
    }
}

/// The line of a goal whose row was not measured.
fn unmeasured(measured: &Measured, goal: &Goal) -> Line {
    Line {
        group: goal.group.to_string(),
        row: goal.row.clone(),
        against: goal.against.to_string(),
        instructions: instructions(measured, goal),
        goal: goal.to_string(),
        met: goal.outcome(measured).to_string(),
        ..Line::default()
    }
}

/// The rows of `ci/cost`. Their ratios stand in the column of the wall clock.
fn costs(measured: &Measured, goals: &[Goal]) -> Vec<Line> {
    let mut lines: Vec<Line> = measured
        .costs
        .iter()
        .map(|cost| {
            let goal = goals.iter().find(|goal| goal.is_cost(cost));
            Line {
                group: "cost".to_string(),
                row: format!("{}: {} to {}", cost.what, cost.values[0], cost.values[1]),
                against: cost.against.clone(),
                wall: cost.ratio.map_or(String::new(), |ratio| format!("{ratio:.3}")),
                goal: goal.map_or(String::new(), Goal::to_string),
                met: goal.map_or(String::new(), |goal| goal.outcome(measured).to_string()),
                ..Line::default()
            }
        })
        .collect();
    let missing = goals.iter().filter(|goal| {
        goal.measure == Measure::Cost && goal.outcome(measured) == Outcome::NotMeasured
    });
    lines.extend(missing.map(|goal| unmeasured(measured, goal)));
    lines
}

fn instructions(measured: &Measured, goal: &Goal) -> String {
    goal.counted
        .as_ref()
        .and_then(|wanted| measured.counted(&wanted.name, wanted.against))
        .map_or(String::new(), counted)
}

fn counted(row: &Counted) -> String {
    let [ours, theirs] = row.instructions;
    let [our_calls, their_calls] = row.calls;
    format!("{ours:.0} to {theirs:.0}; {our_calls:.1} to {their_calls:.1}")
}

/// Puts the text between the two marks of the page.
pub fn insert(path: &Path, text: &str) -> Result<(), Box<dyn Error>> {
    let page = fs::read_to_string(path)?;
    let (before, rest) = page.split_once(BEGIN).ok_or("no mark where it begins")?;
    let (_, after) = rest.split_once(END).ok_or("no mark where it ends")?;
    fs::write(path, format!("{before}{BEGIN}\n{text}\n{END}{after}"))?;
    Ok(())
}
