//! Signals that meet a waiting thread, further: spec 3.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use super::Case;
use super::getevents::{filled, time};
use super::reaping::done;
use super::signals::block;
use super::waiters::submit_all;
use crate::aio::Calls;
use crate::case;
use crate::case::Run;
use crate::sleepers::{asleep, signal_once_asleep, wait_asleep};
use crate::tools::*;
use uaio::abi::*;

const USR1: u64 = 1 << (libc::SIGUSR1 - 1);

/// io_pgetevents for one event or more, with `mask`, without time-out.
fn with_mask(t: &Run, ctx: usize, min: isize, nr: isize, mask: u64) -> isize {
    let mut events = [IoEvent::default(); 8];
    let set = AioSigset { sigmask: &raw const mask as usize, sigsetsize: 8 };
    t.pgetevents(ctx, min, nr, events.as_mut_ptr() as usize, None, &set)
}

fn without(t: &Run, ctx: usize, min: isize) -> isize {
    let mut events = [IoEvent::default(); 8];
    t.getevents(ctx, min, 8, events.as_mut_ptr() as usize, None)
}

pub fn cases() -> Vec<Case> {
    let mut all = one();
    all.extend(many());
    all
}

fn one() -> Vec<Case> {
    vec![
        case!(Contract, "signals/the_handler_has_run_when_the_count_is_returned", "spec 3.signal.3", |t| {
            let count = count_signals(libc::SA_RESTART);
            for (i, masked) in [(1, false), (2, true)] {
                let ctx = filled(t, 2);
                std::thread::scope(|s| {
                    signal_once_asleep(s, libc::SIGUSR1);
                    let n = if masked { with_mask(t, ctx, 4, 4, 0) } else { without(t, ctx, 4) };
                    assert_eq!((n, count.load(Ordering::SeqCst)), (2, i));
                });
            }
        }),
        case!(Contract, "signals/pgetevents_holds_back_what_its_mask_blocks", "spec 3.signal.4", |t| {
            let count = count_signals(0);
            let ctx = t.setup(1);
            std::thread::scope(|s| {
                let sender = signal_once_asleep(s, libc::SIGUSR1);
                s.spawn(move || {
                    sender.join().unwrap();
                    std::thread::sleep(Duration::from_millis(50));
                    assert_eq!(count.load(Ordering::SeqCst), 0);
                    done(t, ctx, 0..1);
                });
                assert_eq!(with_mask(t, ctx, 1, 1, USR1), 1);
                assert_eq!(count.load(Ordering::SeqCst), 1);
            });
        }),
        case!(Linux, "signals/pgetevents_for_nothing_lets_a_pending_one_through", "spec 3.signal.5", |t| {
            let count = count_signals(0);
            block();
            let ctx = t.setup(1);
            for (i, nr) in [(1, 1), (2, 0), (3, 1)] {
                unsafe { libc::raise(libc::SIGUSR1) };
                assert_eq!(with_mask(t, ctx, 0, nr, 0), EINTR, "nr {nr}");
                assert_eq!(count.load(Ordering::SeqCst), i);
                assert_eq!(with_mask(t, ctx, 0, nr, 0), 0);
            }
        }),
        case!(Contract, "signals/pgetevents_without_a_mask_keeps_the_threads", "spec 3.signal.2, spec 3.2", |t| {
            let count = count_signals(0);
            let (ctx, mut event) = (t.setup(1), IoEvent::default());
            let at = &raw mut event as usize;
            let none = AioSigset { sigmask: 0, sigsetsize: 8 };
            std::thread::scope(|s| {
                signal_once_asleep(s, libc::SIGUSR1);
                assert_eq!(t.pgetevents(ctx, 1, 1, at, None, std::ptr::null()), EINTR);
                assert_eq!(count.load(Ordering::SeqCst), 1);
                block();
                signal_once_asleep(s, libc::SIGUSR1);
                assert_eq!(t.pgetevents(ctx, 1, 1, at, time(0, 200_000_000), &none), 0);
                assert_eq!(count.load(Ordering::SeqCst), 1);
            });
        }),
        case!(Linux, "signals/ignored_ones_do_not_end_the_wait", "spec 3.signal.7", |t| {
            unsafe { libc::signal(libc::SIGUSR2, libc::SIG_IGN) };
            let ctx = t.setup(1);
            std::thread::scope(|s| {
                let first = signal_once_asleep(s, libc::SIGWINCH);
                let me = unsafe { libc::pthread_self() };
                s.spawn(move || {
                    first.join().unwrap();
                    for signal in [libc::SIGUSR2, libc::SIGCHLD, libc::SIGURG] {
                        unsafe { libc::pthread_kill(me, signal) };
                    }
                    std::thread::sleep(Duration::from_millis(50));
                    done(t, ctx, 0..1);
                });
                assert_eq!(without(t, ctx, 1), 1);
            });
        }),
        case!(Contract, "signals/another_threads_handler_does_not_end_the_wait", "spec 3.signal.1", |t| {
            let count = count_signals(0);
            let ctx = t.setup(1);
            std::thread::scope(|s| {
                let waiter = asleep(s, || without(t, ctx, 1));
                unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGUSR1) };
                std::thread::sleep(Duration::from_millis(50));
                assert!(!waiter.is_finished() && count.load(Ordering::SeqCst) == 1);
                done(t, ctx, 0..1);
                assert_eq!(waiter.join().unwrap(), 1);
            });
        }),
        case!(Quirk, "signals/stop_and_continue_end_the_wait", "spec 3.signal.8, spec 11.8", |t| {
            let status = match unsafe { libc::fork() } {
                0 => {
                    let (ctx, mut event) = (t.setup(1), IoEvent::default());
                    let n = t.getevents(ctx, 1, 1, &raw mut event as usize, time(2, 0));
                    unsafe { libc::_exit(-n as i32) }
                }
                child => stop_and_continue(child),
            };
            assert_eq!(status, t.decided("A9", libc::EINTR, 0));
        }),
    ]
}

