//! Measures random reads of 4 KiB with O_DIRECT: how many a second, and how long they take.
//!
//! `cargo run --release --example random_reads -- FILE [DEPTH] [SECONDS]`

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use uaio::{BufferPool, Context, Operation};

/// Bytes of one read.
const BLOCK: usize = 4096;

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let Some(name) = args.next() else {
        eprintln!("usage: random_reads FILE [DEPTH] [SECONDS]");
        std::process::exit(2);
    };
    let depth: usize = args.next().and_then(|text| text.parse().ok()).unwrap_or(32);
    let seconds = args.next().and_then(|text| text.parse().ok()).unwrap_or(3);
    let file = File::options().read(true).custom_flags(libc::O_DIRECT).open(name)?;
    let mut times = measure(&file, depth, Duration::from_secs(seconds))?;
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 1000).copied().unwrap_or_default();
    println!("{:.0} reads a second", times.len() as f64 / seconds as f64);
    println!("p50 {:?}  p99 {:?}  p99.9 {:?}  max {:?}", at(500), at(990), at(999), at(1000 - 1));
    Ok(())
}

/// How long each read took, with `depth` of them in flight.
fn measure(file: &File, depth: usize, time: Duration) -> std::io::Result<Vec<Duration>> {
    let blocks = (file.metadata()?.len() / BLOCK as u64).max(1);
    let context = Context::new(depth as u32)?;
    let pool = BufferPool::new(depth, BLOCK, BLOCK);
    let mut done = context.completions();
    let (mut started, mut times) = (HashMap::with_capacity(depth), Vec::new());
    let (begin, mut random) = (Instant::now(), 0x2545_f491_4f6c_dd1du64);
    while begin.elapsed() < time {
        while let Some(buffer) = pool.take() {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let now = Instant::now();
            let id = done.submit(Operation::read(file, buffer, random % blocks * BLOCK as u64))?;
            started.insert(id, now);
        }
        // One, with waiting, and those that came with it.
        let mut next = done.next();
        while let Some(one) = next {
            one.result?;
            times.extend(started.remove(&one.id).map(|at| at.elapsed()));
            next = done.try_next();
        }
    }
    Ok(times)
}
