//! Where the manual pages say one thing and Linux does another: spec 11, row by row. What has its own case elsewhere is
//! named there; these are the rows about io_setup and io_submit, and the rest in the manual's own words.

use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use super::Case;
use super::getevents::{filled, time};
use super::reaping::done;
use super::resfd::with;
use crate::case;
use crate::sleepers::{asleep, signal_once_asleep, wait_until};
use crate::tools::*;
use uaio::abi::*;

pub fn cases() -> Vec<Case> {
    let mut all = reaping();
    all.extend(submitting());
    all.extend(flags());
    all
}

fn reaping() -> Vec<Case> {
    vec![
        case!(Linux, "manual/io_destroy_is_never_efault", "spec 11.1, io_destroy(2) EFAULT", |t| {
            let hole = pages(1, 0);
            assert!([BAD, hole, usize::MAX, 1 << 63].iter().all(|ctx| t.destroy(*ctx) == EINVAL));
        }),
        case!(Linux, "manual/io_destroy_cancels_polls_and_performs_the_rest", "spec 11.2, io_destroy(2)", |t| {
            let (fd, (r, _w)) = (eventfd(libc::EFD_NONBLOCK), pipe(0));
            let file = scratch(libc::O_RDWR).unwrap();
            let data = [0x42u8; 4096];
            let ctx = t.setup(8);
            let mut iocbs = [
                with(fd, poll(r, libc::POLLIN)),
                with(fd, io(1, file.as_raw_fd(), data.as_ptr() as usize, 4096, 4096)),
                with(fd, sync(IOCB_CMD_FSYNC, file.as_raw_fd())),
            ];
            assert_eq!((t.submit(ctx, &mut iocbs), t.destroy(ctx), eventfd_count(fd)), (3, 0, 3));
            let mut back = [0u8; 4096];
            let n = unsafe { libc::pread(file.as_raw_fd(), back.as_mut_ptr().cast(), 4096, 4096) };
            assert_eq!((n, back), (4096, data));
        }),
        case!(Linux, "manual/io_cancel_queues_the_event", "spec 11.3, io_cancel(2)", |t| {
            let (r, _w) = pipe(0);
            let (ctx, mut result) = (t.setup(1), IoEvent { data: 1, ..IoEvent::default() });
            let mut iocbs = [Iocb { data: 2, ..poll(r, libc::POLLIN) }];
            assert_eq!(t.submit(ctx, &mut iocbs), 1);
            let answer = unsafe { (t.calls.io_cancel)(ctx, &mut iocbs[0], &mut result) };
            assert_eq!((answer, result.data, t.reap(ctx, 1)[0].data), (EINPROGRESS, 1, 2));
        }),
        case!(Linux, "manual/io_cancel_too_late_is_einval", "spec 11.4, io_cancel(2) EAGAIN", |t| {
            let (r, w) = pipe(0);
            let ctx = t.setup(1);
            let mut iocbs = [poll(r, libc::POLLIN)];
            assert_eq!(t.submit(ctx, &mut iocbs), 1);
            put(w, b"x");
            assert_eq!(t.reap(ctx, 1)[0].res & 1, 1);
            assert_eq!(t.cancel(ctx, &mut iocbs[0]), EINVAL);
        }),
        case!(Linux, "manual/io_cancel_is_for_polls", "spec 11.5, io_cancel(2)", |t| {
            let dir = open("/", libc::O_RDONLY);
            let ctx = t.setup(64);
            for op in [IOCB_CMD_FSYNC, IOCB_CMD_FDSYNC] {
                let mut iocbs = [sync(op, dir); 32];
                assert_eq!(t.submit(ctx, &mut iocbs), 32);
                assert!(iocbs.iter_mut().all(|iocb| t.cancel(ctx, iocb) == EINVAL));
                assert!(t.reap(ctx, 32).iter().all(|event| event.res == 0));
            }
        }),
        case!(Linux, "manual/odd_timeouts_are_no_error", "spec 11.6, io_getevents(2)", |t| {
            let ctx = filled(t, 8);
            for odd in
                [time(-1, 0), time(0, -1), time(0, 1 << 40), time(i64::MAX, i64::MAX), time(5, 5_000_000_000)]
            {
                let mut event = IoEvent::default();
                assert_eq!(t.getevents(ctx, 1, 1, &raw mut event as usize, odd), 1, "{odd:?}");
            }
        }),
        case!(Contract, "manual/a_timeout_is_never_early", "spec 11.7, io_getevents(2)", |t| {
            let (ctx, mut event) = (t.setup(1), IoEvent::default());
            for ns in [1, 1000, 999_999, 3_000_001, 20_000_000] {
                for masked in [false, true] {
                    let (mask, at) = (0u64, &raw mut event as usize);
                    let set = AioSigset { sigmask: &raw const mask as usize, sigsetsize: 8 };
                    let started = Instant::now();
                    let n = match masked {
                        true => t.pgetevents(ctx, 1, 1, at, time(0, ns), &set),
                        false => t.getevents(ctx, 1, 1, at, time(0, ns)),
                    };
                    assert!(n == 0 && started.elapsed() >= Duration::from_nanos(ns as u64), "{ns}");
                }
            }
        }),
        case!(
            Linux,
            "manual/io_getevents_is_eintr_with_empty_hands_only",
            "spec 11.8, io_getevents(2) EINTR",
            |t| {
                count_signals(0);
                for there in [0, 1, 2] {
                    let (ctx, mut events) = (t.setup(8), [IoEvent::default(); 3]);
                    done(t, ctx, 0..there);
                    std::thread::scope(|s| {
                        signal_once_asleep(s, libc::SIGUSR1);
                        let n = t.getevents(ctx, 3, 3, events.as_mut_ptr() as usize, None);
                        assert_eq!(n, if there == 0 { EINTR } else { there as isize });
                    });
                }
            }
        ),
        case!(Linux, "manual/without_timeout_min_0_returns_at_once", "spec 11.9, io_getevents(2)", |t| {
            let (ctx, mut events) = (filled(t, 2), [IoEvent::default(); 4]);
            let at = events.as_mut_ptr() as usize;
            assert_eq!((t.getevents(ctx, 0, 4, at, None), t.getevents(ctx, 0, 4, at, None)), (2, 0));
        }),
    ]
}

