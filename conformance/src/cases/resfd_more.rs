//! Eventfds and files of requests in flight, further: spec 6.

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Case;
use super::reaping::header;
use super::resfd::with;
use crate::case;
use crate::sleepers::asleep;
use crate::tools::*;
use uaio::abi::*;

pub fn cases() -> Vec<Case> {
    let mut all = counts();
    all.extend(holds());
    all
}

fn counts() -> Vec<Case> {
    vec![
        case!(Contract, "resfd/every_kind_of_request_counts_once", "spec 6.resfd.1, spec 6.resfd.6", |t| {
            let (fd, (r, w)) = (eventfd(0), pipe(0));
            let (file, null) = (scratch(libc::O_RDWR).unwrap(), open("/dev/null", libc::O_RDWR));
            let mut bytes = [0u8; 16];
            let at = bytes.as_mut_ptr() as usize;
            let ctx = t.setup(16);
            let mut iocbs = [
                with(fd, poll(r, libc::POLLIN)),
                with(fd, poll(r, libc::POLLIN)),
                with(fd, poll(w, libc::POLLOUT)),
                with(fd, io(1, w, at, 1, 0)),
                with(fd, io(1, file.as_raw_fd(), at, 16, 0)),
                with(fd, io(0, null, at, 16, 0)),
                with(fd, sync(IOCB_CMD_FDSYNC, file.as_raw_fd())),
                poll(w, libc::POLLOUT),
            ];
            assert_eq!(t.submit(ctx, &mut iocbs[..2]), 2);
            assert_eq!(t.cancel(ctx, &mut iocbs[1]), EINPROGRESS);
            assert_eq!(t.submit(ctx, &mut iocbs[2..]), 6);
            assert_eq!(t.reap(ctx, 8).len(), 8);
            count_to(fd, 7);
        }),
        case!(Contract, "resfd/many_threads_count_exactly", "spec 6.resfd.1", |t| {
            let fd = eventfd(0);
            std::thread::scope(|s| {
                for _ in 0..4 {
                    s.spawn(|| {
                        let (ctx, null) = (t.setup(20), open("/dev/null", libc::O_RDONLY));
                        for _ in 0..50 {
                            let (r, w) = pipe(0);
                            let polls = with(fd, poll(r, libc::POLLIN));
                            assert_eq!(t.submit(ctx, &mut [polls; 5]), 5);
                            assert_eq!(t.submit(ctx, &mut [with(fd, io(0, null, 0, 0, 0)); 5]), 5);
                            put(w, b"x");
                            assert_eq!(t.reap(ctx, 10).len(), 10);
                            unsafe { (libc::close(r), libc::close(w)) };
                        }
                    });
                }
            });
            count_to(fd, 2000);
        }),
        case!(Contract, "resfd/a_storm_of_signals_loses_no_count", "spec 6.resfd.1", |t| {
            count_signals(0);
            let (me, over) = (unsafe { libc::pthread_self() }, AtomicBool::new(false));
            let (fd, null) = (eventfd(0), open("/dev/null", libc::O_RDONLY));
            std::thread::scope(|s| {
                s.spawn(|| {
                    while !over.load(Ordering::SeqCst) {
                        unsafe { libc::pthread_kill(me, libc::SIGUSR1) };
                        std::thread::sleep(Duration::from_micros(50));
                    }
                });
                let ctx = t.setup(32);
                for _ in 0..500 {
                    assert_eq!(t.submit(ctx, &mut [with(fd, io(0, null, 0, 0, 0)); 16]), 16);
                    assert_eq!(t.look(ctx), 16);
                }
                over.store(true, Ordering::SeqCst);
            });
            count_to(fd, 8000);
        }),
        case!(Contract, "resfd/a_refused_request_behind_good_ones_counts_nothing", "spec 6.resfd.2", |t| {
            let (fd, null) = (eventfd(0), open("/dev/null", libc::O_RDONLY));
            let good = with(fd, io(0, null, 0, 0, 0));
            let ctx = t.setup(4);
            for bad in [with(fd, io(99, null, 0, 0, 0)), with(fd, io(0, -1, 0, 0, 0)), with(-1, good)] {
                assert_eq!(t.submit(ctx, &mut [good, good, bad, good]), 2);
            }
            assert_eq!(t.look(ctx), 6);
            count_to(fd, 6);
        }),
        case!(Contract, "resfd/the_tail_has_moved_before_the_signal", "spec 6.resfd.3", |t| {
            let (fd, file) = (eventfd(0), scratch(libc::O_RDWR).unwrap());
            let ctx = t.setup(4);
            for _ in 0..100 {
                let (r, w) = pipe(0);
                let mut iocbs = [with(fd, poll(r, libc::POLLIN)); 6];
                iocbs[4] = with(fd, sync(IOCB_CMD_FSYNC, file.as_raw_fd()));
                iocbs[5] = with(fd, poll(w, libc::POLLOUT));
                assert_eq!(t.submit(ctx, &mut iocbs), 6);
                put(w, b"x");
                let (mut signalled, nr) = (0, header(ctx).nr);
                while signalled < 6 {
                    signalled += eventfd_count(fd);
                    let there = (header(ctx).tail + nr - header(ctx).head) % nr;
                    assert!(u64::from(there) >= signalled, "{there} events, {signalled} signals");
                }
                assert_eq!((signalled, t.reap(ctx, 6).len()), (6, 6));
                unsafe { (libc::close(r), libc::close(w)) };
            }
        }),
        case!(Linux, "resfd/wakes_epoll_and_the_event_is_there", "spec 6.resfd.3", |t| {
            let (fd, ctx) = (eventfd(libc::EFD_NONBLOCK), t.setup(4));
            let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
            let mut wanted = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: 1 };
            assert_eq!(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &mut wanted) }, 0);
            for _ in 0..50 {
                let (r, w) = pipe(0);
                assert_eq!(t.submit(ctx, &mut [with(fd, poll(r, libc::POLLIN))]), 1);
                put(w, b"x");
                let mut got = libc::epoll_event { events: 0, u64: 0 };
                assert_eq!(unsafe { libc::epoll_wait(epoll, &mut got, 1, 10_000) }, 1);
                assert_eq!((t.look(ctx), eventfd_count(fd)), (1, 1));
                unsafe { (libc::close(r), libc::close(w)) };
            }
        }),
        case!(Linux, "resfd/a_full_blocking_counter_holds_up_no_poll", "spec 6.resfd.4", |t| {
            let (fd, (r, w)) = (eventfd(0), pipe(0));
            put(fd, &(u64::MAX - 2).to_ne_bytes());
            let ctx = t.setup(8);
            assert_eq!(t.submit(ctx, &mut [with(fd, poll(r, libc::POLLIN)); 4]), 4);
            assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN); 4]), 4);
            put(w, b"x");
            assert_eq!(t.reap(ctx, 8).len(), 8);
            assert_eq!(t.destroy(ctx), 0);
            let count = eventfd_count(fd);
            assert_eq!(count, t.decided_for_poll("A5", u64::MAX, u64::MAX - 1, &count));
        }),
        case!(Linux, "resfd/a_semaphore_counts_as_well", "spec 6.resfd.5", |t| {
            let (fd, null) =
                (eventfd(libc::EFD_SEMAPHORE | libc::EFD_NONBLOCK), open("/dev/null", libc::O_RDONLY));
            let ctx = t.setup(8);
            assert_eq!(t.submit(ctx, &mut [with(fd, io(0, null, 0, 0, 0)); 5]), 5);
            assert_eq!([(); 6].map(|()| eventfd_count(fd)), [1, 1, 1, 1, 1, 0]);
        }),
    ]
}

