//! What the program may do meanwhile, and what it must not notice.
// The tests call C the way a program does; what they pass is their own.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use common::*;
use uaio::abi::*;
use uaio::entry::*;

const WAITING: [&str; 2] = ["uring", "threads"];
const EXTENDED: [(&str, &str); 1] = [("UAIO_CANCEL", "extended")];

fn start_service(ctx: usize) -> (i32, i32) {
    let (r, w) = pipe();
    assert_eq!(submit(ctx, &mut [poll_in(r, 77)]), 1);
    (r, w)
}

#[test]
fn to_cancel_nothing_starts_no_thread() {
    on_every_engine("to_cancel_nothing_starts_no_thread", || {
        let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
        let (ctx, before) = (setup(4), threads());
        let mut iocb = poll_in(0, 1);
        let mut event = IoEvent::default();
        assert_eq!(unsafe { io_cancel(ctx, &mut iocb, &mut event) }, -(libc::EINVAL as isize));
        assert_eq!(threads(), before);
        destroy(ctx);
    });
}

#[test]
fn record_locks_stay_and_a_child_gets_einval() {
    on_every_engine("record_locks_stay_and_a_child_gets_einval", || {
        let Some(scratch) = Scratch::new("lock", true) else { return };
        let fd = scratch.file.as_raw_fd();
        let ctx = setup(8);
        let mut page = Page([7; 4096]);
        assert_eq!(submit(ctx, &mut [rw(IOCB_CMD_PWRITE, fd, page.0.as_mut_ptr(), 4096, 0, 1)]), 1);
        assert_eq!(reap(ctx, 1)[0].res, 4096);
        let lock = libc::flock { l_type: libc::F_WRLCK as i16, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
        assert_eq!(unsafe { libc::fcntl(fd, libc::F_SETLK, &lock) }, 0);
        for _ in 0..50 {
            assert_eq!(submit(ctx, &mut [rw(IOCB_CMD_PREAD, fd, page.0.as_mut_ptr(), 4096, 0, 1)]), 1);
            assert_eq!(reap(ctx, 1)[0].res, 4096);
        }
        let status = in_child(|| {
            let mut probe = lock;
            let locked =
                unsafe { libc::fcntl(fd, libc::F_GETLK, &mut probe) } == 0 && probe.l_type != libc::F_UNLCK as i16;
            let refused = unsafe { io_getevents(ctx, 0, 1, core::ptr::null_mut(), core::ptr::null()) } == -22
                && unsafe { io_destroy(ctx) } == -22;
            let own = setup(8);
            let read = submit(own, &mut [rw(IOCB_CMD_PREAD, fd, page.0.as_mut_ptr(), 4096, 0, 1)]) == 1
                && reap(own, 1)[0].res == 4096;
            destroy(own);
            locked && refused && read
        });
        assert_eq!(status, 0);
        destroy(ctx);
    });
}

#[test]
fn the_file_and_the_eventfd_are_taken_at_submit() {
    on_engines(&WAITING, "the_file_and_the_eventfd_are_taken_at_submit", || {
        let ctx = setup(8);
        for _ in 0..100 {
            let (r, w) = pipe();
            let (other, other_w) = pipe();
            let eventfd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
            let kept = unsafe { libc::dup(eventfd) };
            let mut buf = [0u8; 8];
            let read = rw(IOCB_CMD_PREAD, r, buf.as_mut_ptr(), 8, 0, 1);
            let read = Iocb { flags: IOCB_FLAG_RESFD, resfd: eventfd as u32, ..read };
            assert_eq!(submit(ctx, &mut [read]), 1);
            unsafe {
                assert_eq!(libc::dup2(other, r), r);
                libc::close(eventfd);
                assert_eq!(libc::write(other_w, b"wrong".as_ptr().cast(), 5), 5);
                assert_eq!(libc::write(w, b"right".as_ptr().cast(), 5), 5);
            }
            assert_eq!(reap(ctx, 1)[0].res, 5);
            assert_eq!(&buf[..5], b"right");
            let mut count = 0u64;
            assert_eq!(unsafe { libc::read(kept, (&raw mut count).cast(), 8) }, 8);
            assert_eq!(count, 1);
            [r, w, other, other_w, kept].iter().for_each(|fd| unsafe { _ = libc::close(*fd) });
        }
        destroy(ctx);
    });
}

/// Closes the program's descriptors but for the standard ones and those from `first` to `last`.
fn close_all_but(first: i32, last: i32, by_libc: bool) {
    unsafe {
        libc::syscall(libc::SYS_close_range, 3, first - 1, 0);
        if by_libc {
            close_from(last + 1);
        } else {
            libc::syscall(libc::SYS_close_range, last + 1, u32::MAX, 0);
        }
    }
}

#[cfg(target_env = "gnu")]
fn close_from(first: i32) {
    unsafe extern "C" {
        fn closefrom(first: libc::c_int);
    }
    unsafe { closefrom(first) };
}

/// Other C libraries have none.
#[cfg(not(target_env = "gnu"))]
fn close_from(first: i32) {
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
}

/// A descriptor that nothing here closes.
fn open(path: &std::path::Path, flags: i32) -> i32 {
    let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
    let fd = unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC) };
    assert!(fd >= 0, "{}", std::io::Error::last_os_error());
    fd
}

