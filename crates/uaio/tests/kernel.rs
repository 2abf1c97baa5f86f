//! Real kernel contexts under ours: which requests they get, and what becomes of them.
// The tests call C the way a program does; what they pass is their own.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use common::*;
use uaio::abi::*;
use uaio::entry::*;

const EINVAL: isize = -(libc::EINVAL as isize);

/// Addresses of the kernel contexts of this process.
fn kernels() -> Vec<usize> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let rings = maps.lines().filter(|line| line.contains("/[aio]"));
    rings.map(|line| usize::from_str_radix(line.split('-').next().unwrap(), 16).unwrap()).collect()
}

fn on_auto(test: &str, body: impl FnOnce()) {
    if has_kernel_aio() {
        on_engines(&["auto"], test, body);
    }
}

fn on_both(test: &str, body: impl FnOnce()) {
    if has_kernel_aio() {
        on_engines(&["auto", "kernel"], test, body);
    }
}

/// A file of 64 blocks, opened with O_DIRECT.
fn direct_file(name: &str) -> Option<Scratch> {
    let scratch = Scratch::new(name, true)?;
    std::fs::write(scratch.path(), vec![7u8; 64 * 4096]).unwrap();
    scratch.file.sync_all().unwrap();
    Some(scratch)
}

fn read_of(scratch: &Scratch, page: &mut Page, block: i64) -> Iocb {
    rw(IOCB_CMD_PREAD, scratch.file.as_raw_fd(), page.0.as_mut_ptr(), 4096, block * 4096, block as u64)
}

fn eventually(what: &str, is: impl FnMut() -> bool) {
    within(Duration::from_secs(90), what, is);
}