fn holds() -> Vec<Case> {
    vec![
        case!(Contract, "life/a_closed_pipe_still_fires", "spec 6.life.12", |t| {
            let (r, w) = pipe(0);
            let ctx = t.setup(8);
            assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN); 8]), 8);
            unsafe { libc::close(r) };
            // Whatever takes the number now is not meant.
            let (other, other_w) = pipe(0);
            put(other_w, b"x");
            std::thread::sleep(Duration::from_millis(20));
            assert_eq!((other, t.look(ctx)), (r, 0));
            put(w, b"x");
            assert!(t.reap(ctx, 8).iter().all(|event| event.res & 1 == 1));
        }),
        case!(Contract, "life/closed_files_are_read_and_written", "spec 6.life.12", |t| {
            let Some(file) = scratch(libc::O_RDWR | libc::O_DIRECT) else { t.not_applicable("no O_DIRECT here") };
            let (ctx, page) = (t.setup(64), pages(65, 65));
            unsafe { std::ptr::write_bytes((page + 64 * 4096) as *mut u8, 0x61, 4096) };
            for round in 0..20 {
                let fd = unsafe { libc::dup(file.as_raw_fd()) };
                let read = |i: usize| io(0, fd, page + i * 4096, 4096, 4096 * (i as i64 % 2));
                let mut iocbs: Vec<Iocb> = (0..63).map(read).collect();
                iocbs.push(io(1, fd, page + 64 * 4096, 4096, 0));
                assert_eq!(t.submit(ctx, &mut iocbs), 64);
                unsafe { libc::close(fd) };
                let null = open("/dev/null", libc::O_RDWR);
                assert!(t.reap(ctx, 64).iter().all(|event| event.res == 4096), "round {round}");
                unsafe { libc::close(null) };
            }
            let bytes = unsafe { std::slice::from_raw_parts(page as *const u8, 63 * 4096) };
            assert!(bytes.iter().all(|b| *b == 0x61));
        }),
        case!(Contract, "life/closed_files_are_synced", "spec 6.life.12", |t| {
            let ctx = t.setup(16);
            for _ in 0..10 {
                let file = scratch(libc::O_RDWR).unwrap();
                assert_eq!(t.submit(ctx, &mut [sync(IOCB_CMD_FSYNC, file.as_raw_fd()); 16]), 16);
                drop(file);
                assert!(t.reap(ctx, 16).iter().all(|event| event.res == 0));
            }
        }),
        case!(Linux, "life/dup2_over_a_file_that_is_read", "spec 6.life.14", |t| {
            let Some(file) = scratch(libc::O_RDWR | libc::O_DIRECT) else { t.not_applicable("no O_DIRECT here") };
            let (ctx, page) = (t.setup(32), pages(32, 32));
            let (fd, null) = (unsafe { libc::dup(file.as_raw_fd()) }, open("/dev/null", libc::O_RDWR));
            let mut iocbs: Vec<Iocb> = (0..32).map(|i: usize| io(0, fd, page + i * 4096, 4096, 0)).collect();
            assert_eq!(t.submit(ctx, &mut iocbs), 32);
            assert_eq!(unsafe { libc::dup2(null, fd) }, fd);
            assert!(t.reap(ctx, 32).iter().all(|event| event.res == 4096));
        }),
        case!(Linux, "resfd/the_old_one_is_signalled_after_dup2", "spec 6.life.13, spec 6.life.14", |t| {
            let (fd, other, (r, w)) = (eventfd(0), eventfd(libc::EFD_NONBLOCK), pipe(0));
            let kept = unsafe { libc::dup(fd) };
            let ctx = t.setup(8);
            assert_eq!(t.submit(ctx, &mut [with(fd, poll(r, libc::POLLIN)); 8]), 8);
            assert_eq!(unsafe { libc::dup2(other, fd) }, fd);
            put(w, b"x");
            assert_eq!(t.reap(ctx, 8).len(), 8);
            count_to(kept, 8);
            assert_eq!(eventfd_count(other), 0);
        }),
        case!(Linux, "resfd/a_closed_one_of_which_nothing_is_left", "spec 6.life.13", |t| {
            let (fd, (r, w)) = (eventfd(0), pipe(0));
            let ctx = t.setup(8);
            assert_eq!(t.submit(ctx, &mut [with(fd, poll(r, libc::POLLIN)); 8]), 8);
            unsafe { libc::close(fd) };
            let other = eventfd(libc::EFD_NONBLOCK);
            assert_eq!(other, fd);
            put(w, b"x");
            assert_eq!(t.reap(ctx, 8).len(), 8);
            std::thread::sleep(Duration::from_millis(20));
            assert_eq!(eventfd_count(other), 0);
        }),
        case!(Contract, "life/requests_of_many_ended_threads", "spec 6.life.10", |t| {
            let (r, w) = pipe(0);
            let file = scratch(libc::O_RDWR).unwrap();
            let ctx = t.setup(64);
            for _ in 0..8 {
                std::thread::scope(|s| {
                    s.spawn(|| {
                        assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN); 4]), 4);
                        assert_eq!(t.submit(ctx, &mut [sync(IOCB_CMD_FSYNC, file.as_raw_fd()); 4]), 4);
                    });
                });
            }
            assert!(t.reap(ctx, 32).iter().all(|event| event.res == 0));
            std::thread::scope(|s| {
                let waiter = asleep(s, || t.reap(ctx, 32));
                put(w, b"x");
                assert!(waiter.join().unwrap().iter().all(|event| event.res & 1 == 1));
            });
        }),
    ]
}
