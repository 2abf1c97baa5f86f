//! Waiting in io_getevents, alone and with others: spec 3.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Case;
use super::getevents::{filled, time};
use super::reaping::{done, header};
use crate::case;
use crate::case::Run;
use crate::sleepers::asleep;
use crate::tools::*;
use uaio::abi::*;

/// Waits for `min` events without time-out; the answer, and their data.
fn wait_for(t: &Run, ctx: usize, min: isize) -> (isize, Vec<u64>) {
    let mut events = [IoEvent::default(); 16];
    let n = t.getevents(ctx, min, 16, events.as_mut_ptr() as usize, None);
    (n, events[..n.max(0) as usize].iter().map(|e| e.data).collect())
}

pub fn cases() -> Vec<Case> {
    let mut all = timeouts();
    all.extend(together());
    all.extend(copies());
    all
}

fn timeouts() -> Vec<Case> {
    vec![
        case!(Linux, "getevents/more_than_the_ring_holds_may_be_wanted", "spec 3.wait.3", |t| {
            let ctx = filled(t, 3);
            let mut events = [IoEvent::default(); 8];
            let at = events.as_mut_ptr() as usize;
            assert_eq!(t.getevents(ctx, 1_000_000, isize::MAX, at, time(0, 100_000_000)), 3);
            std::thread::scope(|s| {
                let waiter = asleep(s, || wait_many(t, ctx));
                assert_eq!(t.destroy(ctx), 0);
                assert_eq!(waiter.join().unwrap(), EINVAL);
            });
        }),
        case!(Contract, "getevents/time_0_is_one_look", "spec 3.wait.4, io_getevents(2)", |t| {
            let ctx = filled(t, 2);
            let mut events = [IoEvent::default(); 4];
            assert_eq!(t.getevents(ctx, 4, 4, events.as_mut_ptr() as usize, time(0, 0)), 2);
            assert_eq!(t.getevents(ctx, 4, 4, events.as_mut_ptr() as usize, time(0, 0)), 0);
        }),
        case!(Linux, "getevents/a_huge_timeout_is_for_ever", "spec 3.wait.7", |t| {
            for huge in [time(i64::MAX, 0), time(i64::MAX, 999_999_999), time(1 << 40, 0), time(0, i64::MAX)] {
                let ctx = t.setup(1);
                std::thread::scope(|s| {
                    let mut event = IoEvent::default();
                    let at = &raw mut event as usize;
                    let waiter = asleep(s, move || t.getevents(ctx, 1, 1, at, huge));
                    std::thread::sleep(Duration::from_millis(50));
                    assert!(!waiter.is_finished(), "{huge:?}");
                    done(t, ctx, 0..1);
                    assert_eq!(waiter.join().unwrap(), 1, "{huge:?}");
                });
            }
        }),
        case!(Contract, "getevents/at_the_timeout_the_events_are_in_place", "spec 3.wait.8", |t| {
            let ctx = filled(t, 3);
            let mut events = [IoEvent { data: 77, ..IoEvent::default() }; 5];
            assert_eq!(t.getevents(ctx, 4, 5, events.as_mut_ptr() as usize, time(0, 50_000_000)), 3);
            assert!(events.iter().map(|e| e.data).eq([0, 1, 2, 77, 77]));
            assert_eq!((header(ctx).head, header(ctx).tail), (3, 3));
        }),
        case!(
            Contract,
            "getevents/what_came_meanwhile_counts_at_the_timeout",
            "spec 3.wait.8, spec 3.wait.10",
            |t| {
                let ctx = t.setup(8);
                std::thread::scope(|s| {
                    let mut events = [IoEvent::default(); 8];
                    let at = events.as_mut_ptr() as usize;
                    let waiter = asleep(s, move || t.getevents(ctx, 8, 8, at, time(2, 0)));
                    done(t, ctx, 0..5);
                    assert_eq!(waiter.join().unwrap(), 5);
                    assert!(events[..5].iter().map(|e| e.data).eq(0..5));
                });
            }
        ),
        case!(Contract, "getevents/the_timeout_is_for_the_call_as_a_whole", "spec 3.wait.9, spec 11.7", |t| {
            let ctx = t.setup(64);
            let over = AtomicU32::new(0);
            std::thread::scope(|s| {
                s.spawn(|| {
                    for i in 0..60 {
                        std::thread::sleep(Duration::from_millis(100));
                        if over.load(Ordering::SeqCst) == 1 {
                            break;
                        }
                        done(t, ctx, i..i + 1);
                    }
                });
                let mut events = [IoEvent::default(); 64];
                let started = Instant::now();
                let n = t.getevents(ctx, 64, 64, events.as_mut_ptr() as usize, time(0, 400_000_000));
                let took = started.elapsed();
                over.store(1, Ordering::SeqCst);
                assert!((0..60).contains(&n), "{n}");
                assert!(took >= Duration::from_millis(400) && took < Duration::from_secs(60), "{took:?}");
            });
        }),
    ]
}

