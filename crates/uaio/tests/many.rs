//! Very many requests that wait for somebody else: they hold no thread, and nothing else up. And the threads that files
//! need: none before, no more than requests wait, none for long.
// The tests call C the way a program does; what they pass is their own.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use common::*;
use uaio::abi::*;

const WAITING: [&str; 2] = ["uring", "threads"];
const ROOM: [(&str, &str); 1] = [("UAIO_MAX_NR", "1048576")];
/// Threads of a process that has the library's: the test runner's two, and theirs.
const THREADS: usize = 40;
/// iocbs of one io_submit.
const BATCH: usize = 500;

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// `count` requests that `one` makes, all accepted.
fn submit_many(ctx: usize, count: usize, one: impl Fn(usize) -> Iocb) {
    for start in (0..count).step_by(BATCH) {
        let mut iocbs: Vec<Iocb> = (start..count.min(start + BATCH)).map(&one).collect();
        assert_eq!(submit(ctx, &mut iocbs), iocbs.len() as isize);
    }
}

fn within(limit: Duration, what: &str, work: impl FnOnce()) {
    let started = Instant::now();
    work();
    assert!(started.elapsed() < limit, "{what} took {:?}", started.elapsed());
    eprintln!("{}: {what}: {:?}, {} threads", engine(), started.elapsed(), threads());
}

#[test]
fn ten_thousand_empty_pipe_reads_do_not_stop_a_file_read() {
    on_engines_with(&WAITING, &ROOM, "ten_thousand_empty_pipe_reads_do_not_stop_a_file_read", || {
        let Some(scratch) = Scratch::new("many", true) else { return };
        scratch.file.set_len(1 << 20).unwrap();
        let fd = scratch.file.as_raw_fd();
        let ctx = setup(10_064);
        let pipes: Vec<(i32, i32)> = (0..100).map(|_| pipe()).collect();
        let mut bytes = vec![0u8; 10_000];
        let base = bytes.as_mut_ptr();
        let reads = |i: usize| rw(IOCB_CMD_PREAD, pipes[i % 100].0, unsafe { base.add(i) }, 1, 0, 1);
        within(Duration::from_secs(90), "10,000 reads of empty pipes", || submit_many(ctx, 10_000, reads));
        let mut page = Page([1; 4096]);
        for opcode in [IOCB_CMD_PREAD, IOCB_CMD_FSYNC] {
            within(Duration::from_secs(60), "a request to a file", || {
                let read = rw(opcode, fd, page.0.as_mut_ptr(), 4096, 0, 2);
                let sync = Iocb { opcode, fildes: fd as u32, data: 2, ..Iocb::default() };
                assert_eq!(submit(ctx, &mut [if opcode == IOCB_CMD_PREAD { read } else { sync }]), 1);
                assert_eq!(reap(ctx, 1)[0].data, 2);
            });
        }
        assert!(page.0 == [0; 4096] && threads() < THREADS, "{} threads", threads());
        assert_eq!(unsafe { libc::write(pipes[7].1, [9u8; 100].as_ptr().cast(), 100) }, 100);
        assert!(reap(ctx, 100).iter().all(|event| (event.data, event.res) == (1, 1)));
        within(Duration::from_secs(90), "io_destroy", || destroy(ctx));
        assert_eq!(bytes.iter().filter(|byte| **byte == 9).count(), 100);
    });
}

#[test]
fn a_hundred_thousand_polls_are_not_as_many_threads() {
    on_engines_with(&WAITING, &ROOM, "a_hundred_thousand_polls_are_not_as_many_threads", || {
        let ctx = setup(100_000);
        let (r, w) = pipe();
        within(Duration::from_secs(120), "100,000 POLLs", || submit_many(ctx, 100_000, |i| poll_in(r, i as u64)));
        assert!(threads() < THREADS, "{} threads", threads());
        assert_eq!(unsafe { libc::write(w, [1u8].as_ptr().cast(), 1) }, 1);
        let mut seen = vec![false; 100_000];
        within(Duration::from_secs(120), "their events", || {
            reap(ctx, 100_000).iter().for_each(|event| seen[event.data as usize] = event.res & 1 == 1);
        });
        assert!(seen.iter().all(|seen| *seen) && threads() < THREADS);
        destroy(ctx);
    });
}

/// Reads that are queued behind all workers, and how much each reads: a page of its own and the rest, which nobody looks at.
const QUEUED: usize = 600;
const REST: usize = 63 * 4096;

