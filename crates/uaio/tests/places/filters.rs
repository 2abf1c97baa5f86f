//! A program that takes system calls away from itself after its start.

use std::os::fd::AsRawFd;

use uaio::abi::*;
use uaio::entry::*;

use crate::common::*;
use crate::filter::{Answer, Filter, Threads};
use crate::job;
use crate::qemu::install_as_qemu_does;

/// No thread of the library's is there yet.
#[test]
fn qemus_sandbox_before_the_first_request() {
    on_every_engine("filters::qemus_sandbox_before_the_first_request", || {
        install_as_qemu_does();
        job();
    });
}

/// Threads of the library's get it while they work, and new ones must start after they have ended.
#[test]
fn qemus_sandbox_with_requests_in_flight() {
    on_every_engine("filters::qemus_sandbox_with_requests_in_flight", || {
        let ctx = setup(8);
        let (r, w) = pipe();
        let accepted = submit(ctx, &mut [poll_in(r, 1)]);
        install_as_qemu_does();
        if accepted == 1 {
            assert_eq!(unsafe { libc::write(w, b"x".as_ptr().cast(), 1) }, 1);
            assert_eq!(reap(ctx, 1)[0].res & 1, 1);
        }
        job();
        std::thread::sleep(std::time::Duration::from_millis(2500));
        job();
        destroy(ctx);
    });
}

/// The filter is one: what it forbids kills.
#[test]
fn qemus_sandbox_kills_a_fork() {
    let status = in_child(|| {
        install_as_qemu_does();
        unsafe { libc::fork() };
        true
    });
    // glibc forks by clone without CLONE_VM.
    assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSYS, "{status:#x}");
}

#[cfg(target_arch = "x86_64")]
const IO_PGETEVENTS: libc::c_long = 333;
#[cfg(not(target_arch = "x86_64"))]
const IO_PGETEVENTS: libc::c_long = 292;

/// Only these: the six, read, write, futex, and the ways out.
fn install_allow_list(rest: Answer, threads: Threads) {
    let six = [libc::SYS_io_setup, libc::SYS_io_submit, libc::SYS_io_getevents, IO_PGETEVENTS];
    let more = [libc::SYS_io_cancel, libc::SYS_io_destroy, libc::SYS_read, libc::SYS_write, libc::SYS_futex];
    let ends = [libc::SYS_exit, libc::SYS_exit_group, libc::SYS_rt_sigreturn];
    let filter = Filter::default().calls(&six, Answer::Allow).calls(&more, Answer::Allow);
    filter.calls(&ends, Answer::Allow).install(rest, threads);
}

const EPERM: isize = -(libc::EPERM as isize);
const REFUSED: Answer = Answer::Errno(libc::EPERM);
const ENGINES: [&str; 3] = ["inline", "uring", "threads"];

/// The test harness needs more calls than there are now.
fn end_well() -> ! {
    unsafe { libc::_exit(0) }
}

fn in_time(ctx: usize, least: usize, events: &mut [IoEvent], ms: i64) -> isize {
    let time = Timespec { sec: ms / 1000, nsec: ms % 1000 * 1_000_000 };
    unsafe { io_getevents(ctx, least as isize, events.len() as isize, events.as_mut_ptr(), &time) }
}

/// The library's threads were there before, so the filter is not theirs: what is in flight ends and is taken, what
/// cannot be accepted is told by an errno, and io_destroy ends what waits.
#[test]
fn the_allow_list_of_a_thread() {
    on_engines(&ENGINES, "filters::the_allow_list_of_a_thread", || {
        let Some(scratch) = Scratch::new("allow", true) else { return };
        std::fs::write(scratch.path(), vec![7u8; 65536]).unwrap();
        std::fs::remove_file(scratch.path()).unwrap();
        let (fd, ctx) = (scratch.file.as_raw_fd(), setup(64));
        let ((r, w), (empty, _w)) = (pipe(), pipe());
        let mut pages: Vec<Page> = (0..8).map(|_| Page([0; 4096])).collect();
        let mut iocbs: Vec<Iocb> = pages
            .iter_mut()
            .enumerate()
            .map(|(i, page)| rw(IOCB_CMD_PREAD, fd, page.0.as_mut_ptr(), 4096, i as i64 * 4096, 0))
            .collect();
        let mut events = [IoEvent::default(); 16];
        iocbs.extend([poll_in(r, 1), poll_in(r, 2), poll_in(empty, 3)]);
        assert_eq!(submit(ctx, &mut iocbs), 11);
        install_allow_list(REFUSED, Threads::Own);
        assert_eq!(unsafe { libc::write(w, b"x".as_ptr().cast(), 1) }, 1);
        assert_eq!(in_time(ctx, 10, &mut events, 20_000), 10);
        assert!(events[..10].iter().all(|event| if event.data == 0 {
            event.res == 4096
        } else {
            event.res & 1 == 1
        }));
        assert!(pages.iter().all(|page| page.0 == [7; 4096]));
        assert_eq!(in_time(ctx, 1, &mut events, 50), 0);
        assert_eq!((submit(ctx, &mut iocbs[..1]), submit(ctx, &mut iocbs[8..9])), (EPERM, EPERM));
        assert_eq!(unsafe { io_cancel(ctx, &mut iocbs[0], core::ptr::null_mut()) }, -(libc::EINVAL as isize));
        destroy(ctx);
        end_well();
    });
}

