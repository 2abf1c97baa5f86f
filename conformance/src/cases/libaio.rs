//! libaio's functions beyond the six calls, and its rules: spec 7. For targets that are a libaio.

use std::sync::atomic::{AtomicI64, Ordering};

use super::Case;
use super::getevents::time;
use super::reaping::done;
use crate::case;
use crate::case::Run;
use crate::libaio_calls::{Libaio, V0_1, V0_4, V0_5};
use crate::tools::*;
use uaio::abi::*;

fn errno() -> &'static mut i32 {
    unsafe { &mut *libc::__errno_location() }
}

/// A header in memory of the case's own.
fn forged(magic: u32, head: u32, tail: u32) -> RingHeader {
    RingHeader {
        id: 0x7fff_ffff,
        nr: 10,
        head,
        tail,
        magic,
        compat_features: 1,
        incompat_features: 0,
        header_length: 32,
    }
}

pub fn cases() -> Vec<Case> {
    let mut all = symbols();
    all.extend(results());
    all.extend(queues());
    all.extend(old_forms());
    all
}

fn symbols() -> Vec<Case> {
    vec![
        case!(Linux, "libaio/functions_have_their_versions", "spec 7.sym.1, spec 7.sym.2, spec 7.sym.4", |t| {
            let lib = Libaio::of(t);
            for name in [c"io_queue_init", c"io_queue_run", c"io_queue_release", c"io_submit"] {
                assert!(lib.find(name, V0_1).is_some() && lib.find(name, V0_4).is_none(), "{name:?}");
            }
            for name in [c"io_setup", c"io_destroy"] {
                assert!(lib.find(name, V0_4).is_some() && lib.find(name, V0_1).is_none(), "{name:?}");
            }
            assert!(lib.find(c"io_pgetevents", V0_5).is_some() && lib.find(c"io_pgetevents", V0_4).is_none());
        }),
        case!(Linux, "libaio/three_functions_have_an_older_form", "spec 7.sym.3", |t| {
            let lib = Libaio::of(t);
            for name in [c"io_cancel", c"io_getevents", c"io_queue_wait"] {
                let (old, new) = (lib.find(name, V0_1), lib.find(name, V0_4));
                assert!(old.is_some() && new.is_some() && old != new, "{name:?}");
            }
        }),
        case!(Linux, "libaio/exports_its_functions_and_versions_only", "spec 7.sym.5, spec 7.sym.6", |t| {
            let mut exports = Libaio::of(t).exports();
            exports.remove("LIBAIO_0.6"); // of newer distributions
            let names = [
                "LIBAIO_0.1",
                "LIBAIO_0.4",
                "LIBAIO_0.5",
                "io_cancel",
                "io_destroy",
                "io_getevents",
                "io_pgetevents",
                "io_queue_init",
                "io_queue_release",
                "io_queue_run",
                "io_queue_wait",
                "io_setup",
                "io_submit",
            ];
            assert!(exports.iter().eq(names), "{exports:?}");
        }),
        case!(Linux, "libaio/calls_io_getevents_by_name", "spec 7.rule.10", |t| {
            assert!(Libaio::of(t).looked_up().contains("io_getevents"));
        }),
    ]
}