fn within(limit: Duration, what: &str, mut is: impl FnMut() -> bool) {
    let limit = Instant::now() + limit;
    while !is() {
        assert!(Instant::now() < limit, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_first_requests_decide() {
    on_auto("the_first_requests_decide", || {
        let Some(direct) = direct_file("kernel-first") else { return };
        let buffered = std::fs::File::open(direct.path()).unwrap();
        let mut page = Page([0; 4096]);
        let (r, w) = pipe();
        let of = |fd: i32, page: &mut Page| rw(IOCB_CMD_PREAD, fd, page.0.as_mut_ptr(), 4096, 0, 1);
        let kinds = [
            (true, vec![read_of(&direct, &mut page, 0)]),
            (true, vec![read_of(&direct, &mut page, 0), read_of(&direct, &mut page, 1)]),
            (true, vec![poll_in(r, 1)]),
            (false, vec![of(buffered.as_raw_fd(), &mut page)]),
            (false, vec![read_of(&direct, &mut page, 0), of(buffered.as_raw_fd(), &mut page)]),
            (false, vec![rw(IOCB_CMD_PWRITE, w, page.0.as_mut_ptr(), 8, 0, 1)]),
        ];
        for (index, (is_kernels, mut iocbs)) in kinds.into_iter().enumerate() {
            let ctx = setup(8);
            assert!(!kernels().contains(&ctx));
            assert_eq!(submit(ctx, &mut []), 0);
            assert_eq!(submit(ctx, &mut iocbs), iocbs.len() as isize, "{index}");
            assert_eq!(kernels().contains(&ctx), is_kernels, "{index}");
            // For good.
            assert_eq!(submit(ctx, &mut [of(buffered.as_raw_fd(), &mut page), read_of(&direct, &mut page, 3)]), 2);
            assert_eq!(kernels().contains(&ctx), is_kernels, "{index}");
            unsafe { libc::write(w, [0u8; 8].as_ptr().cast(), 8) };
            assert!(reap(ctx, iocbs.len() + 2).iter().all(|event| event.res > 0));
            destroy(ctx);
            assert!(!kernels().contains(&ctx) && unsafe { io_destroy(ctx) } == EINVAL);
        }
    });
}

#[test]
fn what_the_kernel_cannot_do_stays_here() {
    let Some(direct) = direct_file("kernel-not") else { return };
    let body = || {
        let (ctx, mut page) = (setup(8), Page([0; 4096]));
        assert_eq!(submit(ctx, &mut [read_of(&direct, &mut page, 0)]), 1);
        assert_eq!((kernels().len(), reap(ctx, 1)[0].res), (0, 4096));
        destroy(ctx);
    };
    let stats = std::env::temp_dir();
    for variable in
        [("UAIO_CANCEL", "extended"), ("UAIO_STATS", stats.to_str().unwrap()), ("UAIO_FAULT", "seed=1")]
    {
        on_engines_with(&["auto"], &[variable], "what_the_kernel_cannot_do_stays_here", body);
    }
}

#[test]
fn a_ring_keeps_its_address_and_its_form() {
    on_both("a_ring_keeps_its_address_and_its_form", || {
        let Some(direct) = direct_file("kernel-ring") else { return };
        for nr in [1, 100, 4096] {
            let (ctx, mut page) = (setup(nr), Page([0; 4096]));
            let before = unsafe { (ctx as *const RingHeader).read_volatile() };
            assert_eq!(submit(ctx, &mut [read_of(&direct, &mut page, 5)]), 1);
            assert!(kernels().contains(&ctx));
            let ring = unsafe { &*(ctx as *const RingHeader) };
            assert_eq!((ring.magic, ring.nr, ring.header_length), (RING_MAGIC, before.nr, 32));
            assert_eq!(reap(ctx, 1)[0].res, 4096);
            assert_eq!(unsafe { (&raw const ring.head).read_volatile() }, unsafe {
                (&raw const ring.tail).read_volatile()
            });
            assert!(page.0.iter().all(|byte| *byte == 7));
            destroy(ctx);
        }
    });
}

#[test]
fn parked_contexts_are_used_again_and_then_go() {
    on_both("parked_contexts_are_used_again_and_then_go", || {
        let Some(direct) = direct_file("kernel-parked") else { return };
        let (threads, mut page) = (|| std::fs::read_dir("/proc/self/task").unwrap().count(), Page([0; 4096]));
        let before = threads();
        for round in 0..200 {
            let ctx = setup(8);
            assert_eq!(submit(ctx, &mut [read_of(&direct, &mut page, round % 64)]), 1);
            let event = reap(ctx, 1)[0];
            assert_eq!((event.data, event.res), ((round % 64) as u64, 4096));
            destroy(ctx);
            assert_eq!(kernels().len(), 1, "{round}");
        }
        let many: Vec<usize> = (0..20).map(|_| setup(8)).collect();
        for ctx in &many {
            assert_eq!(submit(*ctx, &mut [read_of(&direct, &mut page, 1)]), 1);
        }
        many.iter().for_each(|ctx| destroy(*ctx));
        eventually("what is parked is destroyed, and the thread ends", || {
            kernels().is_empty() && threads() == before
        });
    });
}

/// For so long a kernel context is kept for the next one.
const KEPT: Duration = Duration::from_secs(1);

/// Kernel contexts that no context of `alive` lies on.
fn parked(alive: &[usize]) -> usize {
    kernels().iter().filter(|at| !alive.contains(at)).count()
}

/// Each that is too many goes at once. One that is kept goes after a second: so who waits so long for a place has seen nothing.
#[test]
fn four_are_kept_and_not_for_long() {
    on_both("four_are_kept_and_not_for_long", || {
        let Some(direct) = direct_file("kernel-four") else { return };
        let (alive, mut page) = ((0..20).map(|_| setup(8)).collect::<Vec<usize>>(), Page([0; 4096]));
        for ctx in &alive {
            assert_eq!(submit(*ctx, &mut [read_of(&direct, &mut page, 1)]), 1);
        }
        let (mut since, mut late) = (vec![], 0);
        for (ended, ctx) in alive.iter().enumerate() {
            since.push(Instant::now());
            destroy(*ctx);
            if ended < 4 {
                // On a machine that is slow to get here, the first may be gone.
                assert!(parked(&alive[ended + 1..]) == ended + 1 || since[0].elapsed() >= KEPT);
                continue;
            }
            eventually("four are left", || parked(&alive[ended + 1..]) <= 4);
            late += usize::from(since[ended - 4].elapsed() >= KEPT);
        }
        assert!(late <= 8, "{late} of 16 came too late: more than four are kept");
        within(Duration::from_secs(90), "what is parked is destroyed", || kernels().is_empty());
    });
}

#[test]
fn with_a_poll_in_flight_none_is_kept() {
    on_both("with_a_poll_in_flight_none_is_kept", || {
        let Some(direct) = direct_file("kernel-poll") else { return };
        let ((r, _w), mut page) = (pipe(), Page([0; 4096]));
        let read = read_of(&direct, &mut page, 0);
        // What there is to see where one is kept.
        let kept = setup(8);
        assert_eq!(submit(kept, &mut [read]), 1);
        let since = Instant::now();
        destroy(kept);
        assert!(kernels().len() == 1 || since.elapsed() >= KEPT);
        for first in [read, poll_in(r, 1)] {
            let ctx = setup(8);
            assert_eq!(submit(ctx, &mut [first]), 1);
            assert_eq!(submit(ctx, &mut [poll_in(r, 2)]), 1);
            assert!(kernels().contains(&ctx));
            destroy(ctx);
            assert_eq!(kernels(), []);
        }
    });
}

/// Waits until thread `tid` sleeps in the kernel's io_getevents of `ctx`; where that is not to be seen, a while.
fn wait_for_sleeper(tid: i32, ctx: usize) {
    let (file, call) = (format!("/proc/self/task/{tid}/syscall"), format!("{} {ctx:#x} ", libc::SYS_io_getevents));
    eventually("the thread sleeps", || match std::fs::read_to_string(&file) {
        Ok(text) => text.starts_with(&call),
        Err(_) => {
            std::thread::sleep(Duration::from_millis(300));
            true
        }
    });
}

#[test]
fn with_a_sleeper_none_is_kept() {
    on_both("with_a_sleeper_none_is_kept", || {
        let Some(direct) = direct_file("kernel-asleep") else { return };
        let mut page = Page([0; 4096]);
        for sleeps in [false, true] {
            let ctx = setup(8);
            assert_eq!(submit(ctx, &mut [read_of(&direct, &mut page, 0)]), 1);
            assert_eq!(reap(ctx, 1)[0].res, 4096);
            let (sender, receiver) = std::sync::mpsc::channel();
            let sleeper = sleeps.then(|| {
                std::thread::spawn(move || unsafe {
                    sender.send(libc::gettid()).unwrap();
                    io_getevents(ctx, 1, 1, &mut IoEvent::default(), core::ptr::null())
                })
            });
            if sleeps {
                wait_for_sleeper(receiver.recv().unwrap(), ctx);
            }
            let since = Instant::now();
            destroy(ctx);
            assert!(kernels().len() == usize::from(!sleeps) || !sleeps && since.elapsed() >= KEPT);
            sleeper.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), EINVAL));
        }
    });
}

