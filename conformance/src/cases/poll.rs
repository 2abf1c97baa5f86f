//! POLL: spec 2.

use std::os::fd::AsRawFd;

use super::Case;
use crate::case;
use crate::tools::*;
use uaio::abi::*;

const IN: i64 = libc::POLLIN as i64;
const OUT: i64 = libc::POLLOUT as i64;
const HUP: i64 = libc::POLLHUP as i64;
const ERR: i64 = libc::POLLERR as i64;

pub fn cases() -> Vec<Case> {
    vec![
        case!(Linux, "poll/mask_over_16_bits_and_extra_fields_are_einval", "spec 2.poll.1", |t| {
            let (r, _w) = pipe(0);
            assert_eq!(t.refused(Iocb { buf: 0x1_0001, ..poll(r, 0) }), EINVAL);
            assert_eq!(t.refused(Iocb { offset: 1, ..poll(r, libc::POLLIN) }), EINVAL);
            assert_eq!(t.refused(Iocb { nbytes: 1, ..poll(r, libc::POLLIN) }), EINVAL);
            assert_eq!(t.refused(Iocb { rw_flags: 1, ..poll(r, libc::POLLIN) }), EINVAL);
        }),
        case!(Contract, "poll/ready_at_submit_is_there_at_once_and_filtered", "spec 2.poll.4", |t| {
            let (r, w) = pipe(0);
            put(w, b"x");
            let ctx = t.setup(4);
            assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN | libc::POLLOUT), poll(w, libc::POLLOUT)]), 2);
            let mut events = [IoEvent::default(); 2];
            let now = Some(Timespec::default());
            assert_eq!(t.getevents(ctx, 2, 2, events.as_mut_ptr() as usize, now), 2);
            assert_eq!((events[0].res, events[1].res), (IN, OUT));
        }),
        case!(Contract, "poll/waits_and_fires_once", "spec 2.poll.3, spec 2.poll.5", |t| {
            let (r, w) = pipe(0);
            let ctx = t.setup(4);
            assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN)]), 1);
            assert_eq!(t.look(ctx), 0);
            put(w, b"x");
            let res = t.reap(ctx, 1)[0].res;
            // The kernel gives the waker's whole mask (decision A3).
            assert_eq!(res & IN, IN);
            assert_eq!(t.decided("A3", 0x41, IN), res);
            put(w, b"x");
            assert_eq!(t.look(ctx), 0);
        }),
        case!(Linux, "poll/error_and_hangup_need_not_be_asked_for", "spec 2.poll.2", |t| {
            let (r, w) = pipe(0);
            let (r2, w2) = pipe(0);
            let ctx = t.setup(4);
            assert_eq!(t.submit(ctx, &mut [poll(r, 0), poll(w2, 0)]), 2);
            assert_eq!(t.look(ctx), 0);
            unsafe { libc::close(w) };
            assert_eq!(t.reap(ctx, 1)[0].res & HUP, HUP);
            unsafe { libc::close(r2) };
            assert_eq!(t.reap(ctx, 1)[0].res & ERR, ERR);
        }),
        case!(Linux, "poll/files_are_always_ready", "spec 2.poll.7", |t| {
            let file = scratch(libc::O_RDONLY).unwrap();
            let both = libc::POLLIN | libc::POLLOUT;
            for fd in [file.as_raw_fd(), open("/", libc::O_RDONLY), open("/dev/null", libc::O_RDONLY)] {
                assert_eq!(t.one(poll(fd, both)), IN | OUT);
                assert_eq!(t.one(poll(fd, libc::POLLIN)), IN);
            }
        }),
        case!(Quirk, "poll/pty_master_is_einval", "spec 2.poll.8", |t| {
            let fd = open("/dev/ptmx", libc::O_RDWR | libc::O_NOCTTY);
            if fd < 0 {
                t.not_applicable("no /dev/ptmx");
            }
            assert_eq!(t.refused(poll(fd, libc::POLLIN)), EINVAL);
        }),
        case!(Linux, "poll/epoll_and_eventfd_work", "spec 2.poll.10", |t| {
            let (epoll, event) = (unsafe { libc::epoll_create1(0) }, eventfd(0));
            let mut what = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
            unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, event, &mut what) };
            let ctx = t.setup(4);
            assert_eq!(t.submit(ctx, &mut [poll(epoll, libc::POLLIN), poll(event, libc::POLLIN)]), 2);
            assert_eq!(t.look(ctx), 0);
            put(event, &1u64.to_ne_bytes());
            assert!(t.reap(ctx, 2).iter().all(|e| e.res & IN == IN));
        }),
        case!(Linux, "poll/holds_the_file_after_close", "spec 2.poll.12", |t| {
            let (r, w) = pipe(0);
            let ctx = t.setup(4);
            assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN)]), 1);
            unsafe { libc::close(r) };
            put(w, b"x");
            assert_eq!(t.reap(ctx, 1)[0].res & IN, IN);
        }),
        case!(Linux, "poll/a_thousand_on_one_file_all_fire", "spec 2.poll.3", |t| {
            let (r, w) = pipe(0);
            let ctx = t.setup(1000);
            let mut iocbs: Vec<Iocb> = (0..1000).map(|i| Iocb { data: i, ..poll(r, libc::POLLIN) }).collect();
            assert_eq!(t.submit(ctx, &mut iocbs), 1000);
            put(w, b"x");
            let mut seen: Vec<u64> = t.reap(ctx, 1000).iter().map(|e| e.data).collect();
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..1000));
        }),
    ]
}
