//! Files that are in flight already when a request names them again: it is the same file, or only the same number.
// The tests call C the way a program does; what they pass is their own.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::*;
use uaio::abi::*;

const WAITING: [&str; 2] = ["uring", "threads"];
/// Requests of each file in a round.
const EACH: usize = 4;

/// A file of 64 pages with this byte in them.
fn filled(name: &str, byte: u8) -> Option<Scratch> {
    let scratch = Scratch::new(name, true)?;
    let file = std::fs::File::options().write(true).open(scratch.path()).unwrap();
    file.write_all_at(&vec![byte; 64 * 4096], 0).unwrap();
    file.sync_all().unwrap();
    Some(scratch)
}

fn eventfd() -> i32 {
    unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }
}

/// The number of the file and that of the eventfd mean others as soon as io_submit has returned.
#[test]
fn a_number_that_means_another_file_now() {
    on_engines(&WAITING, "a_number_that_means_another_file_now", || {
        let Some(files) = filled("one", 1).zip(filled("two", 2)) else { return };
        let files = [files.0.file.as_raw_fd(), files.1.file.as_raw_fd()];
        let eventfds = [eventfd(), eventfd()];
        let (number, bell) = unsafe { (libc::dup(files[0]), libc::dup(eventfds[0])) };
        let ctx = setup(64);
        let started = Instant::now();
        for round in 0..500 {
            let mut pages: Vec<Page> = (0..2 * EACH).map(|_| Page([0; 4096])).collect();
            for (which, part) in pages.chunks_mut(EACH).enumerate() {
                assert_eq!(unsafe { libc::dup2(files[which], number) }, number);
                assert_eq!(unsafe { libc::dup2(eventfds[which], bell) }, bell);
                for page in part {
                    let read = rw(IOCB_CMD_PREAD, number, page.0.as_mut_ptr(), 4096, (round % 64) * 4096, 0);
                    let read = Iocb { flags: IOCB_FLAG_RESFD, resfd: bell as u32, ..read };
                    assert_eq!(submit(ctx, &mut [read]), 1);
                }
            }
            assert!(reap(ctx, 2 * EACH).iter().all(|event| event.res == 4096));
            for (which, part) in pages.chunks(EACH).enumerate() {
                assert!(part.iter().all(|page| page.0 == [which as u8 + 1; 4096]), "round {round}");
                assert_eq!(counted(eventfds[which], EACH as u64), EACH as u64, "round {round}");
            }
        }
        assert!(started.elapsed() < Duration::from_secs(120), "somebody was not woken: {:?}", started.elapsed());
        destroy(ctx);
    });
}

/// A lock of the open file goes when the program has closed it and the requests that name it have ended, although other
/// requests name another opening of that file by the same number all the time.
#[test]
fn a_lock_goes_with_its_own_requests() {
    on_engines(&WAITING, "a_lock_goes_with_its_own_requests", || {
        let Some(scratch) = filled("locked", 3) else { return };
        let ctx = setup(64);
        let open = || {
            let path = std::ffi::CString::new(scratch.path().as_os_str().as_encoded_bytes()).unwrap();
            unsafe { libc::open(path.as_ptr(), libc::O_RDWR | libc::O_DIRECT | libc::O_CLOEXEC) }
        };
        let mut pages: Vec<Page> = (0..2 * EACH).map(|_| Page([0; 4096])).collect();
        for _ in 0..100 {
            let first = open();
            assert_eq!(unsafe { libc::flock(first, libc::LOCK_EX) }, 0);
            let mut submit_all = |fd: i32, part: usize| {
                for page in &mut pages[part * EACH..][..EACH] {
                    assert_eq!(
                        submit(ctx, &mut [rw(IOCB_CMD_PREAD, fd, page.0.as_mut_ptr(), 4096, 0, part as u64)]),
                        1
                    );
                }
            };
            submit_all(first, 0);
            unsafe { libc::close(first) };
            let second = open();
            assert_eq!(second, first);
            submit_all(second, 1);
            reap(ctx, 2 * EACH);
            // Its descriptor is closed a moment after the event.
            let late = Instant::now() + Duration::from_secs(60);
            while unsafe { libc::flock(second, libc::LOCK_EX | libc::LOCK_NB) } != 0 {
                assert!(Instant::now() < late, "the first opening is still held");
            }
            unsafe { libc::close(second) };
        }
        destroy(ctx);
    });
}

static CONTEXT: AtomicUsize = AtomicUsize::new(0);
static FILE: AtomicI32 = AtomicI32::new(0);
static ACCEPTED: AtomicU32 = AtomicU32::new(0);
static PAGE: AtomicUsize = AtomicUsize::new(0);
static ALARM: AtomicUsize = AtomicUsize::new(0);

extern "C" fn submit_one(_: libc::c_int) {
    let page = PAGE.load(Ordering::Relaxed) as *mut u8;
    let mut iocb = rw(IOCB_CMD_PREAD, FILE.load(Ordering::Relaxed), page, 4096, 0, 1);
    let pointer: *mut Iocb = &mut iocb;
    if unsafe { uaio::entry::io_submit(CONTEXT.load(Ordering::Relaxed), 1, &pointer) } == 1 {
        ACCEPTED.fetch_add(1, Ordering::Relaxed);
    }
    Alarm::set(ALARM.load(Ordering::Relaxed), 100);
}

/// Wherever in io_submit the handler comes.
#[test]
fn a_signal_handler_may_submit_meanwhile() {
    on_engines(&WAITING, "a_signal_handler_may_submit_meanwhile", || {
        let Some(scratch) = filled("handler", 4) else { return };
        let fd = scratch.file.as_raw_fd();
        let ctx = setup(4096);
        let (mut own, mut handlers) = (Page([0; 4096]), Page([0; 4096]));
        CONTEXT.store(ctx, Ordering::Relaxed);
        FILE.store(fd, Ordering::Relaxed);
        PAGE.store(handlers.0.as_mut_ptr() as usize, Ordering::Relaxed);
        let alarm = Alarm::new(submit_one);
        ALARM.store(alarm.number(), Ordering::Relaxed);
        Alarm::set(alarm.number(), 100);
        let (mut submitted, until) = (0, Instant::now() + Duration::from_secs(1));
        let mut reaped = 0;
        while Instant::now() < until {
            submitted +=
                u32::from(submit(ctx, &mut [rw(IOCB_CMD_PREAD, fd, own.0.as_mut_ptr(), 4096, 0, 0)]) == 1);
            if submitted % 8 == 0 {
                reaped += take(ctx);
            }
        }
        // The handler sets it anew: not while it cannot run.
        unsafe { libc::signal(libc::SIGALRM, libc::SIG_IGN) };
        let all = submitted + ACCEPTED.load(Ordering::Relaxed);
        reap(ctx, (all - reaped) as usize);
        eprintln!("{}: {submitted} requests, and {} of the handler", engine(), all - submitted);
        assert!(submitted > 100 && all > submitted);
        destroy(ctx);
    });
}

/// What is there.
fn take(ctx: usize) -> u32 {
    let mut events = [IoEvent::default(); 64];
    let time = Timespec { sec: 0, nsec: 0 };
    let got = unsafe { uaio::entry::io_getevents(ctx, 0, 64, events.as_mut_ptr(), &time) };
    u32::try_from(got).unwrap_or(0)
}