/// A file of 64 pages of 1, none of which is in the page cache.
fn cold_file(name: &str) -> std::path::PathBuf {
    let path = scratch_dir().join(format!("uaio-{name}-{}", std::process::id()));
    std::fs::write(&path, [1u8; 64 * 4096]).unwrap();
    let file = std::fs::File::open(&path).unwrap();
    file.sync_all().unwrap();
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    path
}

#[test]
fn every_descriptor_may_be_closed_after_submit() {
    on_every_engine("every_descriptor_may_be_closed_after_submit", || {
        if Scratch::new("direct", true).is_none() {
            return;
        }
        let ctx = setup(8);
        for round in 0..20u8 {
            let path = cold_file("closed");
            let (r, w) = pipe();
            let eventfd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
            let (direct, cold) = (open(&path, libc::O_RDWR | libc::O_DIRECT), open(&path, libc::O_RDONLY));
            let first = 2000.min(cold + 100);
            let (w, kept) = unsafe { (libc::dup2(w, first), libc::dup2(eventfd, first + 1)) };
            let (mut out, mut back) = (Page([round + 2; 4096]), Page([0; 4096]));
            let sync = Iocb { data: 4, opcode: IOCB_CMD_FSYNC, fildes: direct as u32, ..Iocb::default() };
            let mut iocbs = [
                rw(IOCB_CMD_PWRITE, direct, out.0.as_mut_ptr(), 4096, 0, 2),
                rw(IOCB_CMD_PREAD, cold, back.0.as_mut_ptr(), 4096, 32 * 4096, 3),
                sync,
                poll_in(r, 1),
            ];
            for iocb in &mut iocbs {
                (iocb.flags, iocb.resfd) = (IOCB_FLAG_RESFD, eventfd as u32);
            }
            assert_eq!(submit(ctx, &mut iocbs), 4);
            close_all_but(w, kept, round % 2 == 0);
            assert_eq!(unsafe { libc::write(w, b"x".as_ptr().cast(), 1) }, 1);
            let mut results = reap(ctx, 4);
            results.sort_by_key(|event| event.data);
            assert_eq!(results[0].res & 1, 1, "{results:?}");
            assert_eq!([results[1].res, results[2].res, results[3].res], [4096, 4096, 0], "{results:?}");
            assert!(back.0 == [1; 4096] && std::fs::read(&path).unwrap()[..4096] == out.0);
            assert_eq!(counted(kept, 4), 4, "the eventfd's count");
            unsafe { (libc::close(w), libc::close(kept)) };
            std::fs::remove_file(path).unwrap();
        }
        destroy(ctx);
    });
}