/// Threads of the library's have it too: nothing dies, nothing spins, what had ended is taken, the rest is an errno.
#[test]
fn the_allow_list_of_all_threads() {
    on_engines(&ENGINES, "filters::the_allow_list_of_all_threads", || {
        let (ctx, (r, w)) = (setup(64), pipe());
        let mut events = [IoEvent::default(); 4];
        assert_eq!(submit(ctx, &mut [poll_in(r, 1)]), 1);
        assert_eq!(unsafe { libc::write(w, b"x".as_ptr().cast(), 1) }, 1);
        // Its event is there, so no library thread has anything to do.
        while unsafe { (ctx as *const RingHeader).read_volatile() }.tail == 0 {
            std::thread::yield_now();
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
        let (before, mut later) = (cpu_ticks(), std::fs::File::open("/proc/self/stat").unwrap());
        install_allow_list(REFUSED, Threads::All);
        assert_eq!(in_time(ctx, 1, &mut events, 20_000), 1);
        assert_eq!(in_time(ctx, 1, &mut events, 1500), 0);
        let mut text = [0; 1024];
        let got = std::io::Read::read(&mut later, &mut text).unwrap();
        let spent = ticks_of(&text[..got]) - before;
        assert!(spent < 30, "{spent} ticks in 1.5 s");
        assert_eq!(submit(ctx, &mut [poll_in(r, 1)]), EPERM);
        destroy(ctx);
        end_well();
    });
}

/// A kernel context needs nothing but the six calls.
#[test]
fn the_allow_list_and_a_kernel_context() {
    let engines: &[&str] = if has_kernel_aio() { &["auto", "kernel"] } else { &[] };
    on_engines(engines, "filters::the_allow_list_and_a_kernel_context", || {
        let (ctx, (r, w), (empty, _w)) = (setup(64), pipe(), pipe());
        let mut events = [IoEvent::default(); 4];
        let mut iocbs = [poll_in(r, 1), poll_in(empty, 2)];
        assert_eq!(submit(ctx, &mut iocbs), 2);
        install_allow_list(REFUSED, Threads::All);
        assert_eq!(unsafe { libc::write(w, b"x".as_ptr().cast(), 1) }, 1);
        assert_eq!((in_time(ctx, 1, &mut events, 20_000), events[0].data), (1, 1));
        assert_eq!(submit(ctx, &mut iocbs[..1]), 1);
        let cancelled = unsafe { io_cancel(ctx, &mut iocbs[1], core::ptr::null_mut()) };
        assert_eq!((cancelled, in_time(ctx, 2, &mut events, 20_000)), (-(libc::EINPROGRESS as isize), 2));
        destroy(ctx);
        end_well();
    });
}

/// User and system time of this process.
fn cpu_ticks() -> u64 {
    ticks_of(&std::fs::read("/proc/self/stat").unwrap())
}

fn ticks_of(stat: &[u8]) -> u64 {
    let after_name = stat.iter().rposition(|byte| *byte == b')').unwrap() + 2;
    let mut fields = stat[after_name..].split(|byte| *byte == b' ').skip(11).take(2);
    fields.by_ref().map(|field| str::from_utf8(field).unwrap().parse::<u64>().unwrap()).sum()
}

/// What is forbidden kills. Library threads that are there have no filter: what is in flight ends, and the program finds
/// it by read, of an eventfd, and in the ring.
#[test]
fn the_killing_allow_list_of_a_thread() {
    on_engines(&ENGINES, "filters::the_killing_allow_list_of_a_thread", || {
        let (ctx, (r, w)) = (setup(64), pipe());
        let eventfd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        let poll = Iocb { flags: IOCB_FLAG_RESFD, resfd: eventfd as u32, ..poll_in(r, 5) };
        assert_eq!(submit(ctx, &mut [poll, poll]), 2);
        install_allow_list(Answer::Kill, Threads::Own);
        unsafe { libc::write(w, b"x".as_ptr().cast(), 1) };
        let (mut count, mut total) = (0u64, 0);
        while total < 2 && unsafe { libc::read(eventfd, (&raw mut count).cast(), 8) } == 8 {
            total += count;
        }
        let header = unsafe { (ctx as *const RingHeader).read_volatile() };
        let good = total == 2 && header.tail.wrapping_sub(header.head) == 2;
        unsafe { libc::_exit(i32::from(!good)) }
    });
}