fn results() -> Vec<Case> {
    vec![
        case!(Linux, "libaio/errors_are_negated_and_errno_stays", "spec 7.rule.1", |t| {
            let lib = Libaio::of(t);
            let (mut event, mut iocb) = (IoEvent::default(), Iocb::default());
            let at = &raw mut event as usize;
            let ctx = t.setup(1);
            *errno() = 77;
            let answers = [
                t.try_setup(0, &mut 0),
                t.destroy(0),
                t.submit_at(0, 1, 0),
                t.cancel(0, &mut iocb),
                t.getevents(0, 1, 1, at, None),
                t.pgetevents(0, 1, 1, at, None, std::ptr::null()),
                unsafe { (lib.queue_run())(0) as isize },
                unsafe { (lib.queue_release())(0) as isize },
                unsafe { (lib.queue_init())(0, &mut 0) as isize },
                unsafe { (lib.old_cancel())(0, &mut iocb) as isize },
                unsafe { (lib.old_getevents())(0, 1, &mut event, std::ptr::null()) as isize },
            ];
            assert_eq!((answers, *errno()), ([EINVAL; 11], 77));
            assert_eq!((t.submit_at(ctx, 1, BAD), t.getevents(ctx, 0, 1, at, time(0, 1))), (EFAULT, 0));
            assert_eq!((t.destroy(ctx), *errno()), (0, 77));
        }),
        case!(Linux, "libaio/errno_stays_when_all_is_well", "spec 7.rule.1", |t| {
            Libaio::of(t);
            let (r, w) = pipe(0);
            *errno() = 77;
            let ctx = t.setup(4);
            let mut iocbs = [poll(r, libc::POLLIN), poll(w, libc::POLLOUT)];
            assert_eq!((t.submit(ctx, &mut iocbs), t.cancel(ctx, &mut iocbs[0])), (2, EINPROGRESS));
            assert_eq!((t.reap(ctx, 2).len(), t.look(ctx), t.destroy(ctx)), (2, 0, 0));
            assert_eq!(*errno(), 77);
        }),
        case!(Linux, "libaio/io_setup_takes_a_negative_number_as_a_huge_one", "spec 7.rule.3", |t| {
            Libaio::of(t);
            assert_eq!((t.try_setup(u32::MAX, &mut 0), t.try_setup(-5i32 as u32, &mut 0)), (EINVAL, EINVAL));
        }),
        case!(Linux, "libaio/an_empty_ring_needs_no_call", "spec 7.rule.11", |t| {
            let pgetevents = Libaio::of(t).pgetevents();
            let none = Timespec::default();
            let both = |ring: &RingHeader, time: Timespec| {
                let ctx = &raw const *ring as usize;
                let n = t.getevents(ctx, -1, -1, BAD, Some(time));
                let events = BAD as *mut IoEvent;
                let p = unsafe { pgetevents(ctx, -1, -1, events, &time, BAD as *const u64) };
                (n, p as isize)
            };
            assert_eq!(both(&forged(RING_MAGIC, 3, 3), none), (0, 0));
            assert_eq!(both(&forged(RING_MAGIC, 3, 4), none), (EINVAL, EFAULT));
            assert_eq!(both(&forged(RING_MAGIC + 1, 3, 3), none), (EINVAL, EFAULT));
            assert_eq!(both(&forged(RING_MAGIC, 3, 3), Timespec { sec: 0, nsec: 1 }), (EINVAL, EFAULT));
            assert_eq!(both(&forged(RING_MAGIC, 3, 3), Timespec { sec: 1, nsec: 0 }), (EINVAL, EFAULT));
            assert_eq!(
                t.getevents(&raw const *Box::new(forged(RING_MAGIC, 3, 3)) as usize, 0, 0, 0, None),
                EINVAL
            );
        }),
        case!(Linux, "libaio/a_forked_child_finds_the_ring_empty", "spec 6.life.5, spec 7.rule.11", |t| {
            Libaio::of(t);
            let ctx = t.setup(4);
            assert!(in_child(|| {
                let mut there = 0u8;
                if unsafe { libc::mincore(ctx as *mut _, 4096, &mut there) } != 0 {
                    return true; // a kernel that keeps the ring from children
                }
                t.getevents(ctx, -1, 0, 0, time(0, 0)) == 0 && t.getevents(ctx, 0, 0, 0, None) == EINVAL
            }));
            done(t, ctx, 0..1);
            assert!(in_child(|| t.getevents(ctx, 0, 0, 0, time(0, 0)) == EINVAL));
        }),
        case!(Linux, "libaio/no_context_is_einval", "spec 7.rule.12", |t| {
            let lib = Libaio::of(t);
            for time in [None, time(0, 0), time(1, 0)] {
                assert_eq!(t.getevents(0, 0, 0, 0, time), EINVAL);
                assert_eq!(t.pgetevents(0, 0, 0, 0, time, std::ptr::null()), EINVAL);
                let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
                assert!(lib.queue_waits().iter().all(|wait| unsafe { wait(0, time) } == EINVAL as i32));
            }
        }),
        case!(Linux, "libaio/io_pgetevents_may_have_no_mask", "spec 7.rule.14", |t| {
            let pgetevents = Libaio::of(t).pgetevents();
            let (ctx, mut event) = (t.setup(4), IoEvent::default());
            let (none, soon) = (std::ptr::null(), Timespec { sec: 0, nsec: 1_000_000 });
            done(t, ctx, 7..8);
            assert_eq!(unsafe { pgetevents(ctx, 1, 1, &mut event, std::ptr::null(), none) }, 1);
            assert_eq!((event.data, unsafe { pgetevents(ctx, 1, 1, &mut event, &soon, none) }), (7, 0));
            assert_eq!(unsafe { pgetevents(ctx, 1, 0, &mut event, &soon, none) }, EINVAL as i32);
        }),
    ]
}

