//! The engine `scripted`: faults come where the script says, again and again the same.
// The tests call C the way a program does; what they pass is their own.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use common::*;
use uaio::abi::*;
use uaio::entry::*;

/// Runs `body` in a process whose engine follows `script`.
fn with_script(test: &str, script: &str, body: impl FnOnce()) {
    on_engines_with(&["scripted"], &[("UAIO_FAULT", script)], test, body);
}

fn file_of(blocks: usize) -> Scratch {
    let scratch = Scratch::new("scripted", false).unwrap();
    std::fs::write(scratch.path(), vec![b'o'; blocks * 4096]).unwrap();
    scratch
}

fn read_all(ctx: usize, scratch: &Scratch, count: usize) -> (Vec<i64>, Vec<Page>) {
    let mut pages: Vec<Page> = (0..count).map(|_| Page([0; 4096])).collect();
    let fd = scratch.file.as_raw_fd();
    let read = |(i, page): (usize, &mut Page)| {
        rw(IOCB_CMD_PREAD, fd, page.0.as_mut_ptr(), 4096, i as i64 * 4096, i as u64)
    };
    let mut iocbs: Vec<Iocb> = pages.iter_mut().enumerate().map(read).collect();
    assert_eq!(submit(ctx, &mut iocbs), count as isize);
    let mut results = vec![0; count];
    reap(ctx, count).iter().for_each(|event| results[event.data as usize] = event.res);
    (results, pages)
}

#[test]
fn the_third_read_fails_on_each_context() {
    with_script("the_third_read_fails_on_each_context", "read:EIO nth=3", || {
        let scratch = file_of(8);
        for _ in 0..2 {
            let ctx = setup(8);
            let (results, pages) = read_all(ctx, &scratch, 8);
            assert_eq!(results, [4096, 4096, -5, 4096, 4096, 4096, 4096, 4096]);
            assert_eq!((pages[1].0[0], pages[2].0[0]), (b'o', 0));
            destroy(ctx);
        }
    });
}

#[test]
fn writes_are_short_and_reads_corrupt() {
    with_script("writes_are_short_and_reads_corrupt", "write:short 100 every=2; read:corrupt nth=2", || {
        let (scratch, ctx) = (file_of(2), setup(8));
        let mut page = Page([b'n'; 4096]);
        let fd = scratch.file.as_raw_fd();
        for expected in [4096, 100] {
            assert_eq!(submit(ctx, &mut [rw(IOCB_CMD_PWRITE, fd, page.0.as_mut_ptr(), 4096, 4096, 1)]), 1);
            assert_eq!(reap(ctx, 1)[0].res, expected);
            std::fs::write(scratch.path(), vec![b'o'; 8192]).unwrap();
        }
        let (results, pages) = read_all(ctx, &scratch, 2);
        assert_eq!(results, [4096, 4096]);
        assert!(pages[0].0.iter().all(|byte| *byte == b'o'));
        assert_eq!(pages[1].0.iter().filter(|byte| **byte != b'o').count(), 1);
        destroy(ctx);
    });
}

#[test]
fn io_submit_is_short_or_full() {
    with_script("io_submit_is_short_or_full", "submit:short 3 nth=1; submit:EAGAIN nth=2", || {
        let ctx = setup(8);
        let null = std::fs::File::open("/dev/null").unwrap();
        let mut iocbs = [rw(IOCB_CMD_PREAD, null.as_raw_fd(), core::ptr::null_mut(), 0, 0, 1); 8];
        assert_eq!(
            [submit(ctx, &mut iocbs), submit(ctx, &mut iocbs[3..]), submit(ctx, &mut iocbs[3..])],
            [3, -11, 5]
        );
        assert_eq!(reap(ctx, 8).len(), 8);
        destroy(ctx);
    });
}

