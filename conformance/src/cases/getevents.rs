//! io_getevents and io_pgetevents: spec 3.

use std::time::{Duration, Instant};

use super::Case;
use crate::case;
use crate::case::Run;
use crate::sleepers::asleep;
use crate::tools::*;
use uaio::abi::*;

pub(super) fn time(sec: i64, nsec: i64) -> Option<Timespec> {
    Some(Timespec { sec, nsec })
}

/// A context with `count` events in its ring.
pub(super) fn filled(t: &Run, count: usize) -> usize {
    let null = open("/dev/null", libc::O_RDONLY);
    let ctx = t.setup(count.max(1) as u32);
    let mut iocbs: Vec<Iocb> = (0..count).map(|i| Iocb { data: i as u64, ..io(0, null, 0, 0, 0) }).collect();
    assert_eq!(t.submit(ctx, &mut iocbs), count as isize);
    ctx
}

pub fn cases() -> Vec<Case> {
    let mut all = checks();
    all.extend(waits());
    all
}

fn checks() -> Vec<Case> {
    vec![
        case!(
            Contract,
            "getevents/bad_timeout_is_efault_before_anything",
            "spec 3.1, io_getevents(2) EFAULT",
            |t| {
                if t.is_libaio() {
                    t.not_applicable("libaio reads the time-out itself");
                }
                let bad = BAD as *const Timespec;
                assert_eq!(unsafe { (t.calls.io_getevents)(1, -1, 0, std::ptr::null_mut(), bad) }, EFAULT);
            }
        ),
        case!(Linux, "pgetevents/the_mask_is_checked_before_the_context", "spec 3.2", |t| {
            if t.is_libaio() {
                t.not_applicable("libaio passes a block of its own");
            }
            let set = |mask, size| AioSigset { sigmask: mask, sigsetsize: size };
            let good = 0u64;
            let at = &raw const good as usize;
            let p = |s: *const AioSigset| t.pgetevents(1, 0, 0, 0, None, s);
            assert_eq!(p(BAD as *const AioSigset), EFAULT);
            assert_eq!(p(&set(BAD, 8)), EFAULT);
            assert_eq!(p(&set(at, 4)), EINVAL);
            let ctx = t.setup(1);
            assert_eq!(t.pgetevents(ctx, 0, 0, 0, None, &set(0, 4)), 0, "no mask: the size means nothing");
            assert_eq!(t.pgetevents(ctx, 0, 0, 0, None, &set(at, 8)), 0);
        }),
        case!(
            Contract,
            "getevents/bad_context_is_einval",
            "spec 3.3, spec 1.lookup.2, io_getevents(2) EINVAL",
            |t| {
                let ctx = t.setup(1);
                for bad in [0, ctx + 8, ctx + 4096 * 64] {
                    assert_eq!(t.getevents(bad, 0, 0, 0, None), EINVAL);
                }
            }
        ),
        case!(Contract, "getevents/min_negative_or_over_nr_is_einval", "spec 3.4, io_getevents(2) EINVAL", |t| {
            let ctx = t.setup(1);
            for (min, nr) in [(-1, 1), (2, 1), (0, -1), (1, 0)] {
                assert_eq!(t.getevents(ctx, min, nr, 0, time(0, 1)), EINVAL, "{min} {nr}");
            }
        }),
        case!(Linux, "getevents/nothing_wanted_is_0_at_once", "spec 3.wait.1", |t| {
            let ctx = filled(t, 3);
            assert_eq!(t.getevents(ctx, 0, 0, 0, None), 0);
            assert_eq!(t.getevents(ctx, 0, 0, BAD, time(5, 0)), 0);
        }),
        case!(Linux, "getevents/min_0_never_waits", "spec 3.wait.2, spec 11.9", |t| {
            let ctx = t.setup(1);
            assert_eq!(t.getevents(ctx, 0, 5, BAD, None), 0);
            assert_eq!(t.getevents(ctx, 0, 5, BAD, time(100, 0)), 0);
        }),
        case!(
            Contract,
            "getevents/takes_in_order_and_no_more_than_asked",
            "spec 3.wait.10, io_getevents(2)",
            |t| {
                let ctx = filled(t, 10);
                let mut events = [IoEvent::default(); 10];
                assert_eq!(t.getevents(ctx, 1, 4, events.as_mut_ptr() as usize, None), 4);
                assert!(events[..4].iter().map(|e| e.data).eq(0..4));
                assert_eq!(t.reap(ctx, 6).iter().map(|e| e.data).collect::<Vec<_>>(), [4, 5, 6, 7, 8, 9]);
            }
        ),
        case!(
            Linux,
            "getevents/bad_buffer_is_efault_and_loses_nothing",
            "spec 3.copy.1, io_getevents(2) EFAULT",
            |t| {
                let ctx = filled(t, 5);
                assert_eq!(t.getevents(ctx, 1, 5, BAD, None), EFAULT);
                assert_eq!(t.reap(ctx, 5).len(), 5);
            }
        ),
        case!(Linux, "getevents/buffer_that_ends_early_is_efault_and_loses_nothing", "spec 3.copy.3", |t| {
            let ctx = filled(t, 300);
            let page = pages(3, 2);
            let room = 200 * 32;
            assert_eq!(t.getevents(ctx, 300, 300, page + 8192 - room, None), EFAULT);
            assert_eq!(t.reap(ctx, 300)[0].data, 0);
        }),
        case!(Linux, "getevents/over_the_wrap", "spec 3.copy.3", |t| {
            let null = open("/dev/null", libc::O_RDONLY);
            let ctx = t.setup(100);
            for round in 0..20u64 {
                let mut iocbs: Vec<Iocb> =
                    (0..100).map(|i| Iocb { data: round * 100 + i, ..io(0, null, 0, 0, 0) }).collect();
                assert_eq!(t.submit(ctx, &mut iocbs), 100);
                assert!(t.reap(ctx, 100).iter().map(|e| e.data).eq(round * 100..round * 100 + 100));
            }
        }),
    ]
}

