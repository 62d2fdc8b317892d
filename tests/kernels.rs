//! The models of other kernels (`kernels/model.c`) give the expected answers
//! (`kernels/answers.txt`) to plain C calls (`kernels/calls.c`).

#![allow(missing_docs, reason = "a test")]
#![cfg(all(target_os = "linux", target_pointer_width = "64"))]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "support/cc.rs"]
mod cc;

const KERNELS: [&str; 5] = ["xnu_6153", "xnu_7195", "netbsd", "freebsd", "openbsd"];

/// Each model is built twice. The second build has a write flag that no Linux knows, as on a Linux
/// before 6.18.
const BUILDS: [(&str, &str); 2] = [("", "-UWRITE_FLAG"), ("-old", "-DWRITE_FLAG=0x40000000")];

fn model(kernel: &str, (name, definition): (&str, &str)) -> Result<PathBuf, String> {
    let kernel_is = format!("-DKERNEL={kernel}");
    let options = ["-shared", "-fPIC", &kernel_is, definition, "-ldl"];
    cc::build("tests/kernels/model.c", &format!("{kernel}{name}.so"), options)
}

/// Pairs of a call and its answer.
fn answers(program: &Path, model: &Path) -> Vec<(String, String)> {
    let mut answers = Vec::new();
    for mode_of_std in [None, Some("1")] {
        let mut command = Command::new("timeout");
        command.args(["-s", "KILL", "60"]).arg(program).env("LD_PRELOAD", model);
        command.env_remove("MODEL_STD_SETS_OPTION");
        command.envs(mode_of_std.map(|value| ("MODEL_STD_SETS_OPTION", value)));
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && errors.is_empty(), "{}: {errors}", output.status);
        let printed = String::from_utf8(output.stdout).unwrap();
        answers.extend(printed.lines().map(|line| {
            let (call, answer) = line.split_once(" | ").expect(line);
            (call.to_string(), answer.to_string())
        }));
    }
    answers
}

fn answer<'a>(column: &'a [(String, String)], call: &str) -> &'a str {
    column.iter().find(|(other, _)| other == call).map_or("-", |(_, answer)| answer)
}

/// A line for each call, a column for each kernel.
fn table(columns: &[Vec<(String, String)>]) -> Vec<String> {
    let line = |call: &str, cells: &mut dyn Iterator<Item = &str>| {
        let cells: String = cells.map(|cell| format!("{cell:<13}")).collect();
        format!("{call:<36}{cells}").trim_end().to_string()
    };
    let mut table = vec![line("", &mut KERNELS.into_iter())];
    // The first kernel makes every call.
    for (call, _) in &columns[0] {
        table.push(line(call, &mut columns.iter().map(|column| answer(column, call))));
    }
    table
}

#[test]
fn the_models_answer_as_the_kernels() {
    let expected = include_str!("kernels/answers.txt").lines();
    let is_remark = |line: &&str| line.is_empty() || line.starts_with('#');
    let expected: Vec<_> = expected.filter(|line| !is_remark(line)).map(String::from).collect();
    for build in BUILDS {
        let program = cc::build("tests/kernels/calls.c", "calls", ["-pthread", "-ldl"]);
        let models: Result<Vec<_>, _> = KERNELS.iter().map(|kernel| model(kernel, build)).collect();
        let (program, models) = match (program, models) {
            (Ok(program), Ok(models)) => (program, models),
            (Err(why), _) | (_, Err(why)) => return eprintln!("not played: {why}"),
        };
        let columns: Vec<_> = models.iter().map(|model| answers(&program, model)).collect();
        let found = table(&columns);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("answers{}.txt", build.0));
        fs::write(&path, found.join("\n") + "\n").unwrap();
        let missing = expected.iter().filter(|line| !found.contains(line));
        let new = found.iter().filter(|line| !expected.contains(line));
        let differences = missing.map(|line| format!("\n- {line}"));
        let differences: String =
            differences.chain(new.map(|line| format!("\n+ {line}"))).collect();
        assert!(found == expected, "{}{differences}", path.display());
    }
}
