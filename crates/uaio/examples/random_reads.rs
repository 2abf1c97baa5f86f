//! Measures random reads of 4 KiB with O_DIRECT: how many a second, and how long they take.
//!
//! `cargo run --release --example random_reads -- FILE [DEPTH] [SECONDS]`

use std::collections::HashMap;
use std::fs::File;
use std::io::{Error, Result};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use uaio::{BufferPool, Context, Operation};

/// Bytes of one read.
const BLOCK: usize = 4096;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, unset: u32| args.get(at).map_or(Ok(unset), |text| text.parse());
    let (Some(name), Ok(depth @ 1..), Ok(seconds @ 1..), true) =
        (args.first(), number(1, 32), number(2, 3), args.len() <= 3)
    else {
        eprintln!("usage: random_reads FILE [DEPTH, at least 1] [SECONDS, at least 1]");
        std::process::exit(2);
    };
    if let Err(why) = report(name, depth, Duration::from_secs(seconds.into())) {
        eprintln!("random_reads: {name}: {why}");
        std::process::exit(1);
    }
}

fn report(name: &str, depth: u32, time: Duration) -> Result<()> {
    let file = File::options().read(true).custom_flags(libc::O_DIRECT).open(name)?;
    let blocks = file.metadata()?.len() / BLOCK as u64;
    if blocks == 0 {
        return Err(Error::other("shorter than one block of 4096 bytes"));
    }
    let begin = Instant::now();
    let mut times = measure(&file, blocks, depth, time)?;
    let seconds = begin.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!("{:.0} reads a second, {depth} in flight", times.len() as f64 / seconds);
    println!("p50 {:?}  p99 {:?}  p99.9 {:?}  max {:?}", at(0.5), at(0.99), at(0.999), at(1.0));
    Ok(())
}

/// How long each read took.
fn measure(file: &File, blocks: u64, depth: u32, time: Duration) -> Result<Vec<Duration>> {
    let context = Context::new(depth)?;
    let pool = BufferPool::new(depth as usize, BLOCK, BLOCK);
    let mut done = context.completions();
    let (mut started, mut times) = (HashMap::with_capacity(depth as usize), Vec::new());
    let (begin, mut random) = (Instant::now(), 0x2545_f491_4f6c_dd1d);
    loop {
        while begin.elapsed() < time
            && let Some(buffer) = pool.take()
        {
            let now = Instant::now();
            let id = done.submit(Operation::read(file, buffer, next(&mut random) % blocks * BLOCK as u64))?;
            started.insert(id, now);
        }
        let before = times.len();
        for one in done.next_batch() {
            one.result?;
            times.extend(started.remove(&one.id).map(|at| at.elapsed()));
        }
        if times.len() == before {
            return Ok(times);
        }
    }
}

/// Marsaglia's xorshift.
fn next(random: &mut u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random
}
