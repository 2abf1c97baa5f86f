//! SIGKILL at random moments: a write whose event the program has reaped is on file. `UAIO_KILL_SECONDS` (default 2) says
//! how long, on each engine.

// The tests call C the way a program does; what they pass is their own.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::*;
use uaio::abi::*;

const BLOCKS: usize = 64;
const BATCH: usize = 16;

/// Shared with the child: for each block, the number of the last write that was reaped, and of the last submitted.
struct Notes {
    reaped: [AtomicU64; BLOCKS],
    submitted: [AtomicU64; BLOCKS],
}

fn shared_notes() -> &'static Notes {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    let page = unsafe { libc::mmap(core::ptr::null_mut(), size_of::<Notes>(), protection, flags, -1, 0) };
    assert_ne!(page, libc::MAP_FAILED);
    unsafe { &*page.cast::<Notes>() }
}

/// Writes until it is killed: every block again and again, one number higher each time.
fn write_for_ever(notes: &Notes, fd: i32) -> ! {
    let ctx = setup(BATCH as u32);
    let mut pages: Vec<Page> = (0..BATCH).map(|_| Page([0; 4096])).collect();
    for round in 0.. {
        let blocks = (0..BATCH).map(|i| (round * BATCH + i) % BLOCKS);
        let iocbs = blocks.zip(&mut pages).map(|(block, page)| {
            let number = notes.submitted[block].fetch_add(1, Ordering::SeqCst) + 1;
            page.0.chunks_exact_mut(8).for_each(|word| word.copy_from_slice(&number.to_le_bytes()));
            rw(IOCB_CMD_PWRITE, fd, page.0.as_mut_ptr(), 4096, block as i64 * 4096, block as u64)
        });
        assert_eq!(submit(ctx, &mut iocbs.collect::<Vec<_>>()), BATCH as isize);
        for event in reap(ctx, BATCH) {
            assert_eq!(event.res, 4096);
            let block = event.data as usize;
            notes.reaped[block].store(notes.submitted[block].load(Ordering::SeqCst), Ordering::SeqCst);
        }
    }
    unreachable!("killed before")
}

fn killed_while_writing(scratch: &Scratch, after: Duration) {
    let notes = shared_notes();
    let fd = scratch.file.as_raw_fd();
    let child = unsafe { libc::fork() };
    if child == 0 {
        write_for_ever(notes, fd);
    }
    std::thread::sleep(after);
    let mut status = 0;
    unsafe { (libc::kill(child, libc::SIGKILL), libc::waitpid(child, &mut status, 0)) };
    assert_eq!(libc::WTERMSIG(status), libc::SIGKILL, "the child failed by itself: {status:x}");
    for block in 0..BLOCKS {
        let mut page = Page([0; 4096]);
        let n = unsafe { libc::pread(fd, page.0.as_mut_ptr().cast(), 4096, block as i64 * 4096) };
        let on_file = u64::from_le_bytes(page.0[..8].try_into().unwrap());
        let (reaped, submitted) = (&notes.reaped[block], &notes.submitted[block]);
        let known = (reaped.load(Ordering::SeqCst), submitted.load(Ordering::SeqCst));
        let there = n == 4096 && known.0 <= on_file && on_file <= known.1;
        assert!(there || (n == 0 && known.0 == 0), "block {block}: {n} bytes, {on_file}, not in {known:?}");
    }
    unsafe { libc::munmap(core::ptr::from_ref(notes).cast_mut().cast(), size_of::<Notes>()) };
}

#[test]
fn a_reaped_write_survives_sigkill() {
    on_every_engine("a_reaped_write_survives_sigkill", || {
        let seconds = std::env::var("UAIO_KILL_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(2);
        let until = Instant::now() + Duration::from_secs(seconds);
        let mut kills = 0;
        while Instant::now() < until {
            for direct in [true, false] {
                let Some(scratch) = Scratch::new("kill", direct) else { continue };
                // Overwriting writes, and such as extend the file or fill it in.
                if kills % 4 < 2 {
                    fill(&scratch);
                }
                killed_while_writing(&scratch, Duration::from_micros(random_below(40_000)));
                kills += 1;
            }
        }
        eprintln!("{kills} kills");
    });
}

fn fill(scratch: &Scratch) {
    let page = Page([0; 4096]);
    for block in 0..BLOCKS {
        let n =
            unsafe { libc::pwrite(scratch.file.as_raw_fd(), page.0.as_ptr().cast(), 4096, block as i64 * 4096) };
        assert_eq!(n, 4096);
    }
}

fn random_below(limit: u64) -> u64 {
    let mut bytes = [0; 8];
    let file = std::fs::File::open("/dev/urandom").unwrap();
    std::io::Read::read_exact(&mut &file, &mut bytes).unwrap();
    u64::from_le_bytes(bytes) % limit
}