/// How many of them are performed if io_destroy comes when the first has been.
fn performed_by_destroy(fd: i32, own: &mut [Page], rest: &mut [u8]) -> usize {
    own.iter_mut().for_each(|page| page.0.fill(0xdb));
    let base = rest.as_mut_ptr() as usize;
    let piece =
        |page: &mut Page| [Iovec { base: page.0.as_mut_ptr() as usize, len: 4096 }, Iovec { base, len: REST }];
    let mut pieces: Vec<[Iovec; 2]> = own.iter_mut().map(piece).collect();
    let read = |list: &mut [Iovec; 2]| rw(IOCB_CMD_PREADV, fd, list.as_mut_ptr().cast(), 2, 0, 1);
    let mut iocbs: Vec<Iocb> = pieces.iter_mut().map(read).collect();
    let ctx = setup(QUEUED as u32);
    assert_eq!(submit(ctx, &mut iocbs), QUEUED as isize);
    // Some are with a worker then, others queued, others on their way.
    while own.iter().all(|page| unsafe { page.0.as_ptr().read_volatile() } == 0xdb) {
        std::thread::yield_now();
    }
    destroy(ctx);
    own.iter().filter(|page| page.0[0] != 0xdb).count()
}

#[test]
fn reads_that_have_not_started_are_dropped_by_destroy() {
    on_engines(&["threads"], "reads_that_have_not_started_are_dropped_by_destroy", || {
        let Some(scratch) = Scratch::new("dropped", true) else { return };
        std::fs::write(scratch.path(), vec![1u8; 4096 + REST]).unwrap();
        scratch.file.sync_all().unwrap();
        let mut own: Vec<Page> = (0..QUEUED).map(|_| Page([0; 4096])).collect();
        let mut rest: Vec<Page> = (0..REST / 4096).map(|_| Page([0; 4096])).collect();
        let rest = unsafe { std::slice::from_raw_parts_mut(rest.as_mut_ptr().cast(), REST) };
        // This thread may lose the processor before it calls io_destroy: not each time.
        let dropped = (0..50).find_map(|_| {
            let performed = performed_by_destroy(scratch.file.as_raw_fd(), &mut own, rest);
            eprintln!("{performed} of {QUEUED} performed");
            (performed < QUEUED).then_some(QUEUED - performed)
        });
        assert!(dropped.is_some(), "io_destroy performs all reads");
    });
}

/// Most workers of the engine `threads`.
const WORKERS: usize = 32;
/// A thread without work ends after a second; a busy machine may need longer.
const GONE: Duration = Duration::from_secs(60);

/// The library's threads of which `is` says that they count, by their names.
fn own_threads(is: impl Fn(&str) -> bool) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| is(name.trim_end())).count()
}

fn workers() -> usize {
    own_threads(|name| name == "uaio-worker")
}

fn all_own() -> usize {
    own_threads(|name| name == "uaio" || name.starts_with("uaio-"))
}

fn until(limit: Duration, what: &str, mut is: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is() {
        assert!(started.elapsed() < limit, "{what}: {} workers, {} threads", workers(), all_own());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Pages into which nobody can write, nor the kernel for him, until they are let go. It takes a system call for that
/// which root has, and some places forbid.
struct Stuck {
    base: *mut u8,
    bytes: usize,
    uffd: i32,
}

impl Stuck {
    fn pages(count: usize) -> Option<Stuck> {
        const API: [u64; 3] = [0xaa, 0, 0];
        const UFFDIO_API: u64 = 0xc018_aa3f;
        const UFFDIO_REGISTER: u64 = 0xc020_aa00;
        const MISSING: u64 = 1;
        let uffd = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) } as i32;
        let (bytes, protection) = (count * 4096, libc::PROT_READ | libc::PROT_WRITE);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let base = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) }.cast::<u8>();
        let (mut api, mut range) = (API, [base as u64, bytes as u64, MISSING, 0]);
        let made = uffd >= 0
            && unsafe { libc::ioctl(uffd, UFFDIO_API, api.as_mut_ptr()) } == 0
            && unsafe { libc::ioctl(uffd, UFFDIO_REGISTER, range.as_mut_ptr()) } == 0;
        made.then_some(Stuck { base, bytes, uffd })
    }

    fn let_go(&self) {
        const UFFDIO_UNREGISTER: u64 = 0x8010_aa01;
        let mut range = [self.base as u64, self.bytes as u64];
        assert_eq!(unsafe { libc::ioctl(self.uffd, UFFDIO_UNREGISTER, range.as_mut_ptr()) }, 0);
    }
}

