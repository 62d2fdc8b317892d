//! The plot: a point with its confidence interval for each row that has a goal or is of interest.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::goals::{Goal, Measure, Outcome};
use crate::measured::{Clock, Measured, Ratio, Row};

const WIDTH: u32 = 960;
const LINE: i32 = 17;
/// The heading ends here, and the axis begins.
const TOP: i32 = 88;
/// The first and the last pixel of the axis.
const LEFT: i32 = 500;
const RIGHT: i32 = 880;
const LAST: f64 = 1.6;

const MET: RGBColor = RGBColor(0, 110, 60);
const NOT_MET: RGBColor = RGBColor(200, 60, 0);
const NO_GOAL: RGBColor = RGBColor(40, 70, 130);
const AA: RGBColor = RGBColor(150, 150, 150);
const GRID: RGBColor = RGBColor(225, 225, 225);

struct Point {
    label: String,
    ratio: Ratio,
    goal: Option<f64>,
    color: RGBColor,
}

/// The points of a group. The plot leaves out a group without points.
fn points(measured: &Measured, goals: &[Goal], group: &str) -> Vec<Point> {
    let rows = measured.rows.iter().filter(|row| row.group == group);
    rows.filter_map(|row| {
        let goal = goals.iter().find(|goal| {
            goal.group == row.group && goal.row == row.name && goal.against == row.against
        });
        if goal.is_none() && !row.is_aa() && !is_of_interest(row) {
            return None;
        }
        let clock = match goal.map(|goal| goal.measure) {
            Some(Measure::Time(clock)) => clock,
            _ if group == "copy" => Clock::Cpu,
            _ => Clock::Wall,
        };
        let by = if clock == Clock::Cpu { ", cpu" } else { "" };
        Some(Point {
            label: format!("{} against {}{by}", row.name, row.against),
            ratio: row.by(clock)?,
            goal: goal.and_then(|goal| match goal.measure {
                Measure::Time(_) => Some(goal.most),
                _ => None,
            }),
            color: match goal.map(|goal| goal.outcome(measured)) {
                _ if row.is_aa() => AA,
                Some(Outcome::Yes(_)) => MET,
                Some(Outcome::No(_)) => NOT_MET,
                _ => NO_GOAL,
            },
        })
    })
    .collect()
}

/// Whether the plot shows a row that has no goal.
fn is_of_interest(row: &Row) -> bool {
    match row.group.as_str() {
        "copy" | "read" | "guard" | "buffered writes" => true,
        "others" => row.name.ends_with(" 64 B"),
        "throughput" => row.name.ends_with("16 KiB") || row.name.ends_with("8 slices"),
        _ => false,
    }
}

fn x(ratio: f64) -> i32 {
    LEFT + (f64::from(RIGHT - LEFT) * ratio.clamp(0.0, LAST) / LAST).round() as i32
}

pub fn plot(
    path: &Path,
    measured: &Measured,
    goals: &[Goal],
    heading: &str,
) -> Result<(), Box<dyn Error>> {
    let groups: Vec<(&str, Vec<Point>)> = measured
        .groups()
        .into_iter()
        .map(|group| (group, points(measured, goals, group)))
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let lines: usize = groups.iter().map(|(_, points)| points.len() + 2).sum();
    let bottom = TOP + LINE * i32::try_from(lines)? + 4;
    let root = SVGBackend::new(path, (WIDTH, u32::try_from(bottom)? + 34)).into_drawing_area();
    root.fill(&WHITE)?;

    let left = |size: u32, color: RGBColor| {
        ("sans-serif", size).into_font().color(&color).pos(Pos::new(HPos::Left, VPos::Center))
    };
    let centered =
        |size: u32, color: RGBColor| left(size, color).pos(Pos::new(HPos::Center, VPos::Center));
    let right =
        |size: u32, color: RGBColor| left(size, color).pos(Pos::new(HPos::Right, VPos::Center));
    let bold = ("sans-serif", 13, FontStyle::Bold)
        .into_font()
        .color(&BLACK)
        .pos(Pos::new(HPos::Left, VPos::Center));
    root.draw(&Text::new(
        "epipe's time as a ratio to its peer's: less is better",
        (12, 18),
        left(17, BLACK),
    ))?;
    root.draw(&Text::new(heading, (12, 38), left(12, BLACK)))?;
    let mut at = 12;
    for (color, meaning) in [
        (MET, "goal met"),
        (NOT_MET, "goal not met"),
        (NO_GOAL, "no goal, or not decided"),
        (AA, "A/A: the peer against itself"),
    ] {
        root.draw(&Circle::new((at + 4, 58), 4, color.filled()))?;
        root.draw(&Text::new(meaning, (at + 14, 58), left(12, BLACK)))?;
        at += 32 + 6 * i32::try_from(meaning.len())?;
    }
    root.draw(&PathElement::new([(at + 4, 52), (at + 4, 64)], BLACK))?;
    root.draw(&Text::new("the goal", (at + 12, 58), left(12, BLACK)))?;

    for tenth in 0..=16 {
        let ratio = f64::from(tenth) / 10.0;
        let color = if tenth == 10 { BLACK } else { GRID };
        root.draw(&PathElement::new([(x(ratio), TOP), (x(ratio), bottom)], color))?;
        if tenth % 5 == 0 || tenth == 12 || tenth == 8 {
            for y in [TOP - 9, bottom + 10] {
                root.draw(&Text::new(format!("{ratio:.1}"), (x(ratio), y), centered(12, BLACK)))?;
            }
        }
    }

    let mut y = TOP + LINE / 2;
    for (group, points) in groups {
        y += LINE / 2;
        root.draw(&Text::new(group, (12, y), bold.clone()))?;
        y += LINE;
        for Point { label, ratio, goal, color } in points {
            let text = if color == AA { AA } else { BLACK };
            root.draw(&Text::new(label, (LEFT - 10, y), right(12, text)))?;
            root.draw(&PathElement::new(
                [(x(ratio.lower), y), (x(ratio.upper), y)],
                color.stroke_width(2),
            ))?;
            for end in [ratio.lower, ratio.upper] {
                root.draw(&PathElement::new([(x(end), y - 3), (x(end), y + 3)], color))?;
            }
            if let Some(goal) = goal {
                root.draw(&PathElement::new([(x(goal), y - 6), (x(goal), y + 6)], BLACK))?;
            }
            root.draw(&Circle::new((x(ratio.median), y), 4, color.filled()))?;
            let value = format!("{:.2}", ratio.median);
            root.draw(&Text::new(value, (WIDTH as i32 - 12, y), right(12, text)))?;
            y += LINE;
        }
        y += LINE / 2;
    }
    root.present()?;
    Ok(())
}
