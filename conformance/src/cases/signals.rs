//! Signals: spec 3.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Case;
use crate::case;
use crate::sleepers::signal_once_asleep;
use crate::tools::*;
use uaio::abi::*;

fn empty_mask() -> u64 {
    0
}

pub(super) fn block() {
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigaddset(&mut set, libc::SIGUSR1);
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
    }
}

pub fn cases() -> Vec<Case> {
    vec![
        case!(
            Contract,
            "signals/a_handler_ends_the_wait_with_eintr_restart_or_not",
            "spec 3.signal.1, spec 11.8, io_getevents(2) EINTR",
            |t| {
                for flags in [0, libc::SA_RESTART] {
                    let count = count_signals(flags);
                    let before = count.load(Ordering::SeqCst);
                    let ctx = t.setup(1);
                    std::thread::scope(|s| {
                        signal_once_asleep(s, libc::SIGUSR1);
                        let mut event = IoEvent::default();
                        assert_eq!(t.getevents(ctx, 1, 1, &raw mut event as usize, None), EINTR);
                        assert_eq!(count.load(Ordering::SeqCst), before + 1);
                    });
                }
            }
        ),
        case!(Linux, "signals/with_events_in_hand_the_count_is_returned", "spec 3.signal.3, spec 11.8", |t| {
            count_signals(0);
            let null = open("/dev/null", libc::O_RDONLY);
            let ctx = t.setup(4);
            assert_eq!(t.submit(ctx, &mut [io(0, null, 0, 0, 0); 2]), 2);
            std::thread::scope(|s| {
                signal_once_asleep(s, libc::SIGUSR1);
                let mut events = [IoEvent::default(); 4];
                assert_eq!(t.getevents(ctx, 4, 4, events.as_mut_ptr() as usize, None), 2);
            });
        }),
        case!(Linux, "signals/blocked_and_ignored_ones_do_not_end_the_wait", "spec 3.signal.4", |t| {
            count_signals(0);
            block();
            let ctx = t.setup(1);
            let sender = signal_after(30);
            unsafe { libc::raise(libc::SIGWINCH) };
            let mut event = IoEvent::default();
            let time = Some(Timespec { sec: 0, nsec: 150_000_000 });
            let started = Instant::now();
            assert_eq!(t.getevents(ctx, 1, 1, &raw mut event as usize, time), 0);
            assert!(started.elapsed() >= Duration::from_millis(150));
            sender.join().unwrap();
        }),
        case!(Contract, "signals/pgetevents_lets_a_pending_one_through", "spec 3.signal.5", |t| {
            for time in [None, Some(Timespec::default()), Some(Timespec { sec: 5, nsec: 0 })] {
                if t.is_libaio() && time == Some(Timespec::default()) {
                    continue; // libaio answers this one without asking
                }
                let count = count_signals(0);
                let before = count.load(Ordering::SeqCst);
                block();
                unsafe { libc::raise(libc::SIGUSR1) };
                let ctx = t.setup(1);
                let mask = empty_mask();
                let set = AioSigset { sigmask: &raw const mask as usize, sigsetsize: 8 };
                let mut event = IoEvent::default();
                assert_eq!(t.pgetevents(ctx, 1, 1, &raw mut event as usize, time, &set), EINTR, "{time:?}");
                assert_eq!(count.load(Ordering::SeqCst), before + 1);
            }
        }),
        case!(Linux, "signals/pgetevents_returns_events_and_runs_the_handler", "spec 3.signal.6", |t| {
            let count = count_signals(0);
            block();
            unsafe { libc::raise(libc::SIGUSR1) };
            let null = open("/dev/null", libc::O_RDONLY);
            let ctx = t.setup(1);
            assert_eq!(t.submit(ctx, &mut [io(0, null, 0, 0, 0)]), 1);
            let mask = empty_mask();
            let set = AioSigset { sigmask: &raw const mask as usize, sigsetsize: 8 };
            let mut event = IoEvent::default();
            assert_eq!(t.pgetevents(ctx, 1, 1, &raw mut event as usize, None, &set), 1);
            assert_eq!(count.load(Ordering::SeqCst), 1);
        }),
        case!(
            Contract,
            "signals/pgetevents_wakes_for_an_event_that_comes_later",
            "spec 3.wait.10, io_pgetevents(2)",
            |t| {
                for delay in [0, 30] {
                    let (r, w) = pipe(0);
                    let ctx = t.setup(1);
                    assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN)]), 1);
                    let writer = std::thread::spawn(move || {
                        std::thread::sleep(Duration::from_millis(delay));
                        put(w, b"x");
                    });
                    let mask = !0u64;
                    let set = AioSigset { sigmask: &raw const mask as usize, sigsetsize: 8 };
                    let mut event = IoEvent::default();
                    assert_eq!(t.pgetevents(ctx, 1, 1, &raw mut event as usize, None, &set), 1);
                    writer.join().unwrap();
                }
            }
        ),
        case!(Contract, "signals/pgetevents_with_a_signal_that_comes_while_it_sleeps", "spec 3.signal.2", |t| {
            let count = count_signals(libc::SA_RESTART);
            block();
            let ctx = t.setup(1);
            std::thread::scope(|s| {
                signal_once_asleep(s, libc::SIGUSR1);
                let mask = empty_mask();
                let set = AioSigset { sigmask: &raw const mask as usize, sigsetsize: 8 };
                let mut event = IoEvent::default();
                assert_eq!(t.pgetevents(ctx, 1, 1, &raw mut event as usize, None, &set), EINTR);
                assert_eq!(count.load(Ordering::SeqCst), 1);
            });
        }),
        case!(Contract, "signals/pgetevents_puts_the_mask_back", "spec 3.2, io_pgetevents(2)", |t| {
            block();
            let ctx = t.setup(1);
            let mask = empty_mask();
            let set = AioSigset { sigmask: &raw const mask as usize, sigsetsize: 8 };
            let mut event = IoEvent::default();
            let time = Some(Timespec { sec: 0, nsec: 10_000_000 });
            assert_eq!(t.pgetevents(ctx, 1, 1, &raw mut event as usize, time, &set), 0);
            let blocked = unsafe {
                let mut now: libc::sigset_t = std::mem::zeroed();
                libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &mut now);
                libc::sigismember(&now, libc::SIGUSR1)
            };
            assert_eq!(blocked, 1);
        }),
    ]
}