fn submitting() -> Vec<Case> {
    vec![
        case!(Linux, "manual/io_submit_ebadf_is_of_the_first_that_fails", "spec 11.10, io_submit(2) EBADF", |t| {
            let (null, read_only) = (open("/dev/null", libc::O_RDWR), open("/dev/null", libc::O_RDONLY));
            let (good, ctx) = (io(0, null, 0, 0, 0), t.setup(4));
            for bad in [io(0, -1, 0, 0, 0), io(1, read_only, 0, 0, 0), with(-1, good)] {
                assert_eq!(t.submit(ctx, &mut [good, bad, good]), 1);
                assert_eq!(t.submit(ctx, &mut [bad, good]), EBADF);
            }
            assert_eq!(t.look(ctx), 3);
        }),
        case!(Linux, "manual/io_submit_has_more_errors", "spec 11.11, io_submit(2) EINVAL", |t| {
            let null = open("/dev/null", libc::O_RDWR);
            assert_eq!(t.refused(Iocb { rw_flags: 1 << 20, ..io(0, null, 0, 0, 0) }), EOPNOTSUPP);
            assert_eq!(t.refused(io(0, open("/", libc::O_RDONLY), 0, 0, 0)), EINVAL);
            assert_eq!(t.refused(sync(IOCB_CMD_FSYNC, null)), EINVAL);
            // Priority of the real-time class.
            let urgent = Iocb { flags: 2, reqprio: 1 << 13, ..io(0, null, 0, 0, 0) };
            assert_eq!(t.one(urgent), 0);
            assert!(in_child(|| {
                assert_eq!(unsafe { libc::setuid(65534) }, 0);
                t.refused(urgent) == EPERM
            }));
        }),
        case!(Linux, "manual/io_submit_may_wait", "spec 11.12, io_submit(2)", |t| {
            let (r, w) = pipe(0);
            let (ctx, mut byte) = (t.setup(4), [0u8; 1]);
            let at = byte.as_mut_ptr() as usize;
            std::thread::scope(|s| {
                let submitter = asleep(s, || t.submit(ctx, &mut [io(0, r, at, 1, 0)]));
                if t.decided("A1", true, t.is_inline()) {
                    assert!(!submitter.is_finished());
                } else {
                    wait_until("io_submit returns", || submitter.is_finished());
                }
                put(w, b"y");
                assert_eq!((submitter.join().unwrap(), t.reap(ctx, 1)[0].res), (1, 1));
            });
            assert_eq!(byte, *b"y");
        }),
        case!(Linux, "manual/io_submit_performs_buffered_writes_and_reads", "spec 11.12, io_submit(2)", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let (data, mut back) = ([0x33u8; 4096], [0u8; 4096]);
            let ctx = t.setup(4);
            let mut iocbs = [
                io(1, file.as_raw_fd(), data.as_ptr() as usize, 4096, 0),
                io(0, file.as_raw_fd(), back.as_mut_ptr() as usize, 4096, 0),
            ];
            assert_eq!((t.submit(ctx, &mut iocbs), t.look(ctx)), (2, 2));
            assert_eq!(back, data);
        }),
        case!(Linux, "manual/noop_is_einval", "spec 11.13, io_submit(2)", |t| {
            let null = open("/dev/null", libc::O_RDWR);
            assert_eq!((t.refused(io(6, null, 0, 0, 0)), t.refused(io(6, -1, 0, 0, 0))), (EINVAL, EBADF));
        }),
        case!(Linux, "manual/io_setup_limits_come_in_this_order", "spec 11.17, io_setup(2) EAGAIN, EINVAL", |t| {
            let mut ctx = 0;
            let answers = [4_194_305, u32::MAX, 0x8000_0000, 0x8000_0001].map(|nr| t.try_setup(nr, &mut ctx));
            assert_eq!((answers, ctx), ([EINVAL, EINVAL, EAGAIN, EAGAIN], 0));
        }),
        case!(Contract, "manual/io_setup_gives_what_was_asked_at_least", "spec 11.18, io_setup(2)", |t| {
            let (r, w) = pipe(0);
            for nr in [1usize, 7, 33, 128, 600] {
                let ctx = t.setup(nr as u32);
                assert_eq!(t.submit(ctx, &mut vec![poll(r, libc::POLLIN); nr]), nr as isize);
                put(w, b"x");
                assert_eq!(t.reap(ctx, nr).len(), nr);
                let mut byte = 0u8;
                assert_eq!(unsafe { libc::read(r, (&raw mut byte).cast(), 1) }, 1);
                assert_eq!(t.destroy(ctx), 0);
            }
        }),
    ]
}

