//! Makes one table and one plot of the benches' results, and puts both into `docs`.
//!
//! ```sh
//! report CRITERION BENCHES DOCS WHERE_AND_WHEN
//! ```
//!
//! CRITERION is criterion's directory; BENCHES has `instructions.tsv` and `cost.tsv`. Rows that are
//! missing there are reported as not measured. `ci/bench` runs this program.

#[cfg(target_os = "linux")]
#[path = "report/goals.rs"]
mod goals;
#[cfg(target_os = "linux")]
#[path = "report/measured.rs"]
mod measured;
#[cfg(target_os = "linux")]
#[path = "report/plot.rs"]
mod plot;
#[cfg(target_os = "linux")]
#[path = "report/table.rs"]
mod table;

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::path::Path;

    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [criterion, benches, docs, heading] = arguments.as_slice() else {
        return Err("report CRITERION BENCHES DOCS WHERE_AND_WHEN".into());
    };
    let measured = measured::Measured::read(Path::new(criterion), Path::new(benches))?;
    let goals = goals::goals();
    let table = table::table(&measured, &goals);
    print!("{heading}\n\n{table}");

    let docs = Path::new(docs);
    plot::plot(&docs.join("performance.svg"), &measured, &goals, heading)?;
    let text = format!("{heading}\n\n![The ratios, plotted](performance.svg)\n\n{table}");
    table::insert(&docs.join("performance.md"), &text)
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("these benches measure only on Linux");
}