#[test]
fn sleepers_go_along() {
    on_auto("sleepers_go_along", || {
        let Some(direct) = direct_file("kernel-sleepers") else { return };
        let ctx = setup(64);
        let sleeper = |masked: bool| {
            let (mut event, mask) = (IoEvent::default(), 0u64);
            let set = AioSigset { sigmask: &raw const mask as usize, sigsetsize: 8 };
            let n = match masked {
                true => unsafe { io_pgetevents(ctx, 1, 1, &mut event, &Timespec { sec: 120, nsec: 0 }, &set) },
                false => unsafe { io_getevents(ctx, 1, 1, &mut event, core::ptr::null()) },
            };
            (n, event.res)
        };
        std::thread::scope(|s| {
            let sleepers = [false, true, false, true].map(|masked| s.spawn(move || sleeper(masked)));
            std::thread::sleep(Duration::from_millis(100));
            let mut pages: Vec<Page> = (0..4).map(|_| Page([0; 4096])).collect();
            let mut iocbs: Vec<Iocb> = pages.iter_mut().zip(0..).map(|(p, i)| read_of(&direct, p, i)).collect();
            assert_eq!(submit(ctx, &mut iocbs), 4);
            assert!(kernels().contains(&ctx));
            sleepers.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), (1, 4096)));
        });
        destroy(ctx);
    });
}

