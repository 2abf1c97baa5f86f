//! Many threads that set up, submit, reap, cancel, destroy, fork and close at random; afterwards nothing is left and every
//! accepted write is on file. `UAIO_STORM_SECONDS` (default 2), `UAIO_STORM_THREADS` (default 16) and `UAIO_STORM_SEED`
//! choose how long and which.

// The tests call C the way a program does; what they pass is their own.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;
#[path = "storm/shared.rs"]
mod shared;

use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use common::*;
use uaio::abi::*;
use uaio::entry::*;

const BLOCKS: usize = 64;
/// Mappings that come and go with stacks that the C library keeps, and rings of one more size.
const SOME: usize = 24;
/// Halves of a storm after the first in which the pools may still grow.
const GROWING: u64 = 3;

/// splitmix64: what happens depends on the seed and the thread only.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// The life of one context: requests of every kind, then io_destroy, then a look at the file.
fn one_life(random: &mut Random, scratch: &Scratch, stamp: u8) {
    let fd = scratch.file.as_raw_fd();
    let ctx = setup(1 + random.below(200) as u32);
    let (r, w) = pipe();
    let eventfd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    let mut pages: Vec<Page> = (0..2 * BLOCKS).map(|_| Page([stamp; 4096])).collect();
    let mut iocbs: Vec<Iocb> = Vec::new();
    let mut written = Vec::new();
    for block in 0..BLOCKS {
        let at = block as i64 * 4096;
        let iocb = match random.below(6) {
            0 | 1 => {
                written.push((iocbs.len(), block));
                rw(IOCB_CMD_PWRITE, fd, pages[block].0.as_mut_ptr(), 4096, at, block as u64)
            }
            2 => rw(IOCB_CMD_PREAD, fd, pages[BLOCKS + block].0.as_mut_ptr(), 4096, at, 1000),
            3 => rw(IOCB_CMD_PREAD, r, pages[BLOCKS + block].0.as_mut_ptr(), 16, 0, 1001),
            4 => Iocb { opcode: IOCB_CMD_FDSYNC, fildes: fd as u32, ..Iocb::default() },
            _ => poll_in(r, 1002),
        };
        let with_eventfd = random.below(3) == 0;
        iocbs.push(if with_eventfd {
            Iocb { flags: IOCB_FLAG_RESFD, resfd: eventfd as u32, ..iocb }
        } else {
            iocb
        });
    }
    let inline = blocks_on_pipes();
    if inline {
        // A pipe that never gets anything would hold io_submit, as the kernel's does.
        unsafe { libc::write(w, [0u8; 4096].as_ptr().cast(), 4096) };
    }
    let accepted = submit(ctx, &mut iocbs);
    assert!(accepted > 0 || accepted == -11, "{accepted}");
    if random.below(2) == 0 {
        unsafe { (libc::close(eventfd), libc::close(r)) };
    }
    if random.below(2) == 0 && !inline {
        unsafe { libc::write(w, [0u8; 64].as_ptr().cast(), random.below(64) as usize) };
    }
    for _ in 0..random.below(4) {
        let victim = &raw mut iocbs[random.below(BLOCKS as u64) as usize];
        let answer = unsafe { io_cancel(ctx, victim, core::ptr::null_mut()) };
        assert!([-22, -115].contains(&answer), "{answer}");
    }
    let mut events = [IoEvent::default(); 64];
    let time = Timespec { sec: 0, nsec: random.below(300_000) as i64 };
    let got = unsafe { io_getevents(ctx, random.below(20) as isize, 64, events.as_mut_ptr(), &time) };
    assert!(got >= 0, "{got}");
    destroy(ctx);
    // From here on the buffers are ours: what is in them stays.
    pages.iter_mut().for_each(|page| page.0.fill(0xdb));
    let mut page = Page([0; 4096]);
    for (_, block) in written.into_iter().filter(|(index, _)| (*index as isize) < accepted) {
        let n = unsafe { libc::pread(fd, page.0.as_mut_ptr().cast(), 4096, block as i64 * 4096) };
        assert!(n == 4096 && page.0.iter().all(|b| *b == stamp), "an accepted write is not on file");
    }
    assert!(pages.iter().all(|page| page.0.iter().all(|b| *b == 0xdb)), "a buffer changed after io_destroy");
    for fd in [r, w, eventfd] {
        unsafe { libc::close(fd) };
    }
}

/// As `one_life`, but closing what may have been closed already would hit another thread's: so each thread has
/// descriptors of its own, by unsharing the table.
fn thread(seed: u64, until: Instant) -> u64 {
    assert_eq!(unsafe { libc::unshare(libc::CLONE_FILES) }, 0);
    let mut random = Random(seed);
    let Some(scratch) = scratch(&mut random, seed) else { return 0 };
    let mut lives = 0;
    while Instant::now() < until {
        one_life(&mut random, &scratch, (lives % 200) as u8 + 1);
        lives += 1;
        assert!(std::fs::read_dir("/proc/thread-self/fd").map_or(0, Iterator::count) < 200, "descriptors pile up");
        if random.below(50) == 0 {
            assert_eq!(in_child(can_read_in_own_context), 0);
        }
    }
    lives
}

