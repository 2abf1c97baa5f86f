//! `uaio bench`: jobs over the six calls, ours beside the kernel's in one run.
//!
//! Each side of a comparison lives in a process of its own (`turns`), and they take turns (`interleave`). A job is
//! one file in `jobs`.

mod blocks;
mod calls;
mod goal;
mod goals;
mod ground;
mod interleave;
mod job;
mod jobs;
mod load;
mod median;
mod outcome;
mod plot;
mod queue;
mod request;
mod side;
mod summary;
mod table;
mod turns;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use self::ground::Files;
use self::interleave::Plan;
use self::job::Job;
use self::outcome::{JobOutcome, Outcome, RowOutcome};
use self::side::Side;
use crate::failure::Failure;

/// Measure uaio beside the kernel's AIO
///
/// All sides of a comparison take turns in one run, so that whatever else the machine does meets all of them.
/// "Times kernel" is how many times as fast a side is, taken round by round. A goal that lies within the interval
/// is neither reached nor missed: it is not shown.
#[derive(clap::Args, Debug)]
#[command(after_help = after_help())]
pub struct Args {
    /// What to measure [default: everything]
    #[arg(value_name = "JOB", value_parser = parse_job)]
    jobs: Vec<&'static str>,
    /// Beside the kernel's AIO: engines of uaio, io_uring, posix
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = Side::parse, default_value = side::DEFAULT)]
    engines: Vec<Side>,
    /// Read this file or block device; it is never written [default: a file of our own, removed afterwards]
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// How often each side takes its turn; fewer than 21 claim nothing
    #[arg(long, value_name = "N", default_value_t = median::SAMPLES_MIN, value_parser = parse_pairs)]
    pairs: usize,
    /// A first impression: short samples, 5 of each unless --pairs says otherwise, small files
    #[arg(long)]
    quick: bool,
    /// Write the figures and all samples into FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the comparison into FILE
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// For the processes of the sides
    #[arg(long, hide = true)]
    task: Option<String>,
}

fn after_help() -> String {
    let width = jobs::ALL.iter().map(|job| job.name().len()).max().unwrap_or(0);
    let lines = jobs::ALL.iter().map(|job| format!("  {:width$}  {}\n", job.name(), job.what()));
    format!("Jobs:\n{}", lines.collect::<String>())
}

fn parse_job(text: &str) -> Result<&'static str, String> {
    let found = jobs::ALL.iter().find(|job| job.name() == text);
    found.map(|job| job.name()).ok_or_else(|| "no such job; --help lists them".into())
}

fn parse_pairs(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|pairs| *pairs > 0).ok_or_else(|| "not a number above 0".into())
}

impl Args {
    fn selected(&self) -> impl Iterator<Item = &'static dyn Job> {
        jobs::ALL.iter().copied().filter(|job| self.jobs.is_empty() || self.jobs.contains(&job.name()))
    }

    fn sides(&self) -> Vec<Side> {
        let mut sides = vec![Side::Kernel];
        for side in &self.engines {
            if !sides.contains(side) {
                sides.push(*side);
            }
        }
        sides
    }

    fn rounds(&self) -> usize {
        let default = self.pairs == median::SAMPLES_MIN;
        if self.quick && default { 5 } else { self.pairs }
    }
}

/// Measures, prints, and writes the files.
pub fn run(args: &Args) -> Result<i32, Failure> {
    if let Some(task) = &args.task {
        return turns::serve(task, jobs::ALL);
    }
    let size = if args.quick { 16 << 20 } else { 256 << 20 };
    let files = Files::prepare(args.file.as_deref(), size, size / 4)?;
    println!("{}\n", table::heading(&files.ground.found, args.rounds()));
    let outcome = measure(args, &files)?;
    print!("{}{}", summary::goals(&outcome, &args.sides()), table::load(&outcome));
    if let Some(file) = &args.json {
        let text = serde_json::to_string_pretty(&outcome).expect("only strings and numbers");
        write(file, &(text + "\n"))?;
    }
    if let Some(file) = &args.plot {
        write(file, &plot::svg(&outcome))?;
    }
    let wrong = outcome.jobs.iter().flat_map(|job| &job.rows).flat_map(|row| &row.sides);
    Ok(i32::from(wrong.into_iter().any(|side| !side.complaints.is_empty())))
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    fs::write(file, text).map_err(|e| Failure::plain(format!("{}: {e}", file.display())))
}

fn measure(args: &Args, files: &Files) -> Result<Outcome, Failure> {
    let load_before = load();
    let jobs = args.selected().map(|job| one_job(job, args, files)).collect();
    Ok(Outcome {
        uaio: env!("CARGO_PKG_VERSION"),
        kernel: table::kernel(),
        processors: table::processors(),
        load_before,
        load_after: load(),
        file: files.ground.found.clone(),
        pairs: args.rounds(),
        jobs,
    })
}

/// One job; its table is printed as soon as it is there.
fn one_job(job: &dyn Job, args: &Args, files: &Files) -> JobOutcome {
    let sides = args.sides();
    let rows = job.rows(&files.ground);
    let patience = Duration::from_secs(if args.quick { 2 } else { 8 });
    let plan =
        Plan { sides: &sides, rounds: args.rounds(), slice: if args.quick { 0.005 } else { 0.02 }, patience };
    let bar = progress(rows.len() * plan.rounds);
    let mut outcomes = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        bar.set_message(format!("{}: {}", job.name(), row.name));
        let begun = (number * plan.rounds) as u64;
        let tick = |done, all| bar.set_position(begun + (plan.rounds * done / all) as u64);
        let series = interleave::measure(job, (number, row), &files.ground, plan, tick);
        let goals = goals::of(job.name(), &row.name, &files.ground);
        outcomes.push(RowOutcome::of(row, &goals, &series));
    }
    bar.finish_and_clear();
    let outcome = JobOutcome { job: job.name(), what: job.what(), rows: outcomes };
    println!("{}", table::job(&outcome));
    outcome
}

/// Shown only where standard error is a terminal.
fn progress(steps: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}");
    ProgressBar::new(steps as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Processes that want to run, over the last minute.
fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}