/// Stops and continues `child` once it sleeps; its exit status.
fn stop_and_continue(child: i32) -> i32 {
    let mut status = 0;
    wait_asleep(child, child);
    unsafe {
        libc::kill(child, libc::SIGSTOP);
        libc::waitpid(child, &mut status, libc::WUNTRACED);
        assert!(libc::WIFSTOPPED(status));
        libc::kill(child, libc::SIGCONT);
        libc::waitpid(child, &mut status, 0);
    }
    assert!(libc::WIFEXITED(status));
    libc::WEXITSTATUS(status)
}

fn many() -> Vec<Case> {
    vec![
        case!(Contract, "signals/each_handler_ends_one_wait", "spec 3.signal.1, spec 3.signal.2", |t| {
            let count = count_signals(libc::SA_RESTART);
            let ctx = t.setup(1);
            for i in 1..=10 {
                std::thread::scope(|s| {
                    signal_once_asleep(s, libc::SIGUSR1);
                    let n = if i % 2 == 0 { with_mask(t, ctx, 1, 1, 0) } else { without(t, ctx, 1) };
                    assert_eq!((n, count.load(Ordering::SeqCst)), (EINTR, i));
                });
            }
        }),
        case!(Contract, "signals/a_storm_of_them_loses_no_event", "spec 3.signal.1, spec 3.signal.3", |t| {
            count_signals(0);
            let ctx = t.setup(64);
            let me = unsafe { libc::pthread_self() };
            let over = AtomicBool::new(false);
            std::thread::scope(|s| {
                s.spawn(|| {
                    while !over.load(Ordering::SeqCst) {
                        unsafe { libc::pthread_kill(me, libc::SIGUSR1) };
                        std::thread::sleep(Duration::from_micros(200));
                    }
                });
                s.spawn(|| {
                    for i in 0..500 {
                        submit_all(t, ctx, 4 * i..4 * i + 4);
                        std::thread::sleep(Duration::from_micros(300));
                    }
                });
                let mut next = 0;
                while next < 2000 {
                    let (mut events, mask) = ([IoEvent::default(); 8], 0u64);
                    let set = AioSigset { sigmask: &raw const mask as usize, sigsetsize: 8 };
                    let at = events.as_mut_ptr() as usize;
                    let n = match next % 3 {
                        0 => t.pgetevents(ctx, 3.min(2000 - next as isize), 8, at, None, &set),
                        _ => t.getevents(ctx, 3.min(2000 - next as isize), 8, at, None),
                    };
                    assert!(n > 0 || n == EINTR, "{n}");
                    for event in &events[..n.max(0) as usize] {
                        assert_eq!(event.data, next);
                        next += 1;
                    }
                }
                over.store(true, Ordering::SeqCst);
            });
            assert_eq!(t.look(ctx), 0);
        }),
        case!(Linux, "signals/a_storm_of_them_refuses_no_poll", "spec 4.5, io_submit(2)", |t| {
            let count = count_signals(0);
            let (me, over) = (unsafe { libc::pthread_self() }, AtomicBool::new(false));
            let submitting = AtomicBool::new(false);
            let ((r, _w), ctx) = (pipe(0), t.setup(32));
            let mut iocbs = [poll(r, libc::POLLIN); 16];
            std::thread::scope(|s| {
                s.spawn(|| {
                    while !over.load(Ordering::SeqCst) {
                        while submitting.load(Ordering::SeqCst) {
                            unsafe { libc::pthread_kill(me, libc::SIGUSR1) };
                        }
                        // The kernel ends POLLs in threads of its own, which need a processor, too.
                        std::thread::sleep(Duration::from_micros(10));
                    }
                });
                let started = std::time::Instant::now();
                let mut accepted = 16;
                while accepted == 16 && count.load(Ordering::SeqCst) < 20_000 && started.elapsed().as_secs() < 5 {
                    submitting.store(true, Ordering::SeqCst);
                    let before = count.load(Ordering::SeqCst);
                    while count.load(Ordering::SeqCst) == before {
                        std::hint::spin_loop();
                    }
                    accepted = t.submit(ctx, &mut iocbs);
                    submitting.store(false, Ordering::SeqCst);
                    iocbs.iter_mut().for_each(|iocb| _ = t.cancel(ctx, iocb));
                    let mut left = accepted.max(0);
                    while left > 0 {
                        left -= t.look(ctx).max(0);
                        std::thread::sleep(Duration::from_micros(10));
                    }
                }
                over.store(true, Ordering::SeqCst);
                assert_eq!(accepted, 16);
            });
        }),
        case!(Linux, "signals/a_handler_may_submit_and_reap", "spec 3.signal.1", |t| {
            static CONTEXT: AtomicUsize = AtomicUsize::new(0);
            static CALLS: AtomicUsize = AtomicUsize::new(0);
            static RES: AtomicI64 = AtomicI64::new(-1);
            extern "C" fn handler(_: i32) {
                let calls = unsafe { &*(CALLS.load(Ordering::SeqCst) as *const Calls) };
                let (ctx, mut event) = (CONTEXT.load(Ordering::SeqCst), IoEvent::default());
                let mut iocb = Iocb { data: 5, ..sync(IOCB_CMD_POLL, libc::STDOUT_FILENO) };
                iocb.buf = libc::POLLOUT as u64;
                let list = [&raw mut iocb];
                let both = unsafe {
                    (calls.io_submit)(ctx, 1, list.as_ptr())
                        + (calls.io_getevents)(ctx, 1, 1, &mut event, std::ptr::null())
                };
                RES.store(both as i64 * 10 + event.data as i64, Ordering::SeqCst);
            }
            let ctx = t.setup(4);
            CONTEXT.store(ctx, Ordering::SeqCst);
            CALLS.store(&raw const t.calls as usize, Ordering::SeqCst);
            unsafe { libc::signal(libc::SIGUSR1, handler as *const () as usize) };
            std::thread::scope(|s| {
                signal_once_asleep(s, libc::SIGUSR1);
                assert_eq!(without(t, ctx, 1), EINTR);
                assert_eq!(RES.load(Ordering::SeqCst), 25);
            });
            assert_eq!((t.look(ctx), t.destroy(ctx)), (0, 0));
        }),
    ]
}