fn wait_many(t: &Run, ctx: usize) -> isize {
    let mut events = [IoEvent::default(); 8];
    t.getevents(ctx, 1_000_000, 1_000_000, events.as_mut_ptr() as usize, time(100, 0))
}

fn together() -> Vec<Case> {
    vec![
        case!(Linux, "getevents/a_waiter_takes_what_is_there_before_it_sleeps", "spec 3.wait.10", |t| {
            let ctx = filled(t, 1);
            std::thread::scope(|s| {
                let waiter = asleep(s, || wait_for(t, ctx, 3));
                assert_eq!((header(ctx).head, t.look(ctx)), (1, 0));
                done(t, ctx, 10..12);
                assert_eq!(waiter.join().unwrap(), (3, vec![0, 10, 11]));
            });
        }),
        case!(Linux, "getevents/one_event_wakes_who_needs_one", "spec 3.wait.11", |t| {
            let ctx = t.setup(16);
            std::thread::scope(|s| {
                let many = asleep(s, || wait_for(t, ctx, 5));
                let one = asleep(s, || wait_for(t, ctx, 1));
                done(t, ctx, 0..1);
                assert_eq!(one.join().unwrap(), (1, vec![0]));
                assert!(!many.is_finished());
                done(t, ctx, 1..6);
                assert_eq!(many.join().unwrap(), (5, vec![1, 2, 3, 4, 5]));
            });
        }),
        case!(Linux, "getevents/an_event_not_taken_belongs_to_nobody", "spec 3.wait.12", |t| {
            let ctx = t.setup(16);
            std::thread::scope(|s| {
                let waiter = asleep(s, || wait_for(t, ctx, 2));
                done(t, ctx, 0..1);
                // The kernel's waiter sleeps on; one that wakes and takes the event at once may do so too.
                let taken = t.look(ctx);
                std::thread::sleep(Duration::from_millis(50));
                assert!(!waiter.is_finished());
                done(t, ctx, 1..3);
                let (n, data) = waiter.join().unwrap();
                assert_eq!((n + taken + t.look(ctx), data.last()), (3, Some(&2)));
            });
        }),
        case!(Contract, "getevents/each_event_goes_to_one_thread", "spec 3.wait.11, io_getevents(2)", |t| {
            const EACH: u64 = 5000;
            let ctx = t.setup(128);
            let (seen, count): (Vec<AtomicU32>, _) =
                ((0..2 * EACH).map(|_| 0.into()).collect(), AtomicU64::new(0));
            std::thread::scope(|s| {
                for from in [0, EACH] {
                    s.spawn(move || submit_all(t, ctx, from..from + EACH));
                }
                for min in [1, 1, 2, 4] {
                    let (seen, count) = (&seen, &count);
                    s.spawn(move || {
                        while count.load(Ordering::SeqCst) < 2 * EACH {
                            let mut events = [IoEvent::default(); 4];
                            let n = t.getevents(ctx, min, 4, events.as_mut_ptr() as usize, time(0, 20_000_000));
                            for event in &events[..usize::try_from(n).unwrap()] {
                                seen[event.data as usize].fetch_add(1, Ordering::SeqCst);
                                count.fetch_add(1, Ordering::SeqCst);
                            }
                        }
                    });
                }
            });
            assert!(seen.iter().all(|n| n.load(Ordering::SeqCst) == 1));
            assert_eq!(t.look(ctx), 0);
        }),
        case!(
            Contract,
            "getevents/waiters_with_and_without_mask_share",
            "spec 3.wait.11, io_pgetevents(2)",
            |t| {
                let ctx = t.setup(64);
                std::thread::scope(|s| {
                    let masked = || {
                        let (mask, mut event) = (0u64, IoEvent::default());
                        let set = AioSigset { sigmask: &raw const mask as usize, sigsetsize: 8 };
                        t.pgetevents(ctx, 1, 1, &raw mut event as usize, None, &set)
                    };
                    let mut waiters: Vec<_> = (0..12).map(|_| asleep(s, masked)).collect();
                    waiters.extend((0..4).map(|_| asleep(s, || wait_one(t, ctx))));
                    for i in 0..16 {
                        done(t, ctx, i..i + 1);
                    }
                    assert!(waiters.into_iter().all(|w| w.join().unwrap() == 1));
                });
                assert_eq!(t.look(ctx), 0);
            }
        ),
        case!(Linux, "getevents/every_waiter_is_woken_when_the_context_goes", "spec 3.wait.13, spec 5.3", |t| {
            let ctx = t.setup(64);
            std::thread::scope(|s| {
                let mask = !0u64;
                let set = AioSigset { sigmask: &raw const mask as usize, sigsetsize: 8 };
                let set_at = &raw const set as usize;
                let masked = move || {
                    let mut event = IoEvent::default();
                    t.pgetevents(ctx, 1, 1, &raw mut event as usize, None, set_at as *const AioSigset)
                };
                let mut waiters: Vec<_> = (0..4).map(|_| asleep(s, || wait_one(t, ctx))).collect();
                waiters.extend((0..4).map(|_| asleep(s, masked)));
                assert_eq!(t.destroy(ctx), 0);
                assert!(waiters.into_iter().all(|w| w.join().unwrap() == EINVAL));
            });
        }),
    ]
}