#[test]
fn a_sleeper_is_woken_by_destroy() {
    on_both("a_sleeper_is_woken_by_destroy", || {
        let (r, _w) = pipe();
        let ctx = setup(8);
        assert_eq!(submit(ctx, &mut [poll_in(r, 1)]), 1);
        let wait = |least| unsafe {
            io_getevents(ctx, least, 4, [IoEvent::default(); 4].as_mut_ptr(), core::ptr::null())
        };
        std::thread::scope(|s| {
            let waiter = s.spawn(move || wait(2));
            std::thread::sleep(Duration::from_millis(100));
            destroy(ctx);
            assert_eq!(waiter.join().unwrap(), EINVAL);
        });
        assert_eq!(wait(1), EINVAL);
    });
}

#[test]
fn destroy_ends_polls_and_signals_their_eventfds() {
    on_both("destroy_ends_polls_and_signals_their_eventfds", || {
        let (r, _w) = pipe();
        let eventfd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        let ctx = setup(64);
        let poll = Iocb { flags: IOCB_FLAG_RESFD, resfd: eventfd as u32, ..poll_in(r, 1) };
        assert_eq!(submit(ctx, &mut vec![poll; 50]), 50);
        destroy(ctx);
        let mut count = 0u64;
        assert_eq!(unsafe { libc::read(eventfd, (&raw mut count).cast(), 8) }, 8);
        assert_eq!(count, 50);
    });
}

#[test]
fn after_destroy_no_buffer_changes() {
    on_both("after_destroy_no_buffer_changes", || {
        let Some(direct) = direct_file("kernel-buffers") else { return };
        for round in 0..30 {
            let ctx = setup(64);
            let mut pages: Vec<Page> = (0..64).map(|_| Page([0; 4096])).collect();
            let mut iocbs: Vec<Iocb> = pages.iter_mut().zip(0..).map(|(p, i)| read_of(&direct, p, i)).collect();
            assert_eq!(submit(ctx, &mut iocbs), 64);
            if round % 2 == 0 {
                reap(ctx, 3);
            }
            destroy(ctx);
            pages.iter_mut().for_each(|page| page.0.fill(0xdb));
            std::thread::sleep(Duration::from_millis(3));
            assert!(pages.iter().all(|page| page.0.iter().all(|byte| *byte == 0xdb)), "{round}");
        }
    });
}

