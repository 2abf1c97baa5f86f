//! RESFD: spec 6.

use std::os::fd::AsRawFd;

use super::Case;
use crate::case;
use crate::tools::*;
use uaio::abi::*;

pub(super) fn with(fd: i32, iocb: Iocb) -> Iocb {
    Iocb { flags: IOCB_FLAG_RESFD, resfd: fd as u32, ..iocb }
}

pub fn cases() -> Vec<Case> {
    vec![
        case!(Contract, "resfd/one_signal_for_each_request_whatever_its_result", "spec 6.resfd.1", |t| {
            let fd = eventfd(0);
            let file = scratch(libc::O_RDWR).unwrap();
            let mut buf = [0u8; 64];
            let at = buf.as_mut_ptr() as usize;
            let ctx = t.setup(8);
            let mut iocbs = [
                with(fd, io(0, file.as_raw_fd(), at, 64, 0)),
                with(fd, io(0, file.as_raw_fd(), at, 64, 1 << 30)),
                with(fd, io(0, file.as_raw_fd(), BAD, 64, 0)),
                with(fd, io(1, file.as_raw_fd(), at, 64, 0)),
                with(fd, sync(IOCB_CMD_FSYNC, file.as_raw_fd())),
            ];
            assert_eq!(t.submit(ctx, &mut iocbs), 5);
            t.reap(ctx, 5);
            count_to(fd, 5);
        }),
        case!(Contract, "resfd/no_signal_for_a_refused_request", "spec 6.resfd.2", |t| {
            let fd = eventfd(libc::EFD_NONBLOCK);
            assert_eq!(t.refused(with(fd, io(99, 0, 0, 0, 0))), EINVAL);
            assert_eq!(t.refused(with(fd, io(0, -1, 0, 0, 0))), EBADF);
            assert_eq!(eventfd_count(fd), 0);
        }),
        case!(Contract, "resfd/the_event_is_there_before_the_signal", "spec 6.resfd.3", |t| {
            let fd = eventfd(0);
            let ctx = t.setup(4);
            for _ in 0..200 {
                let (r, w) = pipe(0);
                assert_eq!(t.submit(ctx, &mut [with(fd, poll(r, libc::POLLIN))]), 1);
                put(w, b"x");
                assert_eq!(eventfd_count(fd), 1);
                assert_eq!(t.look(ctx), 1);
                unsafe { (libc::close(r), libc::close(w)) };
            }
        }),
        case!(Linux, "resfd/is_held_after_close", "spec 6.life.13", |t| {
            let (fd, (r, w)) = (eventfd(0), pipe(0));
            let kept = unsafe { libc::dup(fd) };
            let ctx = t.setup(4);
            assert_eq!(t.submit(ctx, &mut [with(fd, poll(r, libc::POLLIN))]), 1);
            unsafe { libc::close(fd) };
            put(w, b"x");
            t.reap(ctx, 1);
            assert_eq!(eventfd_count(kept), 1);
        }),
        case!(Linux, "resfd/a_full_counter_blocks_nobody", "spec 6.resfd.4", |t| {
            let fd = eventfd(0);
            put(fd, &(u64::MAX - 1).to_ne_bytes());
            let null = open("/dev/null", libc::O_RDONLY);
            let ctx = t.setup(4);
            assert_eq!(t.submit(ctx, &mut [with(fd, io(0, null, 0, 0, 0)); 3]), 3);
            assert_eq!(t.reap(ctx, 3).len(), 3);
            assert_eq!(eventfd_count(fd), t.decided("A5", u64::MAX, u64::MAX - 1));
        }),
        case!(Linux, "resfd/destroyed_polls_signal_it", "spec 5.5", |t| {
            let (fd, (r, _w)) = (eventfd(libc::EFD_NONBLOCK), pipe(0));
            let ctx = t.setup(64);
            assert_eq!(t.submit(ctx, &mut [with(fd, poll(r, libc::POLLIN)); 64]), 64);
            assert_eq!(t.destroy(ctx), 0);
            assert_eq!(eventfd_count(fd), 64);
        }),
    ]
}