/// Also where the test fails: nobody could end a thread that is stuck.
impl Drop for Stuck {
    fn drop(&mut self) {
        unsafe { libc::close(self.uffd) };
    }
}

fn sync(fd: i32, data: u64) -> Iocb {
    Iocb { data, opcode: IOCB_CMD_FSYNC, fildes: fd as u32, ..Iocb::default() }
}

#[test]
fn what_is_done_at_once_starts_no_thread() {
    on_engines(&["threads"], "what_is_done_at_once_starts_no_thread", || {
        let Some(scratch) = Scratch::new("many-inline", false) else { return };
        let ctx = setup(64);
        let (r, w) = pipe();
        let mut page = Page([7; 4096]);
        for (opcode, fd) in [
            (IOCB_CMD_PWRITE, scratch.file.as_raw_fd()),
            (IOCB_CMD_PREAD, scratch.file.as_raw_fd()),
            (IOCB_CMD_PWRITE, w),
            (IOCB_CMD_PREAD, r),
        ] {
            assert_eq!(submit(ctx, &mut [rw(opcode, fd, page.0.as_mut_ptr(), 4096, 0, 1)]), 1);
            assert_eq!(reap(ctx, 1)[0].res, 4096);
            assert_eq!(all_own(), 0, "opcode {opcode} of descriptor {fd}");
        }
        // What cannot be done at once starts one, so they would have been seen.
        assert_eq!(submit(ctx, &mut [poll_in(r, 2)]), 1);
        assert_eq!(all_own(), 1);
        destroy(ctx);
    });
}

#[test]
fn as_many_workers_as_requests_wait_and_none_for_long() {
    on_engines(&["threads"], "as_many_workers_as_requests_wait_and_none_for_long", || {
        let Some(scratch) = Scratch::new("many-stuck", true) else { return };
        scratch.file.set_len(1 << 20).unwrap();
        let ctx = setup(2048);
        for (count, expected) in [(1, 1), (5, 5), (WORKERS + 8, WORKERS)] {
            let Some(stuck) = Stuck::pages(count) else { return eprintln!("not applicable: no userfaultfd") };
            let read = |i: usize| {
                let into = unsafe { stuck.base.add(i * 4096) };
                rw(IOCB_CMD_PREAD, scratch.file.as_raw_fd(), into, 4096, i as i64 * 4096, 1)
            };
            submit_many(ctx, count, read);
            until(Duration::from_secs(90), "a worker for each", || workers() == expected);
            // All are busy: these need a worker, and stay in the queue.
            let syncs = if expected == WORKERS { 1000 } else { 0 };
            submit_many(ctx, syncs, |_| sync(scratch.file.as_raw_fd(), 2));
            std::thread::sleep(Duration::from_millis(200));
            assert_eq!((workers(), all_own()), (expected, expected + 1), "{count} requests wait");
            stuck.let_go();
            let ended = reap(ctx, count + syncs);
            assert!(ended.iter().all(|event| event.res == if event.data == 1 { 4096 } else { 0 }));
            assert!(workers() <= expected);
            until(GONE, "they are gone", || all_own() == 0);
        }
        destroy(ctx);
    });
}

/// Anywhere; whether they are in flight at the same time is the disk's to say.
#[test]
fn a_thousand_fsyncs_have_no_more_threads_than_the_bound() {
    on_engines_with(&WAITING, &ROOM, "a_thousand_fsyncs_have_no_more_threads_than_the_bound", || {
        let Some(scratch) = Scratch::new("many-fsyncs", false) else { return };
        std::fs::write(scratch.path(), vec![7u8; 1 << 20]).unwrap();
        let ctx = setup(1000);
        submit_many(ctx, 1000, |_| sync(scratch.file.as_raw_fd(), 2));
        let mut most = 0;
        for _ in 0..100 {
            most = most.max(all_own());
            assert!(reap(ctx, 10).iter().all(|event| event.res == 0));
        }
        assert!((1..=WORKERS + 1).contains(&most), "{most} threads");
        until(GONE, "they are gone", || all_own() == 0);
        destroy(ctx);
    });
}