#[test]
fn events_are_late_and_io_destroy_does_not_wait_for_them() {
    with_script(
        "events_are_late_and_io_destroy_does_not_wait_for_them",
        "fsync:delay 300ms; poll:delay 60s",
        || {
            let (scratch, ctx) = (file_of(1), setup(8));
            let mut sync =
                Iocb { opcode: IOCB_CMD_FSYNC, fildes: scratch.file.as_raw_fd() as u32, ..Iocb::default() };
            let started = Instant::now();
            assert_eq!(submit(ctx, core::slice::from_mut(&mut sync)), 1);
            assert_eq!(reap(ctx, 1)[0].res, 0);
            assert!(started.elapsed() >= Duration::from_millis(300));
            let (r, w) = pipe();
            assert_eq!(unsafe { libc::write(w, b"x".as_ptr().cast(), 1) }, 1);
            let eventfd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
            let poll = Iocb { flags: IOCB_FLAG_RESFD, resfd: eventfd as u32, ..poll_in(r, 1) };
            assert_eq!(submit(ctx, &mut [poll]), 1);
            let started = Instant::now();
            destroy(ctx);
            assert!(started.elapsed() < Duration::from_secs(120));
            let mut count = 0u64;
            assert_eq!(unsafe { libc::read(eventfd, (&raw mut count).cast(), 8) }, 8);
        },
    );
}

/// What a run with many faults looked like: results by submission, and the order of the events.
fn turbulence(ctx: usize, scratch: &Scratch) -> (Vec<i64>, Vec<u64>) {
    let mut pages: Vec<Page> = (0..64).map(|_| Page([0; 4096])).collect();
    let (fd, mut results, mut order) = (scratch.file.as_raw_fd(), vec![0; 64], vec![]);
    for (i, page) in pages.iter_mut().enumerate() {
        assert_eq!(submit(ctx, &mut [rw(IOCB_CMD_PREAD, fd, page.0.as_mut_ptr(), 4096, 0, i as u64)]), 1);
    }
    for event in reap(ctx, 64) {
        results[event.data as usize] = event.res;
        order.push(event.data);
    }
    (results, order)
}

const TURBULENT: &str = "seed=11; reorder 400ms; read:EIO 10%; read:short 20%";

#[test]
fn the_same_seed_does_the_same_and_so_does_the_log() {
    let log = scratch_dir().join(format!("uaio-fault-log-{}", std::process::id()));
    if std::env::var_os("UAIO_TEST_BODY").is_some() {
        let (scratch, ctx) = (file_of(1), setup(64));
        let (results, order) = turbulence(ctx, &scratch);
        println!("seen {results:?} {order:?}");
        return destroy(ctx);
    }
    // The results; and, whatever the machine's timing, the decisions that the log holds.
    let seen = |script: &str| {
        let _ = std::fs::remove_file(&log);
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "the_same_seed_does_the_same_and_so_does_the_log", "--nocapture"]);
        child.env("UAIO_TEST_BODY", "1").env("UAIO_FAULT", script).env("UAIO_FAULT_LOG", &log);
        let out = child.output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success(), "{text}");
        let seen = text.lines().find_map(|line| line.split_once("seen ")).unwrap().1;
        let (results, order) = seen.split_once("] ").unwrap();
        (results.to_string(), std::fs::read_to_string(&log).unwrap(), order.to_string())
    };
    let first = seen(TURBULENT);
    for again in [seen(TURBULENT), seen(&first.1)] {
        assert_eq!((&first.0, &first.1), (&again.0, &again.1));
    }
    assert_ne!(first.0, seen(&TURBULENT.replace("11", "12")).0);
    std::fs::remove_file(&log).unwrap();
    let in_order: Vec<u64> = (0..64).collect();
    assert_ne!(first.2, format!("{in_order:?}"), "nothing was reordered");
}

#[test]
fn a_script_that_cannot_be_read_is_no_engine() {
    with_script("a_script_that_cannot_be_read_is_no_engine", "read:EWHAT", || {
        assert_eq!(unsafe { io_setup(1, &mut 0) }, -(libc::ENOSYS as isize));
    });
}
