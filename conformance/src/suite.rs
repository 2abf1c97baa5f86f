//! Runs the cases that are asked for, and prints how they end.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::aio::Target;
use crate::alone::Alone;
use crate::case::Case;
use crate::list;
use crate::options::Args;
use crate::report::{Report, Score};
use crate::runner::{self, Outcome, no_fork_now, probe};
use crate::together::Together;

/// Exit statuses.
pub const FAILED: i32 = 1;
pub const USAGE: i32 = 2;
pub const UNAVAILABLE: i32 = 77;

/// Does what `args` ask for with `target`, which may have a name of its own; gives the exit status: 0 when no case
/// failed, 1 when one did, 77 when the target cannot be tried here. Err: what is wrong with the usage.
///
/// To be called while the process has one thread.
pub fn perform(args: &Args, target: Target, name: Option<&str>) -> Result<i32, String> {
    let cases = args.cases()?;
    if args.list || args.rows {
        print(&if args.list { list::cases(&cases, args.format) } else { list::rows(&cases, args.format) });
        return Ok(0);
    }
    let target = args.on_engine(target)?;
    if let Some(engine) = args.engine {
        // SAFETY: there is one thread.
        unsafe { std::env::set_var("UAIO_ENGINE", engine.name()) };
    }
    let title = title(args, &target, name);
    let suite = match Suite::new(args, target) {
        Ok(suite) => suite,
        Err(why) => {
            eprintln!("{title} cannot be tried here: {why}");
            return Ok(UNAVAILABLE);
        }
    };
    let mut report = Report::new(args.format, &title, cases.len());
    print(&report.start());
    let mut score = Score::default();
    suite.run(&cases, |case, outcome| {
        score.count(case.level, outcome);
        print(&report.case(case, outcome));
    });
    print(&report.end(&score));
    Ok(if score.failed() > 0 { FAILED } else { 0 })
}

/// The target, and the engine where the target does not tell.
fn title(args: &Args, target: &Target, name: Option<&str>) -> String {
    let name = name.map_or_else(|| target.to_string(), str::to_owned);
    match args.engine {
        Some(engine) if !matches!(target, Target::Core(_)) => format!("{name}, engine {}", engine.name()),
        _ => name,
    }
}

/// Whoever reads may have gone.
fn print(text: &str) {
    let _now = no_fork_now();
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

struct Suite {
    target: Target,
    limit: Duration,
    jobs: u64,
    alone: Option<Alone>,
}

impl Suite {
    /// An error when the target cannot be tried.
    fn new(args: &Args, target: Target) -> Result<Suite, String> {
        let limit = Duration::from_secs(args.limit);
        let alone = if args.no_fork { Some(Alone::new(&target)?) } else { None };
        let suite = Suite { target, limit, jobs: args.jobs, alone };
        suite.one(&probe()).why().map_or(Ok(suite), Err)
    }

    fn one(&self, case: &Case) -> Outcome {
        match &self.alone {
            Some(alone) => alone.run(case, self.limit),
            None => runner::run(case, &self.target, self.limit),
        }
    }

    /// On this thread.
    fn run_here(&self, cases: &[Case], mut each: impl FnMut(&Case, &Outcome)) {
        cases.iter().for_each(|case| each(case, &self.one(case)));
    }

    /// `each` gets the cases in their order.
    fn run(&self, cases: &[Case], mut each: impl FnMut(&Case, &Outcome)) {
        if self.jobs == 1 {
            return self.run_here(cases, each);
        }
        let next = AtomicUsize::new(0);
        let (sender, receiver) = channel();
        let together = Together::default();
        let work = |_| {
            while let index = next.fetch_add(1, Ordering::Relaxed)
                && let Some(case) = cases.get(index)
            {
                let outcome = runner::run(case, &self.target, self.limit);
                sender.clone().send((index, outcome)).expect("the receiver is there");
            }
        };
        std::thread::scope(|scope| {
            if together.start(scope, self.jobs as usize, &work).is_err() {
                return self.run_here(cases, each);
            }
            let mut waiting = BTreeMap::new();
            for (index, case) in cases.iter().enumerate() {
                let outcome = loop {
                    match waiting.remove(&index) {
                        Some(outcome) => break outcome,
                        None => waiting.extend([receiver.recv().expect("each case has an outcome")]),
                    }
                };
                each(case, &outcome);
            }
        });
    }
}