#[test]
fn a_moved_ring_has_a_new_name() {
    on_both("a_moved_ring_has_a_new_name", || {
        let Some(direct) = direct_file("kernel-moved") else { return };
        let (ctx, mut page) = (setup(8), Page([0; 4096]));
        assert_eq!(submit(ctx, &mut [read_of(&direct, &mut page, 0)]), 1);
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        let moved = unsafe {
            let place = libc::mmap(core::ptr::null_mut(), 4096, 0, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
            libc::mremap(ctx as *mut _, 4096, 4096, flags, place) as usize
        };
        assert_eq!(unsafe { io_getevents(ctx, 0, 0, core::ptr::null_mut(), core::ptr::null()) }, EINVAL);
        assert_eq!(unsafe { io_destroy(ctx) }, EINVAL);
        assert_eq!(reap(moved, 1)[0].res, 4096);
        assert_eq!(submit(moved, &mut [read_of(&direct, &mut page, 1)]), 1);
        destroy(moved);
        assert_eq!(unsafe { io_destroy(moved) }, EINVAL);
    });
}

#[test]
fn an_unmapped_ring_is_einval() {
    on_both("an_unmapped_ring_is_einval", || {
        let Some(direct) = direct_file("kernel-unmapped") else { return };
        let (ctx, mut page) = (setup(8), Page([0; 4096]));
        assert_eq!(submit(ctx, &mut [read_of(&direct, &mut page, 0)]), 1);
        unsafe { libc::munmap(ctx as *mut _, 4096) };
        assert_eq!(submit(ctx, &mut [read_of(&direct, &mut page, 1)]), EINVAL);
        assert_eq!(unsafe { io_destroy(ctx) }, EINVAL);
        // The next context is a good one.
        let next = setup(8);
        assert_eq!(submit(next, &mut [read_of(&direct, &mut page, 2)]), 1);
        assert_eq!(reap(next, 1)[0].data, 2);
        destroy(next);
    });
}

/// Nothing is in flight before the first io_submit, whatever other threads do meanwhile.
#[test]
fn many_first_submissions_at_once() {
    on_auto("many_first_submissions_at_once", || {
        let Some(direct) = direct_file("kernel-race") else { return };
        for _ in 0..100 {
            let ctx = setup(256);
            std::thread::scope(|s| {
                for _ in 0..4 {
                    s.spawn(|| {
                        let mut page = Page([0; 4096]);
                        let mut got = 0;
                        for block in 0..8 {
                            let n = submit(ctx, &mut [read_of(&direct, &mut page, block)]);
                            if n == EINVAL {
                                return;
                            }
                            assert_eq!(n, 1);
                            let mut event = IoEvent::default();
                            got += unsafe { io_getevents(ctx, 1, 1, &mut event, core::ptr::null()) };
                            assert!(got >= 0 || got == EINVAL);
                        }
                    });
                }
            });
            destroy(ctx);
        }
    });
}

/// The context may be destroyed while another thread submits to it for the first time.
#[test]
fn the_first_submission_meets_destroy() {
    on_auto("the_first_submission_meets_destroy", || {
        let Some(direct) = direct_file("kernel-meets") else { return };
        for _ in 0..300 {
            let ctx = setup(8);
            let mut page = Page([0; 4096]);
            let iocb = read_of(&direct, &mut page, 0);
            std::thread::scope(|s| {
                let submitter = s.spawn(move || submit(ctx, &mut [iocb]));
                destroy(ctx);
                assert!([1, EINVAL].contains(&submitter.join().unwrap()));
            });
            page.0.fill(1);
            assert!(page.0.iter().all(|byte| *byte == 1));
        }
        eventually("what is parked is destroyed", || kernels().is_empty());
    });
}

#[test]
fn a_child_has_none() {
    on_both("a_child_has_none", || {
        let Some(direct) = direct_file("kernel-fork") else { return };
        let (ctx, mut page) = (setup(8), Page([0; 4096]));
        assert_eq!(submit(ctx, &mut [read_of(&direct, &mut page, 0)]), 1);
        let status = in_child(|| {
            let mut page = Page([0; 4096]);
            let refused = submit(ctx, &mut [read_of(&direct, &mut page, 0)]) == EINVAL
                && unsafe { io_getevents(ctx, 0, 1, core::ptr::null_mut(), core::ptr::null()) } == EINVAL
                && unsafe { io_destroy(ctx) } == EINVAL;
            let own = setup(8);
            let works = submit(own, &mut [read_of(&direct, &mut page, 9)]) == 1 && reap(own, 1)[0].data == 9;
            destroy(own);
            refused && works
        });
        assert_eq!((status, reap(ctx, 1)[0].res), (0, 4096));
        destroy(ctx);
    });
}
