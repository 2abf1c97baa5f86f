//! io_cancel, further: spec 4.

use std::os::fd::AsRawFd;
use std::time::Duration;

use super::Case;
use super::reaping::done;
use super::resfd::with;
use crate::case;
use crate::sleepers::asleep;
use crate::tools::*;
use uaio::abi::*;

pub fn cases() -> Vec<Case> {
    let mut all = checks();
    all.extend(found());
    all
}

fn checks() -> Vec<Case> {
    vec![
        case!(Linux, "cancel/only_the_key_of_the_iocb_is_read", "spec 4.1", |t| {
            // data, then the key; what follows cannot be read.
            let iocb = pages(2, 1) + 4096 - 12;
            assert_eq!(t.cancel(1, iocb as *mut Iocb), EINVAL);
            assert_eq!(t.cancel(1, (iocb + 4) as *mut Iocb), EFAULT);
            assert_eq!(t.cancel(t.setup(1), iocb as *mut Iocb), EINVAL);
        }),
        case!(Linux, "cancel/the_key_is_looked_at_before_the_request", "spec 4.2", |t| {
            let (r, _w) = pipe(0);
            let ctx = t.setup(1);
            let mut iocbs = [Iocb { key: 77, ..poll(r, libc::POLLIN) }];
            assert_eq!(t.submit(ctx, &mut iocbs), 1);
            assert_eq!(iocbs[0].key, 0, "io_submit stores it");
            for key in [1, 77, u32::MAX] {
                iocbs[0].key = key;
                assert_eq!(t.cancel(ctx, &mut iocbs[0]), EINVAL, "{key}");
            }
            assert_eq!(t.look(ctx), 0);
            iocbs[0].key = 0;
            assert_eq!((t.cancel(ctx, &mut iocbs[0]), t.reap(ctx, 1).len()), (EINPROGRESS, 1));
        }),
        case!(Contract, "cancel/in_another_context_is_einval", "spec 4.3, spec 4.4", |t| {
            let (r, w) = pipe(0);
            let (ctx, other) = (t.setup(1), t.setup(1));
            let mut iocbs = [poll(r, libc::POLLIN)];
            assert_eq!(t.submit(ctx, &mut iocbs), 1);
            assert_eq!(t.cancel(other, &mut iocbs[0]), EINVAL);
            assert_eq!(t.cancel(1, &mut iocbs[0]), EINVAL);
            put(w, b"x");
            assert_eq!((t.reap(ctx, 1)[0].res & 1, t.look(other)), (1, 0));
        }),
        case!(Linux, "cancel/a_copy_of_the_iocb_is_another_request", "spec 4.4", |t| {
            let (r, _w) = pipe(0);
            let ctx = t.setup(1);
            let mut iocbs = [poll(r, libc::POLLIN)];
            assert_eq!(t.submit(ctx, &mut iocbs), 1);
            let mut copy = Box::new(iocbs[0]);
            assert_eq!(t.cancel(ctx, &raw mut *copy), EINVAL);
            // The address is all that counts: what was there has been read long ago.
            iocbs[0] = Iocb::default();
            assert_eq!((t.cancel(ctx, &mut iocbs[0]), t.reap(ctx, 1).len()), (EINPROGRESS, 1));
        }),
        case!(Linux, "cancel/reads_in_flight_are_einval_and_go_on", "spec 4.9, spec 11.4, spec 11.5", |t| {
            let Some(file) = scratch(libc::O_RDWR | libc::O_DIRECT) else { t.not_applicable("no O_DIRECT here") };
            let (ctx, page) = (t.setup(64), pages(64, 64));
            let read = |i: usize| io(0, file.as_raw_fd(), page + i * 4096, 4096, (i as i64 % 2) * 4096);
            let mut iocbs: Vec<Iocb> = (0..64).map(read).collect();
            assert_eq!(t.submit(ctx, &mut iocbs), 64);
            assert!(iocbs.iter_mut().all(|iocb| t.cancel(ctx, iocb) == EINVAL));
            assert!(t.reap(ctx, 64).iter().all(|event| event.res == 4096));
            let bytes = unsafe { std::slice::from_raw_parts(page as *const u8, 64 * 4096) };
            assert!(bytes.iter().all(|b| *b == 0x61));
        }),
        case!(Linux, "cancel/fsyncs_in_flight_are_einval_and_go_on", "spec 4.4, spec 11.4, spec 11.5", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let ctx = t.setup(16);
            let mut iocbs = [sync(IOCB_CMD_FSYNC, file.as_raw_fd()); 16];
            assert_eq!(t.submit(ctx, &mut iocbs), 16);
            assert!(iocbs.iter_mut().all(|iocb| t.cancel(ctx, iocb) == EINVAL));
            assert!(t.reap(ctx, 16).iter().all(|event| event.res == 0));
        }),
        case!(Linux, "cancel/pipe_reads_are_einval_and_go_on", "spec 4.9, spec 11.5", |t| {
            let (r, w) = pipe(0);
            let (ctx, mut byte) = (t.setup(4), [0u8; 1]);
            let mut iocbs = [io(0, r, byte.as_mut_ptr() as usize, 1, 0)];
            std::thread::scope(|s| {
                let iocb = &raw mut iocbs[0] as usize;
                let list = [iocb];
                let at = list.as_ptr() as usize;
                // On the kernel it sleeps in there; on ours the request waits by itself.
                let submitter = asleep(s, move || t.submit_at(ctx, 1, at));
                assert_eq!(t.cancel(ctx, iocb as *mut Iocb), EINVAL);
                put(w, b"y");
                assert_eq!(submitter.join().unwrap(), 1);
            });
            assert_eq!((t.reap(ctx, 1)[0].res, byte), (1, *b"y"));
        }),
    ]
}

