//! io_destroy: spec 5.

use std::os::fd::AsRawFd;

use super::Case;
use crate::case;
use crate::tools::*;
use uaio::abi::*;

pub fn cases() -> Vec<Case> {
    vec![
        case!(
            Contract,
            "destroy/every_bad_context_is_einval_never_efault",
            "spec 5.2, spec 1.lookup.2, spec 11.1, io_destroy(2) EINVAL",
            |t| {
                let ctx = t.setup(1);
                let hole = pages(1, 0);
                for bad in [0, 1, usize::MAX, ctx + 1, ctx + 8, hole, &ctx as *const _ as usize] {
                    assert_eq!(t.destroy(bad), EINVAL, "{bad:#x}");
                }
            }
        ),
        case!(Contract, "destroy/twice_is_einval_and_so_is_every_later_call", "spec 5.3", |t| {
            let ctx = t.setup(1);
            assert_eq!((t.destroy(ctx), t.destroy(ctx)), (0, EINVAL));
            assert_eq!(t.submit_at(ctx, 0, 0), EINVAL);
            let mut iocb = Iocb::default();
            assert_eq!(t.cancel(ctx, &mut iocb), EINVAL);
            if !t.is_libaio() {
                assert_eq!(t.getevents(ctx, 0, 0, 0, Some(Timespec::default())), EINVAL);
            }
        }),
        case!(Linux, "destroy/events_not_reaped_are_dropped", "spec 5.7", |t| {
            let null = open("/dev/null", libc::O_RDONLY);
            let ctx = t.setup(4);
            assert_eq!(t.submit(ctx, &mut [io(0, null, 0, 0, 0); 4]), 4);
            assert_eq!(t.destroy(ctx), 0);
        }),
        case!(Contract, "destroy/waits_for_writes_that_were_accepted", "spec 5.4, spec 11.2", |t| {
            let Some(file) = scratch(libc::O_RDWR | libc::O_DIRECT) else { t.not_applicable("no O_DIRECT here") };
            let page = pages(64, 64);
            unsafe { std::ptr::write_bytes(page as *mut u8, 9, 64 * 4096) };
            for _ in 0..3 {
                let ctx = t.setup(64);
                let write = |i: usize| io(1, file.as_raw_fd(), page + i * 4096, 4096, i as i64 * 4096);
                let mut iocbs: Vec<Iocb> = (0..64).map(write).collect();
                assert_eq!(t.submit(ctx, &mut iocbs), 64);
                assert_eq!(t.destroy(ctx), 0);
                // Not after the return: nothing may read the buffers any more.
                unsafe { std::ptr::write_bytes(page as *mut u8, 1, 64 * 4096) };
                let back = pages(64, 64);
                let n = unsafe { libc::pread(file.as_raw_fd(), back as *mut _, 64 * 4096, 0) };
                let bytes = unsafe { std::slice::from_raw_parts(back as *const u8, 64 * 4096) };
                assert!(n == 64 * 4096 && bytes.iter().all(|b| *b == 9));
                unsafe { std::ptr::write_bytes(page as *mut u8, 9, 64 * 4096) };
            }
        }),
        case!(Contract, "destroy/buffers_are_the_programs_again", "spec 5.11", |t| {
            let Some(file) = scratch(libc::O_RDWR | libc::O_DIRECT) else { t.not_applicable("no O_DIRECT here") };
            for _ in 0..20 {
                let (ctx, page) = (t.setup(64), pages(64, 64));
                let read = |i: usize| io(0, file.as_raw_fd(), page + i * 4096, 4096, (i as i64 % 2) * 4096);
                let mut iocbs: Vec<Iocb> = (0..64).map(read).collect();
                assert_eq!(t.submit(ctx, &mut iocbs), 64);
                assert_eq!(t.destroy(ctx), 0);
                unsafe { std::ptr::write_bytes(page as *mut u8, 0x5a, 64 * 4096) };
                std::thread::sleep(std::time::Duration::from_millis(2));
                let bytes = unsafe { std::slice::from_raw_parts(page as *const u8, 64 * 4096) };
                assert!(bytes.iter().all(|b| *b == 0x5a));
                unsafe { libc::munmap(page as *mut _, 64 * 4096) };
            }
        }),
        case!(Contract, "destroy/ends_polls_that_never_fire", "spec 5.5, spec 11.2", |t| {
            let (r, _w) = pipe(0);
            let ctx = t.setup(512);
            assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN); 512]), 512);
            assert_eq!(t.destroy(ctx), 0);
        }),
        case!(Linux, "destroy/by_two_threads_one_is_einval", "spec 5.1", |t| {
            for _ in 0..20 {
                let ctx = t.setup(8);
                let destroy = t.calls.io_destroy;
                let both: Vec<_> = (0..2).map(|_| std::thread::spawn(move || unsafe { destroy(ctx) })).collect();
                let mut answers: Vec<isize> = both.into_iter().map(|d| d.join().unwrap()).collect();
                answers.sort_unstable();
                assert_eq!(answers, [EINVAL, 0]);
            }
        }),
        case!(Linux, "destroy/while_others_submit_and_reap", "spec 5.3", |t| {
            if t.is_libaio() {
                t.not_applicable("libaio reads the ring, which may be gone");
            }
            let null = open("/dev/null", libc::O_RDONLY);
            for _ in 0..10 {
                let ctx = t.setup(64);
                let calls = t.calls;
                let others: Vec<_> = (0..3)
                    .map(|_| {
                        std::thread::spawn(move || {
                            let mut events = [IoEvent::default(); 8];
                            let mut iocb = io(0, null, 0, 0, 0);
                            let list = [&raw mut iocb];
                            let none = Timespec { sec: 0, nsec: 1000 };
                            loop {
                                let n = unsafe { (calls.io_submit)(ctx, 1, list.as_ptr()) };
                                if n == EINVAL {
                                    return;
                                }
                                assert!(n == 1 || n == EAGAIN, "{n}");
                                let n = unsafe { (calls.io_getevents)(ctx, 1, 8, events.as_mut_ptr(), &none) };
                                assert!(n >= 0 || n == EINVAL, "{n}");
                            }
                        })
                    })
                    .collect();
                std::thread::sleep(std::time::Duration::from_millis(5));
                assert_eq!(t.destroy(ctx), 0);
                others.into_iter().for_each(|o| o.join().unwrap());
            }
        }),
    ]
}