fn waits() -> Vec<Case> {
    vec![
        case!(
            Contract,
            "getevents/timeout_passes_and_gives_what_there_is",
            "spec 3.wait.8, spec 11.7, io_getevents(2)",
            |t| {
                let ctx = filled(t, 2);
                let mut events = [IoEvent::default(); 4];
                let started = Instant::now();
                assert_eq!(t.getevents(ctx, 4, 4, events.as_mut_ptr() as usize, time(0, 50_000_000)), 2);
                assert!(started.elapsed() >= Duration::from_millis(50));
                assert_eq!(t.getevents(ctx, 1, 4, events.as_mut_ptr() as usize, time(0, 1_000_000)), 0);
            }
        ),
        case!(Quirk, "getevents/nanoseconds_over_a_second_count", "spec 3.wait.5, spec 11.6", |t| {
            let ctx = t.setup(1);
            let mut event = IoEvent::default();
            let started = Instant::now();
            assert_eq!(t.getevents(ctx, 1, 1, &raw mut event as usize, time(0, 1_100_000_000)), 0);
            assert!(started.elapsed() >= Duration::from_millis(1100));
            let mut at_once = || {
                let started = Instant::now();
                assert_eq!(t.getevents(ctx, 1, 1, &raw mut event as usize, time(-1, 1_000_000_000)), 0);
                started.elapsed() < Duration::from_millis(900)
            };
            // A busy machine may be late once.
            assert!((0..3).any(|_| at_once()));
        }),
        case!(Quirk, "getevents/negative_timeouts_wait_for_ever", "spec 3.wait.6, spec 11.6", |t| {
            for bad in [time(-1, 0), time(0, -1)] {
                let (r, w) = pipe(0);
                let ctx = t.setup(1);
                assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN)]), 1);
                let writer = std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(100));
                    put(w, b"x");
                });
                let mut event = IoEvent::default();
                assert_eq!(t.getevents(ctx, 1, 1, &raw mut event as usize, bad), 1);
                writer.join().unwrap();
            }
        }),
        case!(Contract, "getevents/waits_for_min_events_together", "spec 3.wait.10, io_getevents(2)", |t| {
            let ends: Vec<(i32, i32)> = (0..3).map(|_| pipe(0)).collect();
            let ctx = t.setup(4);
            let mut iocbs: Vec<Iocb> = ends.iter().map(|(r, _)| poll(*r, libc::POLLIN)).collect();
            assert_eq!(t.submit(ctx, &mut iocbs), 3);
            let writer = std::thread::spawn(move || {
                for (_, w) in ends {
                    std::thread::sleep(Duration::from_millis(20));
                    put(w, b"x");
                }
            });
            assert_eq!(t.reap(ctx, 3).len(), 3);
            writer.join().unwrap();
        }),
        case!(Contract, "getevents/several_waiters_share_the_events", "spec 3.wait.11", |t| {
            let (r, w) = pipe(0);
            let ctx = t.setup(64);
            assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN); 40]), 40);
            let calls = t.calls;
            let waiter = move || {
                let mut got = 0;
                while got < 10 {
                    let mut events = [IoEvent::default(); 10];
                    let left = 10 - got;
                    let n =
                        unsafe { (calls.io_getevents)(ctx, left, left, events.as_mut_ptr(), std::ptr::null()) };
                    assert!(n > 0);
                    got += n;
                }
            };
            let waiters: Vec<_> = (0..4).map(|_| std::thread::spawn(waiter)).collect();
            std::thread::sleep(Duration::from_millis(50));
            put(w, b"x");
            waiters.into_iter().for_each(|w| w.join().unwrap());
            assert_eq!(t.look(ctx), 0);
        }),
        case!(Linux, "getevents/a_waiter_returns_einval_when_the_context_goes", "spec 3.wait.13", |t| {
            let ctx = t.setup(8);
            std::thread::scope(|s| {
                let waiter = asleep(s, || {
                    let mut event = IoEvent::default();
                    t.getevents(ctx, 1, 1, &raw mut event as usize, None)
                });
                assert_eq!(t.destroy(ctx), 0);
                assert_eq!(waiter.join().unwrap(), EINVAL);
            });
        }),
        case!(Linux, "getevents/a_waiter_returns_what_it_holds_when_the_context_goes", "spec 3.wait.13", |t| {
            let ctx = filled(t, 3);
            std::thread::scope(|s| {
                let waiter = asleep(s, || {
                    let mut events = [IoEvent::default(); 8];
                    t.getevents(ctx, 8, 8, events.as_mut_ptr() as usize, None)
                });
                assert_eq!(t.destroy(ctx), 0);
                assert_eq!(waiter.join().unwrap(), 3);
            });
        }),
    ]
}
