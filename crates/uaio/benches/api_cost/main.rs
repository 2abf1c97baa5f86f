//! What the safe API costs over `uaio::sys`: CPU time of the whole process per request, user and system, of the jobs of `uaio
//! bench` with 32 requests in flight. Both sides make the same calls: one io_submit for a batch, one io_getevents for what has
//! come; they take turns, and the figure is the median of the pairs' ratios, with the interval that holds the true one
//! 19 times of 20.
//!
//! `cargo bench -p uaio --bench api_cost -- [--pairs N] [WORD OF A NAME]`; as a test (`cargo test --benches`) it runs a few
//! requests only.
// The raw half calls C the way a program does.
#![allow(clippy::undocumented_unsafe_blocks)]

mod jobs;
mod raw;
mod safe;

use jobs::{Ground, Job};

/// Requests in flight.
pub const DEPTH: usize = 32;

/// One way to do a job.
pub trait Side {
    /// Does so many requests, and leaves none in flight.
    fn run(&mut self, requests: usize);
}

fn main() {
    // As the safe API's contexts do: so both get the same engine, and the difference is the API's.
    // SAFETY: one thread, and no context yet.
    unsafe { std::env::set_var("UAIO_CANCEL", "extended") };
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench").peekable();
    let measured = std::env::args().any(|arg| arg == "--bench");
    let asked = args.next_if(|arg| arg == "--pairs").and_then(|_| args.next()?.parse().ok());
    let pairs = asked.unwrap_or(if measured { 41 } else { 1 });
    let word = args.next().unwrap_or_default();
    let ground = Ground::new();
    for job in jobs::all(&ground).iter().filter(|job| job.name.contains(&word)) {
        for (how, mut side) in [("", safe::owned(job)), (", pool", safe::pooled(job))] {
            compare(job, how, &mut *raw::open(job), &mut *side, pairs, if measured { 1 } else { 100 });
        }
    }
}

/// Both sides in turn, each first as often as the other.
fn compare(job: &Job, how: &str, raw: &mut dyn Side, safe: &mut dyn Side, pairs: usize, part: usize) {
    let requests = job.requests.div_ceil(part);
    let sample = |side: &mut dyn Side| {
        job.rest();
        cpu(|| side.run(requests)) / requests as f64
    };
    let mut pair = |number: usize| {
        if number.is_multiple_of(2) {
            let low = sample(raw);
            (low, sample(safe))
        } else {
            let high = sample(safe);
            (sample(raw), high)
        }
    };
    pair(0);
    let mut pairs: Vec<(f64, f64)> = (0..pairs).map(&mut pair).collect();
    pairs.sort_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)));
    let ratio = |rank: usize| pairs[rank].1 / pairs[rank].0;
    let (half, reach) = (pairs.len() / 2, (pairs.len() as f64).sqrt() as usize);
    let (low, high) = (ratio(half - reach.min(half)), ratio((half + reach).min(pairs.len() - 1)));
    let (sys, ours) = (median(&pairs, |pair| pair.0), median(&pairs, |pair| pair.1));
    let name = format!("{}{how}", job.name);
    println!(
        "{name:36} sys {sys:6.0} ns  safe {ours:6.0} ns  ratio {:.3} ({low:.3} .. {high:.3}), {} pairs",
        ratio(half),
        pairs.len()
    );
}

fn median(pairs: &[(f64, f64)], which: impl Fn(&(f64, f64)) -> f64) -> f64 {
    let mut values: Vec<f64> = pairs.iter().map(which).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// CPU time that `body` takes, in nanoseconds, of all threads.
fn cpu(body: impl FnOnce()) -> f64 {
    let now = || {
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
        let nanoseconds = |time: libc::timeval| time.tv_sec as f64 * 1e9 + time.tv_usec as f64 * 1e3;
        nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime)
    };
    let before = now();
    body();
    now() - before
}