/// For a forked child, which must not panic: that would go on in the parent's frames. The host's quota may be used up.
fn can_read_in_own_context() -> bool {
    let mut own = 0;
    match unsafe { io_setup(4, &mut own) } {
        0 => {}
        other => return other == -(libc::EAGAIN as isize),
    }
    let null = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    let n = submit(own, &mut [rw(IOCB_CMD_PREAD, null, core::ptr::null_mut(), 0, 0, 1)]);
    n == 1 && unsafe { io_destroy(own) } == 0
}

fn scratch(random: &mut Random, seed: u64) -> Option<Scratch> {
    let scratch = Scratch::new(&format!("storm-{seed:x}"), random.below(2) == 0)?;
    std::fs::write(scratch.path(), vec![0u8; BLOCKS * 4096]).unwrap();
    scratch.file.sync_all().unwrap();
    Some(scratch)
}

/// What the process has.
#[derive(Debug, PartialEq, Eq)]
struct Footprint {
    descriptors: usize,
    threads: usize,
    mappings: usize,
    resident_kib: usize,
}

impl Footprint {
    fn now() -> Footprint {
        // What the allocator keeps of the storm's own memory is not the library's.
        unsafe { libc::malloc_trim(0) };
        let entries = |dir: &str| std::fs::read_dir(dir).unwrap().count();
        // What `status` says is a sum of counters that each processor brings up to date when it likes.
        let status = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
        Footprint {
            descriptors: entries("/proc/self/fd"),
            threads: entries("/proc/self/task"),
            mappings: std::fs::read_to_string("/proc/self/maps").unwrap().lines().count(),
            resident_kib: resident.trim().trim_end_matches(" kB").parse().unwrap(),
        }
    }

    /// Whether there are more mappings, or over 1 MiB more of memory, than before as much of a storm.
    fn has_grown_since(&self, before: &Footprint) -> bool {
        // A sanitizer's allocator keeps what was freed.
        let sanitized = std::env::var_os("ASAN_OPTIONS").is_some();
        let grown = self.mappings > before.mappings + SOME || self.resident_kib > before.resident_kib + 1024;
        grown && !sanitized
    }

    /// Once the library threads have gone.
    fn at_rest(threads: usize) -> Footprint {
        let limit = Instant::now() + Duration::from_secs(90);
        loop {
            let now = Footprint::now();
            if now.threads <= threads || Instant::now() > limit {
                return now;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn blow(seed: u64, threads: u64, duration: Duration) -> u64 {
    let until = Instant::now() + duration;
    std::thread::scope(|s| {
        let all: Vec<_> = (0..threads).map(|t| s.spawn(move || thread(seed ^ (t << 32), until))).collect();
        all.into_iter().map(|t| t.join().unwrap()).sum()
    })
}

/// As many contexts at once as there can be in a storm, each with slots that were used: so many come together by chance only in
/// a long one.
fn fill_pool(threads: u64) {
    let (r, w) = pipe();
    let all: Vec<usize> = (0..threads + 16).map(|_| setup(64)).collect();
    for ctx in &all {
        // Where there is no thread for it, the answer is EAGAIN.
        submit(*ctx, &mut (0..64).map(|data| poll_in(r, data)).collect::<Vec<_>>());
    }
    all.into_iter().for_each(destroy);
    unsafe { (libc::close(r), libc::close(w)) };
}

/// `blow` gets a seed, a number of threads and a duration. `ours`: descriptors that the library may keep.
fn storm(blow: impl Fn(u64, u64, Duration) -> u64, ours: usize) {
    let seed = number("UAIO_STORM_SEED", u64::from(std::process::id()));
    let threads = number("UAIO_STORM_THREADS", 16);
    let duration = Duration::from_millis(1000 * number("UAIO_STORM_SECONDS", 2));
    eprintln!("UAIO_STORM_SEED={seed}");
    limit(duration * 3 + Duration::from_secs(120));
    // One arena: which thread got which is not what is measured.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    let at_start = Footprint::now();
    // The pool of rings and contexts grows to what was alive at once; after that nothing grows.
    fill_pool(threads);
    let warm = blow(!seed, threads, duration / 2);
    let mut before = Footprint::at_rest(at_start.threads);
    let mut lives = warm + blow(seed, threads, duration / 2);
    let mut after = Footprint::at_rest(at_start.threads);
    // On a busy machine few lives fit into the first half. A pool is full some day; a leak grows for ever.
    for round in 1..=GROWING {
        if !after.has_grown_since(&before) {
            break;
        }
        eprintln!("{lives} lives on {}, still growing: {before:?}, {after:?}", engine());
        before = after;
        lives += blow(seed ^ round, threads, duration / 2);
        after = Footprint::at_rest(at_start.threads);
    }
    eprintln!("{lives} lives on {}: {at_start:?}, {before:?}, {after:?}", engine());
    assert_eq!(after.threads, at_start.threads, "threads are left");
    assert!(after.descriptors <= at_start.descriptors + ours, "descriptors are left: {after:?}");
    assert!(!after.has_grown_since(&before), "mappings or memory are left: {before:?}, {after:?}");
    assert_eq!(aio_nr(), 0);
}

#[test]
fn after_a_storm_nothing_is_left_and_every_write_is_on_file() {
    on_every_engine("after_a_storm_nothing_is_left_and_every_write_is_on_file", || storm(blow, 1));
}