fn flags() -> Vec<Case> {
    vec![
        case!(Linux, "manual/unknown_aio_flags_mean_nothing", "spec 11.14, io_submit(2)", |t| {
            let null = open("/dev/null", libc::O_RDWR);
            for bit in 2..32 {
                assert_eq!(t.one(Iocb { flags: 1 << bit, resfd: 99, ..io(0, null, 0, 0, 0) }), 0, "{bit}");
            }
        }),
        case!(Linux, "manual/an_append_needs_an_offset_that_is_no_error", "spec 11.15, io_submit(2)", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let iocb = |offset| Iocb {
                rw_flags: RWF_APPEND,
                ..io(1, file.as_raw_fd(), c"abcd".as_ptr() as usize, 4, offset)
            };
            assert_eq!((t.refused(iocb(-1)), t.refused(iocb(i64::MIN))), (EINVAL, EINVAL));
            assert_eq!((t.one(iocb(0)), t.one(iocb(5))), (4, 4));
            assert_eq!(file.metadata().unwrap().len(), 8200);
        }),
        case!(Linux, "manual/hipri_is_dropped", "spec 11.16, io_submit(2)", |t| {
            let (r, w) = pipe(0);
            put(w, b"xy");
            let mut byte = [0u8; 1];
            let at = byte.as_mut_ptr() as usize;
            assert_eq!(t.one(Iocb { rw_flags: RWF_HIPRI, ..io(0, r, at, 1, 0) }), 1);
            assert_eq!(t.one(Iocb { rw_flags: RWF_HIPRI | RWF_NOWAIT, ..io(0, r, at, 1, 0) }), 1);
        }),
    ]
}