#[test]
fn the_end_of_the_submitting_thread_ends_nothing() {
    on_engines(&WAITING, "the_end_of_the_submitting_thread_ends_nothing", || {
        let ctx = setup(64);
        let (r, w) = pipe();
        let (poll_r, poll_w) = pipe();
        let mut buf = [0u8; 8];
        let place = buf.as_mut_ptr() as usize;
        std::thread::spawn(move || {
            let read = rw(IOCB_CMD_PREAD, r, place as *mut u8, 8, 0, 1);
            assert_eq!(submit(ctx, &mut [read, poll_in(poll_r, 2)]), 2);
        })
        .join()
        .unwrap();
        std::thread::sleep(Duration::from_millis(20));
        unsafe {
            libc::write(w, b"later".as_ptr().cast(), 5);
            libc::write(poll_w, b"x".as_ptr().cast(), 1);
        }
        let events = reap(ctx, 2);
        assert!(events.iter().any(|e| e.data == 1 && e.res == 5), "{events:?}");
        assert!(events.iter().any(|e| e.data == 2 && e.res & 1 == 1), "{events:?}");
        destroy(ctx);
    });
}

static HANDLED: AtomicU32 = AtomicU32::new(0);

extern "C" fn count_signal(_: i32) {
    HANDLED.fetch_add(1, Ordering::SeqCst);
}

#[test]
fn completions_interrupt_no_other_call() {
    on_engines(&WAITING, "completions_interrupt_no_other_call", || {
        let ctx = setup(64);
        let epoll = unsafe { libc::epoll_create1(0) };
        for _ in 0..10 {
            let (r, w) = pipe();
            let mut buf = [0u8; 8];
            assert_eq!(submit(ctx, &mut [rw(IOCB_CMD_PREAD, r, buf.as_mut_ptr(), 8, 0, 1)]), 1);
            let writer = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(10));
                unsafe { libc::write(w, b"x".as_ptr().cast(), 1) };
            });
            let mut event = libc::epoll_event { events: 0, u64: 0 };
            let n = unsafe { libc::epoll_wait(epoll, &mut event, 1, 50) };
            assert_eq!(n, 0, "{}", std::io::Error::last_os_error());
            writer.join().unwrap();
            assert_eq!(reap(ctx, 1)[0].res, 1);
        }
        destroy(ctx);
    });
}

#[test]
fn signals_reach_the_program_and_wake_io_getevents() {
    on_every_engine("signals_reach_the_program_and_wake_io_getevents", || {
        let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
        action.sa_sigaction = count_signal as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        unsafe { libc::sigaction(libc::SIGUSR1, &action, core::ptr::null_mut()) };
        let ctx = setup(8);
        start_service(ctx);
        let me = unsafe { libc::pthread_self() };
        let (woken, is_woken) = std::sync::mpsc::channel::<()>();
        // Again, where it came before io_getevents slept.
        let sender = std::thread::spawn(move || {
            while is_woken.recv_timeout(Duration::from_millis(50)) == Err(RecvTimeoutError::Timeout) {
                unsafe { libc::pthread_kill(me, libc::SIGUSR1) };
            }
        });
        let mut event = IoEvent::default();
        assert_eq!(unsafe { io_getevents(ctx, 1, 1, &mut event, core::ptr::null()) }, -4);
        drop(woken);
        sender.join().unwrap();
        assert!(HANDLED.load(Ordering::SeqCst) >= 1);
        destroy(ctx);
    });
}

#[test]
fn users_and_groups_can_be_changed() {
    on_every_engine("users_and_groups_can_be_changed", || {
        let ctx = setup(8);
        start_service(ctx);
        if unsafe { libc::getuid() } == 0 {
            unsafe {
                assert_eq!(libc::setgid(65534), 0);
                assert_eq!(libc::setuid(65534), 0);
            }
        } else {
            let me = unsafe { libc::getuid() };
            assert_eq!(unsafe { libc::setuid(me) }, 0);
        }
        destroy(ctx);
    });
}

