//! FSYNC and FDSYNC: spec 2.

use std::os::fd::AsRawFd;

use super::Case;
use crate::case;
use crate::direct::direct;
use crate::tools::*;
use uaio::abi::*;

const BOTH: [u16; 2] = [IOCB_CMD_FSYNC, IOCB_CMD_FDSYNC];

pub fn cases() -> Vec<Case> {
    vec![
        case!(Contract, "fsync/works_on_files_and_directories", "spec 2.fsync.3, spec 2.fsync.6", |t| {
            let file = scratch(libc::O_RDONLY).unwrap();
            for op in BOTH {
                assert_eq!(t.one(sync(op, file.as_raw_fd())), 0);
                assert_eq!(t.one(sync(op, open("/var/tmp", libc::O_RDONLY))), 0);
            }
        }),
        case!(Linux, "fsync/extra_fields_are_einval", "spec 2.fsync.1", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let ctx = t.setup(4);
            for op in BOTH {
                let base = sync(op, file.as_raw_fd());
                for extra in [
                    Iocb { buf: 1, ..base },
                    Iocb { buf: 1 << 47, ..base },
                    Iocb { nbytes: 1, ..base },
                    Iocb { nbytes: 1 << 62, ..base },
                    Iocb { offset: 1, ..base },
                    Iocb { offset: -1, ..base },
                    Iocb { rw_flags: 1, ..base },
                    Iocb { rw_flags: 1 << 31, ..base },
                ] {
                    assert_eq!(t.submit(ctx, &mut [extra]), EINVAL, "{extra:?}");
                }
            }
            assert_eq!(t.look(ctx), 0);
        }),
        case!(Linux, "fsync/file_without_fsync_is_einval_at_submit", "spec 2.fsync.2", |t| {
            let (r, w) = pipe(0);
            let epoll = unsafe { libc::epoll_create1(0) };
            let timer = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, 0) };
            let opened = ["/dev/null", "/dev/zero", "/dev/urandom", "/proc/self/status"]
                .map(|path| open(path, libc::O_RDONLY));
            let ctx = t.setup(4);
            for fd in [r, w, socket_pair().0, eventfd(0), epoll, timer].into_iter().chain(opened) {
                for op in BOTH {
                    assert_eq!(
                        t.submit(ctx, &mut [sync(op, fd)]),
                        EINVAL,
                        "{:?}",
                        std::fs::read_link(format!("/proc/self/fd/{fd}"))
                    );
                }
            }
        }),
        case!(Linux, "fsync/a_file_in_memory_has_it", "spec 2.fsync.2, spec 2.fsync.6", |t| {
            let fd = unsafe { libc::memfd_create(c"case".as_ptr(), 0) };
            assert_eq!(BOTH.map(|op| t.one(sync(op, fd))), [0, 0]);
        }),
        case!(Linux, "fsync/needs_no_mode", "spec 2.fsync.3", |t| {
            let (write, neither) = (scratch(libc::O_WRONLY).unwrap(), open("/var/tmp", libc::O_ACCMODE));
            for op in BOTH {
                assert_eq!(t.one(sync(op, write.as_raw_fd())), 0);
                if neither >= 0 {
                    assert_eq!(t.one(sync(op, neither)), 0);
                }
            }
        }),
        case!(Linux, "fsync/priority_is_ignored", "spec 2.fsync.4", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            for op in BOTH {
                let base = sync(op, file.as_raw_fd());
                assert_eq!(t.one(Iocb { flags: IOCB_FLAG_IOPRIO, reqprio: -1, ..base }), 0);
                assert_eq!(t.one(Iocb { flags: IOCB_FLAG_IOPRIO, reqprio: 1 << 13, ..base }), 0);
                assert_eq!(t.one(Iocb { reqprio: -1, ..base }), 0);
            }
        }),
        case!(Contract, "fsync/the_file_may_be_closed_at_once", "spec 2.fsync.6, io_submit(2)", |t| {
            let ctx = t.setup(4);
            for op in BOTH {
                let file = scratch(libc::O_RDWR).unwrap();
                assert_eq!(t.submit(ctx, &mut [sync(op, file.as_raw_fd())]), 1);
                drop(file);
                assert_eq!(t.reap(ctx, 1)[0].res, 0);
            }
        }),
        case!(Contract, "fsync/many_in_a_batch_with_writes_all_end", "spec 2.fsync.6", |t| {
            let (file, ctx, page) = (scratch(libc::O_RDWR).unwrap(), t.setup(60), pages(1, 1));
            let mut iocbs: Vec<Iocb> = (0..60)
                .map(|i| match i % 3 {
                    0 => io(IOCB_CMD_PWRITE, file.as_raw_fd(), page, 4096, i * 4096),
                    kind => sync(BOTH[kind as usize - 1], file.as_raw_fd()),
                })
                .collect();
            assert_eq!(t.submit(ctx, &mut iocbs), 60);
            let written = t.reap(ctx, 60).iter().map(|e| e.res).sum::<i64>();
            assert_eq!((written, file.metadata().unwrap().len()), (20 * 4096, 58 * 4096));
        }),
        case!(Linux, "fsync/cannot_be_cancelled", "spec 2.fsync.7", |t| {
            let (file, ctx) = (scratch(libc::O_RDWR).unwrap(), t.setup(4));
            std::os::unix::fs::FileExt::write_at(&file, &vec![1; 4 << 20], 0).unwrap();
            for op in BOTH {
                let mut iocb = sync(op, file.as_raw_fd());
                assert_eq!(t.submit_at(ctx, 1, [&raw mut iocb as usize].as_ptr() as usize), 1);
                assert_eq!(t.cancel(ctx, &raw mut iocb), EINVAL);
                assert_eq!(t.reap(ctx, 1)[0].res, 0);
            }
        }),
        case!(Quirk, "fsync/runs_later", "spec 2.done.4", |t| {
            if t.is_inline() {
                t.not_applicable("inline has no thread to run it");
            }
            direct(t, libc::O_RDWR);
            let (file, ctx) = (scratch(libc::O_RDWR).unwrap(), t.setup(4));
            let later = (0..100).any(|_| {
                std::os::unix::fs::FileExt::write_at(&file, &vec![1; 1 << 20], 0).unwrap();
                assert_eq!(t.submit(ctx, &mut [sync(IOCB_CMD_FSYNC, file.as_raw_fd())]), 1);
                let done = t.look(ctx) as usize;
                t.reap(ctx, 1 - done);
                done == 0
            });
            assert!(later, "each was done when io_submit returned");
        }),
        case!(Linux, "fsync/signals_its_eventfd_once", "spec 2.fsync.6", |t| {
            let (file, event, ctx) = (scratch(libc::O_RDWR).unwrap(), eventfd(libc::EFD_NONBLOCK), t.setup(4));
            for op in BOTH {
                let iocb = sync(op, file.as_raw_fd());
                t.one_in(ctx, Iocb { flags: IOCB_FLAG_RESFD, resfd: event as u32, ..iocb });
                let mut ready = libc::pollfd { fd: event, events: libc::POLLIN, revents: 0 };
                assert_eq!(unsafe { libc::poll(&mut ready, 1, 10_000) }, 1);
                assert_eq!(eventfd_count(event), 1);
            }
        }),
    ]
}
