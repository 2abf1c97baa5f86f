//! `uaio-differential`: see README.md beside this crate.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use uaio_differential::calls::Engine;
use uaio_differential::run::{Bench, Options, is_possible, report, run};
use uaio_differential::{generate, show};

/// Runs random sequences of AIO calls on the kernel and on uaio, and compares.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// First seed. Alone, it replays that one sequence.
    #[arg(long)]
    seed: Option<u64>,
    /// How many sequences.
    #[arg(long)]
    count: Option<u64>,
    /// Which engine of ours.
    #[arg(long, value_enum, default_value = "auto")]
    engine: Engine,
    /// Sequences at once; they mostly wait.
    #[arg(long, default_value_t = 24)]
    jobs: usize,
    /// Begins no sequence after so many minutes.
    #[arg(long)]
    minutes: Option<f64>,
    /// Stops after so many differences.
    #[arg(long, default_value_t = 1)]
    failures: usize,
    /// Leaves differing sequences as long as they are.
    #[arg(long)]
    no_shrink: bool,
    /// Where files go; its file system must have O_DIRECT.
    #[arg(long, default_value = "/var/tmp")]
    dir: PathBuf,
    /// Prints the sequence of --seed and both records.
    #[arg(long)]
    verbose: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or(1);
    if arguments.verbose {
        show_one(&arguments, seed);
    }
    let unbounded = if arguments.minutes.is_some() { u64::MAX } else { 1000 };
    let count = arguments.count.unwrap_or(if arguments.seed.is_some() { 1 } else { unbounded });
    let options = Options {
        engine: arguments.engine,
        seed,
        count,
        jobs: arguments.jobs.min(usize::try_from(count).unwrap_or(usize::MAX)).max(1),
        limit: arguments.minutes.map(|m| Duration::from_secs_f64(m * 60.0)),
        dir: arguments.dir,
        progress: true,
        failures: arguments.failures,
        shrinks: !arguments.no_shrink,
    };
    if let Err(why) = is_possible(options.engine, &options.dir) {
        eprintln!("engine {} cannot be compared here: {why}", options.engine);
        return ExitCode::from(2);
    }
    let summary = run(&options);
    for failure in &summary.failures {
        println!("{}", report(failure, options.engine));
    }
    println!(
        "engine {}: {} sequences from seed {seed} on in {:.1} s, {} differences",
        options.engine,
        summary.sequences,
        summary.seconds,
        summary.failures.len()
    );
    if summary.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn show_one(arguments: &Arguments, seed: u64) {
    let plan = generate::plan(seed);
    println!("{}", show::plan(&plan));
    let [kernel, ours] = Bench::new(arguments.engine, &arguments.dir, 0).records(&plan);
    println!("kernel:\n{kernel}\nours:\n{ours}");
}
