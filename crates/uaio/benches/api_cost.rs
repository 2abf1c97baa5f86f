//! What the safe API costs over `uaio::sys`: CPU time of the whole process per request, with 32 requests in flight, as the
//! median over interleaved pairs. Both sides make the same calls: one io_submit for a batch, one io_getevents for what has come.
//!
//! `cargo bench -p uaio --bench api_cost`; as a test (`cargo test --benches`) it runs a few requests only.
// The raw half calls C the way a program does.
#![allow(clippy::undocumented_unsafe_blocks)]

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use uaio::sys::{self, IOCB_CMD_PREAD, IoEvent, Iocb};
use uaio::{AlignedBuf, BufferPool, Context, Operation};

const DEPTH: usize = 32;
const BLOCK: usize = 4096;
/// Blocks of the file.
const BLOCKS: u64 = 1024;

/// One job: what it reads, and how many are submitted at once.
struct Job {
    name: &'static str,
    file: File,
    batch: usize,
    requests: usize,
}

fn main() {
    let measured = std::env::args().any(|arg| arg == "--bench");
    let (pairs, part) = if measured { (25, 1) } else { (1, 100) };
    let place = tempfile::NamedTempFile::new_in("/var/tmp").unwrap();
    std::fs::write(place.path(), vec![1u8; BLOCK * BLOCKS as usize]).unwrap();
    place.as_file().sync_all().unwrap();
    let warm = || File::open(place.path()).unwrap();
    let direct = || File::options().read(true).custom_flags(libc::O_DIRECT).open(place.path());
    let mut jobs = vec![
        Job { name: "warm buffered, one by one", file: warm(), batch: 1, requests: 100_000 / part },
        Job { name: "warm buffered, batch 16", file: warm(), batch: 16, requests: 100_000 / part },
        Job {
            name: "/dev/zero, batch 16",
            file: File::open("/dev/zero").unwrap(),
            batch: 16,
            requests: 100_000 / part,
        },
    ];
    for (name, batch) in [("O_DIRECT, one by one", 1), ("O_DIRECT, batch 16", 16)] {
        jobs.extend(direct().ok().map(|file| Job { name, file, batch, requests: 4_000 / part }));
    }
    for job in &jobs {
        compare(job, pairs);
    }
}

/// Both sides in turn, each first as often as the other.
fn compare(job: &Job, pairs: usize) {
    let each = |seconds: f64| seconds * 1e9 / job.requests as f64;
    for (how, side) in [("", safe as fn(&Job)), (", pool", pooled)] {
        let pair = |number: usize| {
            if number.is_multiple_of(2) {
                let low = cpu(|| raw(job));
                (low, cpu(|| side(job)))
            } else {
                let high = cpu(|| side(job));
                (cpu(|| raw(job)), high)
            }
        };
        pair(0);
        let mut samples: Vec<(f64, f64)> = (0..pairs).map(pair).collect();
        samples.sort_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)));
        let (low, high) = samples[samples.len() / 2];
        let name = format!("{}{how}", job.name);
        println!("{name:34} sys {:7.0} ns  safe {:7.0} ns  ratio {:.3}", each(low), each(high), high / low);
    }
}

/// CPU time that `body` takes, in seconds, of all threads.
fn cpu(body: impl FnOnce()) -> f64 {
    let now = || {
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        seconds(usage.ru_utime) + seconds(usage.ru_stime)
    };
    let before = now();
    body();
    now() - before
}

fn offset(number: usize) -> u64 {
    number as u64 * 7919 % BLOCKS * BLOCK as u64
}

fn raw(job: &Job) {
    let mut buffers: Vec<AlignedBuf> = (0..DEPTH).map(|_| AlignedBuf::new(BLOCK, BLOCK)).collect();
    let mut iocbs = vec![Iocb::default(); DEPTH];
    let mut free: Vec<usize> = (0..DEPTH).collect();
    let mut events = [IoEvent::default(); DEPTH];
    let (mut ctx, mut submitted, mut ended) = (0, 0, 0);
    unsafe { sys::io_setup(DEPTH as u32, &mut ctx) }.unwrap();
    while ended < job.requests {
        while submitted < job.requests && free.len() >= job.batch.min(job.requests - submitted) {
            let mut list = [std::ptr::null_mut(); DEPTH];
            let count = job.batch.min(job.requests - submitted);
            for place in &mut list[..count] {
                let index = free.pop().unwrap();
                iocbs[index] = Iocb {
                    data: index as u64,
                    opcode: IOCB_CMD_PREAD,
                    fildes: job.file.as_raw_fd() as u32,
                    buf: buffers[index].as_mut_ptr() as u64,
                    nbytes: BLOCK as u64,
                    offset: offset(submitted) as i64,
                    ..Iocb::default()
                };
                *place = &raw mut iocbs[index];
                submitted += 1;
            }
            assert_eq!(unsafe { sys::io_submit(ctx, count as isize, list.as_mut_ptr()) }, Ok(count));
        }
        let got =
            unsafe { sys::io_getevents(ctx, 1, DEPTH as isize, events.as_mut_ptr(), std::ptr::null()) }.unwrap();
        for event in &events[..got] {
            assert_eq!(event.res, BLOCK as i64);
            free.push(event.data as usize);
        }
        ended += got;
    }
    unsafe { sys::io_destroy(ctx) }.unwrap();
}

/// The same with the safe API; the buffers go back and forth, as above.
fn safe(job: &Job) {
    let mut buffers: Vec<AlignedBuf> = (0..DEPTH).map(|_| AlignedBuf::new(BLOCK, BLOCK)).collect();
    let context = Context::new(DEPTH as u32).unwrap();
    let mut done = context.completions();
    let (mut submitted, mut ended) = (0, 0);
    while ended < job.requests {
        while submitted < job.requests && buffers.len() >= job.batch.min(job.requests - submitted) {
            let count = job.batch.min(job.requests - submitted);
            let mut read = |i: usize| Operation::read(&job.file, buffers.pop().unwrap(), offset(submitted + i));
            if count == 1 {
                done.submit(read(0)).unwrap();
            } else {
                assert_eq!(done.submit_all((0..count).map(read)).accepted.len(), count);
            }
            submitted += count;
        }
        for one in done.next_batch() {
            assert_eq!(one.result, Ok(BLOCK));
            buffers.push(one.buffer);
            ended += 1;
        }
    }
}

/// As [`safe`], with buffers from a pool, which go back to it each time.
fn pooled(job: &Job) {
    let pool = BufferPool::new(DEPTH, BLOCK, BLOCK);
    let context = Context::new(DEPTH as u32).unwrap();
    let mut done = context.completions();
    let (mut submitted, mut ended) = (0, 0);
    while ended < job.requests {
        while submitted < job.requests && submitted - ended + job.batch.min(job.requests - submitted) <= DEPTH {
            let count = job.batch.min(job.requests - submitted);
            let read = |i: usize| Operation::read(&job.file, pool.take().unwrap(), offset(submitted + i));
            if count == 1 {
                done.submit(read(0)).unwrap();
            } else {
                assert_eq!(done.submit_all((0..count).map(read)).accepted.len(), count);
            }
            submitted += count;
        }
        for one in done.next_batch() {
            assert_eq!(one.result, Ok(BLOCK));
            ended += 1;
        }
    }
}
