//! Counts by gungraun's runner and by strace, which both start this program again.

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};

use gungraun::{library_benchmark, library_benchmark_group};

use super::rows::{Loop, Prepare, Row, rows};

/// The task of one process: a call, prepared, and how often to make it.
struct Play {
    play: Loop,
    calls: usize,
}

/// The tasks of all processes: for each of [`rows`], for each of its [`ways`](Row::ways), N and 2N
/// calls.
fn plays() -> Vec<(Prepare, usize, usize)> {
    let mut plays = Vec::new();
    for row in rows() {
        for prepare in row.ways() {
            plays.extend([1, 2].map(|times| (prepare, times * row.calls, 2 * row.calls)));
        }
    }
    plays
}

fn prepare(index: usize) -> Play {
    let (prepare, calls, prepared) = plays()[index];
    Play { play: prepare(prepared), calls }
}

// Callgrind counts this function. It returns the task, since to drop it must not count.
#[library_benchmark]
#[benches::play(iter = 0..plays().len(), setup = prepare)]
fn count(mut play: Play) -> Play {
    (play.play)(play.calls);
    play
}

library_benchmark_group!(name = calls, benchmarks = count);

/// gungraun's own `main`. It starts its runner, which starts this program again under callgrind.
mod framework {
    use super::calls;

    gungraun::main!(library_benchmark_groups = calls);

    pub(crate) fn run() {
        main();
    }
}

/// All processes run this program, and its arguments say which one it is. cargo always passes
/// `--bench`. Without arguments it is gungraun's `main`, and gungraun adds arguments of its own.
pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let arguments = env::args().skip(1).collect::<Vec<_>>();
    match arguments.first().map(String::as_str) {
        None => framework::run(),
        Some("--gungraun-run") => unrefused(framework::run),
        Some("--play") => {
            let index = arguments[1].parse()?;
            unrefused(|| {
                let mut play = prepare(index);
                (play.play)(play.calls);
            });
        }
        Some(_) => table()?,
    }
    Ok(())
}

/// Plays, and checks that no technique was refused meanwhile. Otherwise the cost of the next
/// technique would be counted. (A valgrind or a kernel that does not know the flag refuses it.)
fn unrefused(play: impl FnOnce()) {
    let before = epipe::verify().expect("no technique is silently ignored");
    play();
    assert_eq!(epipe::protection(), before, "a technique was refused while it was counted");
}

/// The counts of a whole process.
struct Counted {
    instructions: f64,
    system_calls: f64,
}

fn table() -> Result<(), Box<dyn Error>> {
    let instructions = instructions()?;
    let mut counted = Vec::new();
    for index in 0..plays().len() {
        counted.push(Counted {
            instructions: *instructions
                .get(&index)
                .ok_or(format!("gungraun reports nothing of play {index}"))?,
            system_calls: system_calls(index)?,
        });
    }

    let mut tsv = String::new();
    println!("pipe writes: {:?}\n", epipe::protection().pipe_write());
    println!(
        "{:44} {:20} {:>26} {:>8} {:>8} {:>15}",
        "", "", "instructions of one call", "", "", "system calls"
    );
    println!(
        "{:44} {:20} {:>13} {:>12} {:>8} {:>8} {:>7} {:>7}",
        "call", "peer", "epipe", "peer", "ratio", "more", "epipe", "peer"
    );
    let mut counted = counted.chunks_exact(2);
    for Row { name, calls, peers, .. } in rows() {
        let mut one_call = || {
            let [once, twice] = counted.next()? else {
                return None;
            };
            Some(Counted {
                instructions: (twice.instructions - once.instructions) / calls as f64,
                system_calls: (twice.system_calls - once.system_calls) / calls as f64,
            })
        };
        let ours = one_call().ok_or("a row is missing")?;
        for (peer, _) in peers {
            let theirs = one_call().ok_or("a row is missing")?;
            let ratio = ours.instructions / theirs.instructions;
            let more = ours.instructions - theirs.instructions;
            println!(
                "{name:44} {peer:20} {:13.1} {:12.1} {ratio:8.3} {more:+8.1} {:7.1} {:7.1}",
                ours.instructions, theirs.instructions, ours.system_calls, theirs.system_calls
            );
            writeln!(
                tsv,
                "{name}\t{:.2}\t{:.2}\t{peer}\t{:.2}\t{:.2}",
                ours.instructions, theirs.instructions, ours.system_calls, theirs.system_calls
            )?;
        }
    }

    // The program is in release/deps of the target directory.
    let exe = env::current_exe()?;
    let directory = exe.ancestors().nth(3).ok_or("no target directory")?.join("epipe-bench");
    fs::create_dir_all(&directory)?;
    fs::write(directory.join("instructions.tsv"), tsv)?;
    Ok(())
}

/// Runs gungraun, and reads the instructions of each play from its output.
fn instructions() -> Result<HashMap<usize, f64>, Box<dyn Error>> {
    let output = Command::new(env::current_exe()?)
        .env("GUNGRAUN_CALLGRIND_ARGS", "--cache-sim=no")
        .env("GUNGRAUN_OUTPUT_FORMAT", "default")
        .env("GUNGRAUN_PARALLEL", "auto")
        .stderr(Stdio::inherit())
        .output()?;
    let output_text = String::from_utf8(output.stdout)?;
    if !output.status.success() {
        return Err(format!("gungraun: {}\n{output_text}", output.status).into());
    }
    let mut instructions = HashMap::new();
    let mut play = None::<usize>;
    for line in output_text.lines() {
        if let Some((_, rest)) = line.split_once("::count play_") {
            play = rest.split(':').next().and_then(|index| index.parse().ok());
        } else if let Some(rest) = line.trim_start().strip_prefix("Instructions:") {
            let count = rest.split('|').next().and_then(|count| count.trim().parse().ok());
            instructions.extend(play.take().zip(count));
        }
    }
    Ok(instructions)
}

/// Plays under strace, which prints one line for each system call of the thread that plays.
fn system_calls(index: usize) -> Result<f64, Box<dyn Error>> {
    let output = Command::new("strace")
        .args(["-qq", "-e", "signal=none", "-o", "/dev/stdout"])
        .arg(env::current_exe()?)
        .args(["--play", &index.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("strace: {error}"))?;
    if !output.status.success() {
        return Err(format!("strace of play {index}: {}", output.status).into());
    }
    Ok(output.stdout.split(|&byte| byte == b'\n').count() as f64)
}