fn descriptors() -> Vec<i32> {
    let list = std::fs::read_dir("/proc/self/fd").unwrap();
    list.map(|e| e.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect()
}

#[test]
fn low_descriptors_stay_the_programs() {
    on_every_engine("low_descriptors_stay_the_programs", || {
        let (r, _w) = pipe();
        let before = descriptors();
        let ctxs: Vec<usize> = (0..50).map(|_| setup(32)).collect();
        assert_eq!(submit(ctxs[0], &mut [poll_in(r, 1)]), 1);
        let ours: Vec<i32> = descriptors().into_iter().filter(|fd| !before.contains(fd)).collect();
        assert!(ours.len() <= 1 && ours.iter().all(|fd| *fd >= 900), "{before:?} {ours:?}");
        ctxs.into_iter().for_each(destroy);
    });
}

#[test]
fn a_full_context_says_eagain_until_events_are_reaped() {
    on_every_engine("a_full_context_says_eagain_until_events_are_reaped", || {
        let ctx = setup(1);
        let null = std::fs::File::open("/dev/null").unwrap();
        let mut iocbs = vec![rw(IOCB_CMD_PREAD, null.as_raw_fd(), core::ptr::null_mut(), 0, 0, 0); 2000];
        let room = submit(ctx, &mut iocbs);
        assert!((1..2000).contains(&room));
        assert_eq!(submit(ctx, &mut iocbs[..1]), -11);
        assert_eq!(reap(ctx, 5).len(), 5);
        assert_eq!(submit(ctx, &mut iocbs), 5);
        destroy(ctx);
    });
}

#[test]
fn many_threads_submit_to_and_reap_from_one_context() {
    on_every_engine("many_threads_submit_to_and_reap_from_one_context", || {
        const EACH: usize = 3000;
        let ctx = setup(256);
        let scratch = Scratch::new("threads", false).unwrap();
        std::fs::write(scratch.path(), [5u8; 65536]).unwrap();
        let fd = scratch.file.as_raw_fd();
        let (r, w) = pipe();
        unsafe { libc::write(w, b"x".as_ptr().cast(), 1) };
        let seen: Vec<AtomicU32> = (0..4 * EACH).map(|_| AtomicU32::new(0)).collect();
        let reaped = AtomicU32::new(0);
        std::thread::scope(|s| {
            for t in 0..4 {
                s.spawn(move || {
                    let mut buf = [0u8; 512];
                    for i in 0..EACH {
                        let data = (t * EACH + i) as u64;
                        let mut iocb = match i % 3 {
                            0 => [poll_in(r, data)],
                            _ => [rw(IOCB_CMD_PREAD, fd, buf.as_mut_ptr(), 512, 512, data)],
                        };
                        while submit(ctx, &mut iocb) == -11 {
                            std::thread::yield_now();
                        }
                    }
                });
                let (seen, reaped) = (&seen, &reaped);
                s.spawn(move || {
                    let mut events = [IoEvent::default(); 16];
                    let time = Timespec { sec: 0, nsec: 20_000_000 };
                    while (reaped.load(Ordering::SeqCst) as usize) < 4 * EACH {
                        let n = unsafe { io_getevents(ctx, 4, 16, events.as_mut_ptr(), &time) };
                        assert!(n >= 0);
                        for event in &events[..n as usize] {
                            assert_eq!(seen[event.data as usize].fetch_add(1, Ordering::SeqCst), 0);
                        }
                        reaped.fetch_add(n as u32, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(seen.iter().all(|s| s.load(Ordering::SeqCst) == 1));
        destroy(ctx);
    });
}

#[test]
fn destroy_wakes_a_sleeper_at_once() {
    on_every_engine("destroy_wakes_a_sleeper_at_once", || {
        for _ in 0..20 {
            let ctx = setup(8);
            let sleeper = std::thread::spawn(move || {
                let mut event = IoEvent::default();
                unsafe { io_getevents(ctx, 1, 1, &mut event, core::ptr::null()) }
            });
            std::thread::sleep(Duration::from_millis(3));
            destroy(ctx);
            assert_eq!(sleeper.join().unwrap(), -22);
        }
    });
}

/// `UAIO_CANCEL=extended`: io_cancel ends what waits for somebody else, and what has not started.
#[test]
fn extended_cancel_ends_whatever_waits() {
    on_engines_with(&WAITING, &EXTENDED, "extended_cancel_ends_whatever_waits", || {
        let ctx = setup(8);
        let (r, w) = pipe();
        let eventfd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        let mut buf = [0u8; 8];
        let read = rw(IOCB_CMD_PREAD, r, buf.as_mut_ptr(), 8, 0, 5);
        let mut iocbs = [Iocb { flags: IOCB_FLAG_RESFD, resfd: eventfd as u32, ..read }, poll_in(r, 6)];
        assert_eq!(submit(ctx, &mut iocbs), 2);
        for (iocb, res) in iocbs.iter_mut().zip([-libc::ECANCELED, 0]) {
            assert_eq!(unsafe { io_cancel(ctx, iocb, core::ptr::null_mut()) }, -(libc::EINPROGRESS as isize));
            let event = reap(ctx, 1)[0];
            assert_eq!((event.data, event.res, event.res2), (iocb.data, i64::from(res), 0));
            assert_eq!(unsafe { io_cancel(ctx, iocb, core::ptr::null_mut()) }, -22);
        }
        assert_eq!(counted(eventfd, 1), 1);
        assert_eq!(unsafe { libc::write(w, b"later".as_ptr().cast(), 5) }, 5);
        assert_eq!(submit(ctx, &mut [read]), 1);
        assert_eq!((reap(ctx, 1)[0].res, &buf[..5]), (5, &b"later"[..]), "a cancelled read took nothing");
        destroy(ctx);
    });
}

/// Each write is either cancelled, and then nothing of it is on file, or done as its event says.
#[test]
fn extended_cancel_of_writes_tells_the_truth() {
    let engines = ["auto", "inline", "uring", "threads"];
    on_engines_with(&engines, &EXTENDED, "extended_cancel_of_writes_tells_the_truth", || {
        let Some(scratch) = Scratch::new("cancel", true) else { return };
        let fd = scratch.file.as_raw_fd();
        std::fs::write(scratch.path(), vec![0u8; 64 * 4096]).unwrap();
        let ctx = setup(64);
        let mut cancelled = 0;
        for round in 1..=20u8 {
            let mut pages: Vec<Page> = (0..64).map(|_| Page([round; 4096])).collect();
            let write = |(i, page): (usize, &mut Page)| {
                rw(IOCB_CMD_PWRITE, fd, page.0.as_mut_ptr(), 4096, i as i64 * 4096, i as u64)
            };
            let mut iocbs: Vec<Iocb> = pages.iter_mut().enumerate().map(write).collect();
            assert_eq!(submit(ctx, &mut iocbs), 64);
            for iocb in iocbs.iter_mut().rev() {
                let answer = unsafe { io_cancel(ctx, iocb, core::ptr::null_mut()) };
                assert!([-22, -115].contains(&answer), "{answer}");
            }
            let events = reap(ctx, 64);
            for event in events {
                let mut page = Page([0; 4096]);
                let at = event.data as i64 * 4096;
                assert_eq!(unsafe { libc::pread(fd, page.0.as_mut_ptr().cast(), 4096, at) }, 4096);
                match event.res {
                    4096 => assert_eq!(page.0, [round; 4096]),
                    -125 => assert_ne!(page.0[0], round),
                    other => panic!("{other}"),
                }
                cancelled += u32::from(event.res < 0);
            }
        }
        eprintln!("{cancelled} of 1280 cancelled on {}", engine());
        destroy(ctx);
    });
}

static ALARM: AtomicUsize = AtomicUsize::new(0);
static OVER: AtomicBool = AtomicBool::new(false);
static FILE: AtomicI32 = AtomicI32::new(0);
static EMPTY: AtomicI32 = AtomicI32::new(0);
/// What the handler's call said that it should not have: its number, and its answer.
static WRONG: [AtomicI32; 2] = [AtomicI32::new(0), AtomicI32::new(0)];

/// Notes down the first answer that is not the expected one; a handler must not panic.
fn answered(call: i32, answer: isize, expected: isize) {
    if answer != expected && WRONG[0].compare_exchange(0, call, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
        WRONG[1].store(answer as i32, Ordering::SeqCst);
    }
}

/// The six calls, on a context of their own: a POLL that is cancelled, and a read that comes. A handler may interrupt them,
/// unless they are a handler's own.
fn all_six(may_be_interrupted: bool) {
    let mut page = Page([0; 4096]);
    let mut poll = poll_in(EMPTY.load(Ordering::Relaxed), 1);
    let mut read = rw(IOCB_CMD_PREAD, FILE.load(Ordering::Relaxed), page.0.as_mut_ptr(), 4096, 0, 2);
    let pointers: [*mut Iocb; 2] = [&mut poll, &mut read];
    let mut events = [IoEvent::default(); 2];
    let (none, mask) = (core::ptr::null(), u64::MAX);
    let sigset = AioSigset { sigmask: &raw const mask as usize, sigsetsize: 8 };
    let mut ctx = 0;
    unsafe {
        answered(1, io_setup(4, &mut ctx), 0);
        answered(2, io_submit(ctx, 2, pointers.as_ptr()), 2);
        answered(3, io_pgetevents(ctx, 1, 1, &mut events[0], none, &sigset), 1);
        answered(4, io_cancel(ctx, pointers[0], core::ptr::null_mut()), -(libc::EINPROGRESS as isize));
        let mut taken = || io_getevents(ctx, 1, 1, &mut events[1], none);
        let mut count = taken();
        while may_be_interrupted && count == -(libc::EINTR as isize) {
            count = taken();
        }
        answered(5, count, 1);
        answered(6, io_submit(ctx, 2, pointers.as_ptr()), 2);
        answered(7, io_destroy(ctx), 0);
    }
    let came = [events[0].data, events[0].res as u64, events[1].data, events[1].res as u64];
    answered(8, isize::from(came == [2, 4096, 1, 0]), 1);
    answered(9, isize::from(page.0.iter().all(|byte| *byte == 6)), 1);
}

extern "C" fn make_all_calls(_: i32) {
    let errno = unsafe { *libc::__errno_location() };
    all_six(false);
    let count = HANDLED.fetch_add(1, Ordering::SeqCst);
    if !OVER.load(Ordering::SeqCst) {
        // What it interrupts is another instruction each time.
        Alarm::set(ALARM.load(Ordering::Relaxed), 20 + i64::from(count * 37 % 400));
    }
    unsafe { *libc::__errno_location() = errno };
}

/// Wherever in the six calls the handler comes, and makes them too.
#[test]
fn a_handler_makes_all_six_calls_wherever_it_comes() {
    on_every_engine("a_handler_makes_all_six_calls_wherever_it_comes", || {
        limit(Duration::from_secs(240));
        let Some(scratch) = Scratch::new("handler", true) else { return };
        std::fs::write(scratch.path(), [6u8; 4096]).unwrap();
        let (r, w) = pipe();
        FILE.store(scratch.file.as_raw_fd(), Ordering::Relaxed);
        EMPTY.store(r, Ordering::Relaxed);
        let alarm = Alarm::new(make_all_calls);
        ALARM.store(alarm.number(), Ordering::Relaxed);
        Alarm::set(alarm.number(), 100);
        let (mut rounds, until) = (0, Instant::now() + Duration::from_millis(1500));
        while Instant::now() < until || HANDLED.load(Ordering::SeqCst) < 5 {
            all_six(true);
            rounds += 1;
        }
        OVER.store(true, Ordering::SeqCst);
        Alarm::set(alarm.number(), 0);
        let handled = HANDLED.load(Ordering::SeqCst);
        eprintln!("{}: {rounds} rounds, and {handled} of the handler", engine());
        let wrong = WRONG.each_ref().map(|word| word.load(Ordering::SeqCst));
        assert_eq!(wrong, [0, 0], "a call, and its answer");
        assert_eq!(aio_nr(), 0);
        unsafe { (libc::close(r), libc::close(w)) };
    });
}