fn wait_one(t: &Run, ctx: usize) -> isize {
    let mut event = IoEvent::default();
    t.getevents(ctx, 1, 1, &raw mut event as usize, None)
}

/// Submits one request for each number, again and again when there is no room.
pub(super) fn submit_all(t: &Run, ctx: usize, numbers: std::ops::Range<u64>) {
    let null = open("/dev/null", libc::O_RDONLY);
    for data in numbers {
        while t.submit(ctx, &mut [Iocb { data, ..io(0, null, 0, 0, 0) }]) != 1 {
            std::thread::yield_now();
        }
    }
}

fn copies() -> Vec<Case> {
    vec![
        case!(Linux, "getevents/a_fault_leaves_the_head_where_it_was", "spec 3.copy.1", |t| {
            let ctx = filled(t, 5);
            let page = pages(2, 1);
            for place in [BAD, page + 4096, page + 4096 - 3 * 32, usize::MAX - 31] {
                assert_eq!(t.getevents(ctx, 1, 5, place, None), EFAULT, "{place:#x}");
                assert_eq!((header(ctx).head, header(ctx).tail), (0, 5));
            }
            assert_eq!(t.getevents(ctx, 1, 3, page + 4096 - 3 * 32, None), 3, "just enough");
            assert!(t.reap(ctx, 2).iter().map(|e| e.data).eq(3..5));
        }),
        case!(Linux, "getevents/a_read_only_place_is_efault", "spec 3.copy.1, io_getevents(2) EFAULT", |t| {
            let ctx = filled(t, 2);
            let page = pages(1, 1);
            unsafe { libc::mprotect(page as *mut _, 4096, libc::PROT_READ) };
            assert_eq!(t.getevents(ctx, 1, 2, page, None), EFAULT);
            assert_eq!(t.pgetevents(ctx, 1, 2, page, None, std::ptr::null()), EFAULT);
            assert_eq!(t.reap(ctx, 2).len(), 2);
        }),
        case!(Linux, "getevents/a_fault_at_a_later_look_returns_what_there_was", "spec 3.copy.2", |t| {
            let ctx = filled(t, 2);
            let place = pages(2, 1) + 4096 - 2 * 32;
            std::thread::scope(|s| {
                let waiter = asleep(s, || t.getevents(ctx, 4, 4, place, None));
                done(t, ctx, 2..4);
                assert_eq!(waiter.join().unwrap(), 2);
            });
            assert!(t.reap(ctx, 2).iter().map(|e| e.data).eq(2..4));
        }),
        case!(Linux, "getevents/a_fault_in_any_piece_is_efault", "spec 3.copy.3", |t| {
            // Pieces of 127, 128 and 45 events.
            let ctx = filled(t, 300);
            let end = pages(4, 3) + 3 * 4096;
            for room in [0, 1, 126, 127, 128, 254, 255, 256, 299] {
                assert_eq!(t.getevents(ctx, 1, 300, end - room * 32, None), EFAULT, "{room}");
                assert_eq!(header(ctx).head, 0);
            }
            assert_eq!(t.getevents(ctx, 300, 300, end - 300 * 32, None), 300);
        }),
        case!(Linux, "getevents/what_is_asked_for_is_all_that_must_fit", "spec 3.copy.3", |t| {
            let ctx = filled(t, 300);
            let end = pages(2, 1) + 4096;
            for n in [100, 27, 1, 128, 44] {
                assert_eq!(t.getevents(ctx, n, n, end - n as usize * 32, None), n);
            }
            assert_eq!(t.look(ctx), 0);
        }),
        case!(Linux, "getevents/a_fault_behind_the_wrap_is_efault", "spec 3.copy.3", |t| {
            let ctx = t.setup(1);
            let (nr, null) = (header(ctx).nr, open("/dev/null", libc::O_RDONLY));
            while header(ctx).tail != nr - 17 {
                t.one_in(ctx, io(0, null, 0, 0, 0));
            }
            done(t, ctx, 0..40);
            let end = pages(2, 1) + 4096;
            assert_eq!(t.getevents(ctx, 40, 40, end - 20 * 32, None), EFAULT);
            assert_eq!(t.getevents(ctx, 40, 40, end - 40 * 32, None), 40);
        }),
    ]
}
