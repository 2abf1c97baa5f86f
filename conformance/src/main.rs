//! `uaio-conformance`: the cases as a program.

use std::time::Duration;

use clap::Parser;
use uaio_conformance::aio::Target;
use uaio_conformance::case::Level;
use uaio_conformance::cases;
use uaio_conformance::runner::{Outcome, run, unavailable};

/// Runs the conformance cases of Linux AIO on an implementation.
#[derive(Parser)]
struct Options {
    /// kernel, core[=ENGINE], syscall (whatever libc's syscall leads to), or libaio=PATH
    #[arg(long, default_value = "kernel")]
    target: Target,
    /// Only cases whose name contains this
    #[arg(long, default_value = "")]
    case: String,
    /// Only cases of this level: contract, linux, quirk
    #[arg(long)]
    level: Option<String>,
    /// Lists the cases with their sources, and runs none
    #[arg(long)]
    list: bool,
    /// Prints TAP instead of a table
    #[arg(long)]
    tap: bool,
    /// Seconds for one case
    #[arg(long, default_value_t = 20)]
    limit: u64,
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Contract => "contract",
        Level::Linux => "linux",
        Level::Quirk => "quirk",
    }
}

fn main() {
    let options = Options::parse();
    let wanted = |c: &&uaio_conformance::case::Case| {
        c.name.contains(&options.case) && options.level.as_deref().is_none_or(|l| l == level_name(c.level))
    };
    let all = cases::all();
    let chosen: Vec<_> = all.iter().filter(wanted).collect();
    if options.list {
        chosen.iter().for_each(|c| println!("{:60} {:9} {}", c.name, level_name(c.level), c.source));
        return;
    }
    if let Some(why) = unavailable(&options.target) {
        println!("{} cannot be tried here: {why}", options.target);
        std::process::exit(77);
    }
    if options.tap {
        println!("1..{}", chosen.len());
    }
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (number, case) in chosen.iter().enumerate() {
        let outcome = run(case, &options.target, Duration::from_secs(options.limit));
        let word = match &outcome {
            Outcome::Passed => "ok",
            Outcome::Failed(_) => "not ok",
            Outcome::NotApplicable(_) => "n/a",
        };
        let note = match &outcome {
            Outcome::Passed => String::new(),
            Outcome::Failed(why) => format!("\n  source: {}\n  {}", case.source, why.replace('\n', "\n  ")),
            Outcome::NotApplicable(why) => format!(" # SKIP {why}"),
        };
        match outcome {
            Outcome::Passed => passed += 1,
            Outcome::Failed(_) => failed += 1,
            Outcome::NotApplicable(_) => skipped += 1,
        }
        if options.tap {
            let word = if word == "n/a" { "ok" } else { word };
            println!("{word} {} - {}{}", number + 1, case.name, note.replace('\n', "\n# "));
        } else {
            println!("{word:7} {}{note}", case.name);
        }
    }
    println!("{}: {passed} passed, {failed} failed, {skipped} not applicable", options.target);
    std::process::exit(i32::from(failed > 0));
}
