//! Makes the report of what `benches/run` measured: `results.json`, `report.html`, and a Markdown
//! table on the standard output.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use beckn_receiver_benches::page;
use beckn_receiver_benches::results::{Measurement, Rounds};
use clap::Parser;
use serde::Serialize;
use serde_json::json;

/// Reads the measurements and writes what they say.
#[derive(Debug, Parser)]
struct Arguments {
    /// The measurements, a line of JSON each.
    measurements: PathBuf,
    /// Where the results go; the folder is there.
    #[arg(long)]
    out: PathBuf,
    /// What was built.
    #[arg(long)]
    commit: String,
    /// How it was built.
    #[arg(long)]
    profile: String,
    /// The compiler's version.
    #[arg(long)]
    rustc: String,
    /// How long each measurement took.
    #[arg(long)]
    seconds: f64,
}

/// From so many percent of the CPU on that others use, a reader is warned.
const BUSY: f64 = 10.0;

/// Where it was measured.
#[derive(Debug, Serialize)]
struct Machine {
    cpu: String,
    cores: usize,
    kernel: String,
    rustc: String,
    commit: String,
    profile: String,
    fdatasync_p50_us: Option<f64>,
    fdatasync_p99_us: Option<f64>,
    /// How much of the CPU others used before the rounds.
    others_busy_percent: Option<f64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let lines = fs::read_to_string(&arguments.measurements)?;
    let measurements: Vec<Measurement> =
        lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let rounds = Rounds::new(&measurements);
    let machine = machine(&arguments, &rounds)?;
    let count = measurements.iter().map(|measured| measured.round).max().unwrap_or(0);
    let results = json!({
        "machine": machine,
        "rounds": count,
        "seconds": arguments.seconds,
        "rows": rounds.rows(),
        "open_loop_p99_bound_us": rounds.spread("bound", "p99_us"),
        "measurements": measurements,
    });
    fs::write(arguments.out.join("results.json"), serde_json::to_vec_pretty(&results)?)?;
    let length = format!("{count} of {} s", arguments.seconds);
    fs::write(arguments.out.join("report.html"), page::page(&facts(&machine, length), &rounds))?;
    print!("{}", page::markdown(&rounds.rows()));
    if let Some(busy) = machine.others_busy_percent.filter(|busy| *busy > BUSY) {
        eprintln!("others used {busy:.0} % of the CPU meanwhile: look at the spread first");
    }
    Ok(())
}

fn machine(arguments: &Arguments, rounds: &Rounds) -> Result<Machine, Box<dyn Error>> {
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    // ARM's has no such line.
    let cpu = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let median = |what, name| rounds.spread(what, name).map(|spread| spread.median);
    Ok(Machine {
        cpu: cpu.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.to_owned()),
        cores: std::thread::available_parallelism()?.get(),
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        rustc: arguments.rustc.clone(),
        commit: arguments.commit.clone(),
        profile: arguments.profile.clone(),
        fdatasync_p50_us: median("sync", "fdatasync_p50_us"),
        fdatasync_p99_us: median("sync", "fdatasync_p99_us"),
        others_busy_percent: median("others", "busy_percent"),
    })
}

fn facts(machine: &Machine, rounds: String) -> [(&'static str, String); 7] {
    let whole =
        |figure: Option<f64>| figure.map_or("?".to_owned(), |figure| format!("{figure:.0}"));
    let (p50, p99) = (whole(machine.fdatasync_p50_us), whole(machine.fdatasync_p99_us));
    let others = whole(machine.others_busy_percent);
    [
        ("CPU", format!("{}, {} cores", machine.cpu, machine.cores)),
        ("Kernel", machine.kernel.clone()),
        ("Disk", format!("fdatasync p50 {p50} µs, p99 {p99} µs")),
        ("Build", format!("{}, profile {}", machine.rustc, machine.profile)),
        ("Commit", machine.commit.clone()),
        ("Rounds", rounds),
        ("Others", format!("used {others} % of the CPU before the rounds")),
    ]
}