/// What the callback below was called with: context, number of calls, sums of data, res and res2.
static SEEN: [AtomicI64; 5] = [const { AtomicI64::new(0) }; 5];

extern "C" fn callback(ctx: usize, iocb: *mut Iocb, res: i64, res2: i64) {
    SEEN[0].store(ctx as i64, Ordering::SeqCst);
    SEEN[1].fetch_add(1, Ordering::SeqCst);
    SEEN[2].fetch_add(unsafe { (*iocb).offset }, Ordering::SeqCst);
    SEEN[3].fetch_add(res, Ordering::SeqCst);
    SEEN[4].fetch_add(res2, Ordering::SeqCst);
}

fn seen() -> [i64; 4] {
    [1, 2, 3, 4].map(|i| SEEN[i].load(Ordering::SeqCst))
}

/// Submits a read of `len` zeros for each number, with the callback; io_set_callback stores it to `data`.
fn with_callbacks(t: &Run, ctx: usize, iocbs: &mut [Iocb], len: usize) {
    static BYTES: [AtomicI64; 8] = [const { AtomicI64::new(0) }; 8];
    let zero = open("/dev/zero", libc::O_RDONLY);
    for (i, iocb) in iocbs.iter_mut().enumerate() {
        let data = callback as *const () as u64;
        *iocb = Iocb { data, ..io(0, zero, BYTES.as_ptr() as usize, len, i as i64) };
    }
    assert_eq!(t.submit(ctx, iocbs), iocbs.len() as isize);
}

fn queues() -> Vec<Case> {
    vec![
        case!(Linux, "libaio/io_queue_init_wants_a_positive_number", "spec 7.rule.4", |t| {
            let init = Libaio::of(t).queue_init();
            for number in [0, -1, i32::MIN] {
                let mut ctx = 5;
                assert_eq!((unsafe { init(number, &mut ctx) }, ctx), (EINVAL as i32, 5));
                assert_eq!(unsafe { init(number, BAD as *mut usize) }, EINVAL as i32, "it is not touched");
            }
        }),
        case!(Linux, "libaio/io_queue_init_clears_the_context_first", "spec 7.rule.4", |t| {
            let lib = Libaio::of(t);
            let mut ctx = 5;
            assert_eq!(unsafe { (lib.queue_init())(4, &mut ctx) }, 0);
            done(t, ctx, 0..4);
            assert_eq!((t.look(ctx), t.destroy(ctx)), (4, 0));
            let mut ctx = 5;
            assert_eq!((unsafe { (lib.queue_init())(i32::MAX, &mut ctx) }, ctx), (EINVAL as i32, 0));
        }),
        case!(Linux, "libaio/io_queue_release_is_io_destroy", "spec 7.rule.5", |t| {
            let release = Libaio::of(t).queue_release();
            let ctx = t.setup(1);
            assert_eq!(unsafe { (release(ctx), release(0), release(ctx + 8)) }, (0, EINVAL as i32, EINVAL as i32));
            assert_eq!(t.submit_at(ctx, 0, 0), EINVAL);
        }),
        case!(Linux, "libaio/io_queue_run_calls_back_for_each_event", "spec 7.rule.6", |t| {
            let run = Libaio::of(t).queue_run();
            let ctx = t.setup(100);
            let mut iocbs = [Iocb::default(); 100];
            with_callbacks(t, ctx, &mut iocbs, 8);
            assert_eq!((unsafe { run(ctx) }, seen()), (0, [100, 4950, 800, 0]));
            assert_eq!(SEEN[0].load(Ordering::SeqCst), ctx as i64);
            assert_eq!((unsafe { run(ctx) }, t.look(ctx), seen()[0]), (0, 0, 100));
        }),
        case!(Linux, "libaio/io_queue_run_does_not_wait", "spec 7.rule.6", |t| {
            let run = Libaio::of(t).queue_run();
            let (r, w) = pipe(0);
            let ctx = t.setup(4);
            let mut iocbs = [Iocb { data: callback as *const () as u64, ..poll(r, libc::POLLIN) }];
            assert_eq!((t.submit(ctx, &mut iocbs), unsafe { run(ctx) }, seen()[0]), (1, 0, 0));
            put(w, b"x");
            crate::sleepers::wait_until("the poll fires", || unsafe { run(ctx) } == 0 && seen()[0] == 1);
            assert_eq!(seen()[2] & 1, 1);
        }),
        case!(Linux, "libaio/io_queue_run_passes_negative_results_on", "spec 7.rule.6", |t| {
            let run = Libaio::of(t).queue_run();
            let ctx = t.setup(4);
            let zero = open("/dev/zero", libc::O_RDONLY);
            let mut iocbs = [Iocb { data: callback as *const () as u64, ..io(0, zero, BAD, 8, 3) }];
            assert_eq!(t.submit(ctx, &mut iocbs), 1);
            assert_eq!((unsafe { run(ctx) }, seen()), (0, [1, 3, EFAULT as i64, 0]));
        }),
        case!(Linux, "libaio/io_queue_run_returns_io_geteventss_error", "spec 7.rule.6", |t| {
            let run = Libaio::of(t).queue_run();
            let stranger = forged(RING_MAGIC, 1, 2);
            assert_eq!(unsafe { (run(0), run(&raw const stranger as usize)) }, (EINVAL as i32, EINVAL as i32));
        }),
        case!(Quirk, "libaio/io_queue_run_without_callback_crashes", "spec 7.rule.6", |t| {
            let run = Libaio::of(t).queue_run();
            let ctx = t.setup(4);
            done(t, ctx, 0..1);
            let status = unsafe {
                let child = libc::fork();
                if child == 0 {
                    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
                    libc::setrlimit(libc::RLIMIT_CORE, &none);
                    let own = t.setup(4);
                    done(t, own, 0..1);
                    libc::_exit(run(own));
                }
                let mut status = 0;
                libc::waitpid(child, &mut status, 0);
                status
            };
            assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSEGV, "{status}");
        }),
        case!(Linux, "libaio/io_queue_wait_waits_for_nothing", "spec 7.rule.7, spec 7.rule.9", |t| {
            let waits = Libaio::of(t).queue_waits();
            let ctx = t.setup(4);
            let (long, odd) = (Timespec { sec: 1000, nsec: 0 }, Timespec { sec: -1, nsec: 0 });
            for events in [0, 1] {
                done(t, ctx, 0..events);
                for wait in waits {
                    assert_eq!(unsafe { (wait(ctx, &long), wait(ctx, &odd)) }, (0, 0));
                }
                assert_eq!(unsafe { waits[1](ctx, std::ptr::null()) }, 0);
                assert_eq!(t.look(ctx), events as isize, "it takes nothing");
            }
        }),
    ]
}

