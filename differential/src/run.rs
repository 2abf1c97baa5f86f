//! Many sequences at once, and what is made of those that differ.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use uaio_conformance::together::Together;

use crate::calls::{Engine, Side};
use crate::child::Child;
use crate::plan::{Plan, Step};
use crate::record::{Record, first_difference};
use crate::{generate, show, shrink};

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Options {
    pub engine: Engine,
    /// Seeds `seed` to `seed + count - 1`.
    pub seed: u64,
    pub count: u64,
    pub jobs: usize,
    /// No new sequence is begun after it.
    pub limit: Option<Duration>,
    /// Where the sequences' directories go.
    pub dir: PathBuf,
    /// Says on standard error how far it is.
    pub progress: bool,
    /// Goes on after a difference, until so many were found.
    pub failures: usize,
    /// Differences are made as short as possible.
    pub shrinks: bool,
}

/// A sequence whose records differ.
#[derive(Clone, Debug)]
pub struct Failure {
    pub seed: u64,
    pub difference: String,
    /// The plan, shrunk when it differs each time.
    pub plan: Plan,
    /// How many of some further tries differed, too.
    pub again: String,
}

#[derive(Debug, Default)]
pub struct Summary {
    pub sequences: u64,
    pub failures: Vec<Failure>,
    pub seconds: f64,
}

/// A pair of processes' places: one runs at a time.
pub struct Bench {
    engine: Engine,
    records: [Record; 2],
    dir: PathBuf,
    cpu: usize,
    turn: u64,
}

impl Bench {
    pub fn new(engine: Engine, dir: &Path, job: usize) -> Bench {
        let dir = dir.join(format!("uaio-differential-{}-{job}", std::process::id()));
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Bench { engine, records: [Record::new(), Record::new()], dir, cpu: job % cpus, turn: 0 }
    }

    /// Both records of a plan.
    pub fn records(&mut self, plan: &Plan) -> [String; 2] {
        self.turn += 1;
        let sides = [(Side::Kernel { beside: self.engine }, "kernel"), (Side::Ours(self.engine), "ours")];
        let children = std::array::from_fn::<_, 2, _>(|i| {
            let dir = self.dir.join(format!("{}-{}", self.turn, sides[i].1));
            Child::start(plan, sides[i].0, self.records[i], &dir, self.cpu)
        });
        children.map(Child::finish)
    }

    /// The first difference, if any. What the account does not expect of the kernel is a fault of the account.
    pub fn difference(&mut self, plan: &Plan) -> Option<String> {
        let [kernel, ours] = self.records(plan);
        let strange = kernel.lines().find(|l| l.starts_with("UNEXPECTED") || l.starts_with("HANGS"));
        first_difference(&kernel, &ours).or_else(|| strange.map(|line| format!("on both sides: {line}")))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Why the kernel's AIO, or that engine, cannot be had here.
pub fn is_possible(engine: Engine, dir: &Path) -> Result<(), String> {
    let plan = Plan { steps: vec![Step::Setup { n: 0, nr_events: 1 }] };
    let records = Bench::new(engine, dir, 0).records(&plan);
    let says = |record: &str| record.lines().find(|l| l.starts_with("io_setup")).unwrap_or("nothing").to_string();
    match records.iter().position(|r| !says(r).starts_with("io_setup(1) = 0;")) {
        None => Ok(()),
        Some(0) => Err(format!("the kernel: {}", says(&records[0]))),
        Some(_) => Err(format!("ours: {}", says(&records[1]))),
    }
}

/// Runs all sequences.
pub fn run(options: &Options) -> Summary {
    let started = Instant::now();
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let failures = Mutex::new(Vec::new());
    let done = AtomicU64::new(0);
    let together = Together::default();
    let work = |job| {
        let mut bench = Bench::new(options.engine, &options.dir, job);
        while !stop.load(Ordering::SeqCst) && options.limit.is_none_or(|limit| started.elapsed() < limit) {
            let index = next.fetch_add(1, Ordering::SeqCst);
            if index >= options.count {
                break;
            }
            let failure = one(&mut bench, options.seed + index);
            let done = done.fetch_add(1, Ordering::SeqCst) + 1;
            tell(options, done, started);
            if let Some(failure) = failure {
                let mut all = failures.lock().expect("no thread panics with it");
                all.push(failure);
                stop.fetch_or(all.len() >= options.failures, Ordering::SeqCst);
            }
        }
    };
    std::thread::scope(|scope| _ = together.start(scope, options.jobs, &work).expect("a thread starts"));
    let mut found = failures.into_inner().expect("no thread panics with it");
    found.sort_by_key(|f: &Failure| f.seed);
    let mut bench = Bench::new(options.engine, &options.dir, options.jobs);
    found.truncate(options.failures);
    let failures =
        if options.shrinks { found.into_iter().map(|f| shrink::shrink(&mut bench, f)).collect() } else { found };
    let sequences = done.load(Ordering::SeqCst);
    Summary { sequences, failures, seconds: started.elapsed().as_secs_f64() }
}

fn one(bench: &mut Bench, seed: u64) -> Option<Failure> {
    let plan = generate::plan(seed);
    let difference = bench.difference(&plan)?;
    Some(Failure { seed, difference, plan, again: String::new() })
}

fn tell(options: &Options, done: u64, started: Instant) {
    let every = (options.count / 10).clamp(100, 2000);
    if options.progress && done.is_multiple_of(every) {
        let each = started.elapsed().as_secs_f64() * 1000.0 / done as f64;
        eprintln!("{done} of {} sequences, {each:.1} ms each", options.count);
    }
}

/// A failure as it is printed.
pub fn report(failure: &Failure, engine: Engine) -> String {
    format!(
        "seed {}: {}\nthe sequence{}:\n{}replay: uaio-differential --seed {} --engine {engine}\n",
        failure.seed,
        failure.difference,
        failure.again,
        show::plan(&failure.plan),
        failure.seed
    )
}