fn found() -> Vec<Case> {
    vec![
        case!(Linux, "cancel/found_poll_is_einprogress", "spec 4.5, spec 4.6, spec 11.3", |t| {
            let (r, w) = pipe(0);
            let ctx = t.setup(1);
            let mut iocbs = [poll(r, libc::POLLIN)];
            let mut result = IoEvent { data: 1, obj: 2, res: 3, res2: 4 };
            assert_eq!(t.submit(ctx, &mut iocbs), 1);
            assert_eq!(unsafe { (t.calls.io_cancel)(ctx, &mut iocbs[0], &mut result) }, EINPROGRESS);
            assert_eq!((result.data, result.obj, result.res, result.res2), (1, 2, 3, 4));
            assert_eq!(t.reap(ctx, 1)[0].res, 0);
            put(w, b"x");
            std::thread::sleep(Duration::from_millis(20));
            assert_eq!(t.look(ctx), 0, "it does not fire any more");
        }),
        case!(Linux, "cancel/each_of_many_is_found", "spec 4.5, spec 4.7, spec 6.resfd.6", |t| {
            let (fd, (r, w)) = (eventfd(0), pipe(0));
            let ctx = t.setup(100);
            let mut iocbs: Vec<Iocb> =
                (0..100).map(|data| Iocb { data, ..with(fd, poll(r, libc::POLLIN)) }).collect();
            assert_eq!(t.submit(ctx, &mut iocbs), 100);
            assert!(iocbs.iter_mut().step_by(2).all(|iocb| t.cancel(ctx, iocb) == EINPROGRESS));
            let mut gone: Vec<(u64, i64)> = t.reap(ctx, 50).iter().map(|e| (e.data, e.res)).collect();
            gone.sort_unstable();
            assert!(gone.into_iter().eq((0..100).step_by(2).map(|i| (i, 0))));
            put(w, b"x");
            assert!(t.reap(ctx, 50).iter().all(|e| e.data % 2 == 1 && e.res & 1 == 1));
            let mut count = 0;
            while count < 100 {
                count += eventfd_count(fd);
            }
            assert_eq!(count, 100);
        }),
        case!(Linux, "cancel/the_older_of_the_same_iocb_goes_first", "spec 4.8", |t| {
            let (r, _w) = pipe(0);
            let ctx = t.setup(4);
            let mut iocb = poll(r, libc::POLLIN);
            let list = [&raw mut iocb];
            for data in 1..=3 {
                unsafe { (*list[0]).data = data };
                assert_eq!(t.submit_at(ctx, 1, list.as_ptr() as usize), 1);
            }
            for data in 1..=3 {
                assert_eq!((t.cancel(ctx, list[0]), t.reap(ctx, 1)[0].data), (EINPROGRESS, data));
            }
            assert_eq!(t.cancel(ctx, list[0]), EINVAL);
        }),
        case!(Linux, "cancel/wakes_who_waits_for_the_event", "spec 4.5, spec 4.7", |t| {
            let (r, _w) = pipe(0);
            let ctx = t.setup(4);
            let mut iocbs = [Iocb { data: 3, ..poll(r, libc::POLLIN) }];
            assert_eq!(t.submit(ctx, &mut iocbs), 1);
            std::thread::scope(|s| {
                let waiter = asleep(s, || t.reap(ctx, 1)[0]);
                assert_eq!(t.cancel(ctx, &mut iocbs[0]), EINPROGRESS);
                let event = waiter.join().unwrap();
                assert_eq!((event.data, event.res, event.res2), (3, 0, 0));
            });
        }),
        case!(Contract, "cancel/gives_the_place_back", "spec 4.5", |t| {
            let (r, _w) = pipe(0);
            let ctx = t.setup(1);
            let mut iocbs = [poll(r, libc::POLLIN); 500];
            for _ in 0..5 {
                let n = t.submit(ctx, &mut iocbs) as usize;
                assert!((1..500).contains(&n) && t.submit(ctx, &mut iocbs[n..]) == EAGAIN);
                assert!(iocbs[..n].iter_mut().all(|iocb| t.cancel(ctx, iocb) == EINPROGRESS));
                assert_eq!(t.reap(ctx, n).len(), n);
            }
            done(t, ctx, 0..50);
            assert_eq!((t.look(ctx), t.destroy(ctx)), (50, 0));
        }),
        case!(Linux, "cancel/by_two_threads_one_is_einval", "spec 4.4, spec 4.5", |t| {
            let (r, _w) = pipe(0);
            let ctx = t.setup(4);
            for _ in 0..100 {
                let mut iocbs = [poll(r, libc::POLLIN)];
                assert_eq!(t.submit(ctx, &mut iocbs), 1);
                let iocb = &raw mut iocbs[0] as usize;
                let mut answers = std::thread::scope(|s| {
                    let both: Vec<_> = (0..2).map(|_| s.spawn(move || t.cancel(ctx, iocb as *mut Iocb))).collect();
                    both.into_iter().map(|c| c.join().unwrap()).collect::<Vec<_>>()
                });
                answers.sort_unstable();
                assert_eq!((answers, t.reap(ctx, 1)[0].res), (vec![EINPROGRESS, EINVAL], 0));
                assert_eq!(t.look(ctx), 0);
            }
        }),
    ]
}