fn old_forms() -> Vec<Case> {
    vec![
        case!(Linux, "libaio/io_getevents_0_1_waits_for_one", "spec 7.rule.8", |t| {
            let getevents = Libaio::of(t).old_getevents();
            let ctx = t.setup(4);
            let mut events = [IoEvent::default(); 4];
            let at = events.as_mut_ptr();
            std::thread::scope(|s| {
                let address = at as usize;
                let waiter = crate::sleepers::asleep(s, move || unsafe {
                    getevents(ctx, 4, address as *mut IoEvent, std::ptr::null())
                });
                done(t, ctx, 5..6);
                assert_eq!(waiter.join().unwrap(), 1);
            });
            done(t, ctx, 6..9);
            let soon = Timespec { sec: 0, nsec: 1_000_000 };
            assert_eq!(unsafe { (getevents(ctx, 2, at, &soon), getevents(ctx, 4, at, &soon)) }, (2, 1));
            assert_eq!(
                unsafe { (getevents(ctx, 4, at, &soon), getevents(ctx, 0, at, &soon)) },
                (0, EINVAL as i32)
            );
        }),
        case!(Linux, "libaio/io_cancel_0_1_needs_no_result", "spec 7.rule.9", |t| {
            let cancel = Libaio::of(t).old_cancel();
            let (r, _w) = pipe(0);
            let ctx = t.setup(4);
            let mut iocbs = [poll(r, libc::POLLIN)];
            assert_eq!(t.submit(ctx, &mut iocbs), 1);
            assert_eq!(unsafe { cancel(ctx, &mut iocbs[0]) }, EINPROGRESS as i32);
            assert_eq!(t.reap(ctx, 1)[0].res, 0);
            assert_eq!(unsafe { (cancel(ctx, &mut iocbs[0]), cancel(ctx, BAD as *mut Iocb)) }, (-22, -14));
        }),
    ]
}
