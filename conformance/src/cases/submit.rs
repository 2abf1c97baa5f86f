//! io_submit: the checks and their order, spec 2.

use std::io::Write;
use std::os::fd::AsRawFd;

use super::Case;
use crate::case;
use crate::case::Run;
use crate::tools::*;
use uaio::abi::*;

/// What becomes of a read (0) or a write (1) of descriptor `fd`: io_submit's answer, or the event's result.
fn outcome(t: &Run, ctx: usize, op: u16, fd: i32) -> i64 {
    let mut bytes = [b'x'; 16];
    let mut iocbs = [io(op, fd, bytes.as_mut_ptr() as usize, 16, 0)];
    match t.submit(ctx, &mut iocbs) {
        1 => t.reap(ctx, 1)[0].res,
        refused => 1000 + refused as i64,
    }
}

pub fn cases() -> Vec<Case> {
    vec![
        case!(
            Contract,
            "io_submit/a_number_that_becomes_another_file_is_that_file",
            "spec 2.10, spec 2.rw.c, spec 2.rw.d",
            |t| {
                let ctx = t.setup(1);
                let mut file = scratch(libc::O_RDWR).unwrap();
                file.write_all(&[7; 4096]).unwrap();
                let (fd, path) = (file.as_raw_fd(), format!("/proc/self/fd/{}", file.as_raw_fd()));
                let kept = unsafe { libc::dup(fd) };
                let others = [
                    pipe(libc::O_NONBLOCK).0,
                    pipe(libc::O_NONBLOCK).1,
                    open(&path, libc::O_RDONLY),
                    open(&path, libc::O_WRONLY),
                    open(&path, libc::O_RDWR | libc::O_APPEND),
                    open(&path, libc::O_PATH),
                    eventfd(libc::EFD_NONBLOCK),
                    socket_pair().1,
                    open("/proc/self/comm", libc::O_RDWR),
                    open("/proc/self/mem", libc::O_RDWR),
                    open("/proc/self/status", libc::O_RDONLY),
                    open("/dev/full", libc::O_RDWR),
                    open("/dev/zero", libc::O_RDWR),
                    open("/dev", libc::O_DIRECTORY),
                ];
                for (other, op) in others.into_iter().flat_map(|other| [(other, 0), (other, 1)]) {
                    let flags = unsafe { libc::fcntl(other, libc::F_GETFL) };
                    if flags & libc::O_PATH == 0 {
                        unsafe { libc::fcntl(other, libc::F_SETFL, flags | libc::O_NONBLOCK) };
                    }
                    assert_eq!(unsafe { libc::dup2(kept, fd) }, fd);
                    for _ in 0..3 {
                        assert_eq!([0, 1].map(|op| outcome(t, ctx, op, fd)), [16, 16]);
                    }
                    // A number that nothing was ever done with.
                    let fresh = unsafe { libc::fcntl(other, libc::F_DUPFD, 500 + other) };
                    let expected = outcome(t, ctx, op, fresh);
                    assert_eq!(unsafe { libc::dup2(other, fd) }, fd);
                    assert_eq!(outcome(t, ctx, op, fd), expected, "{other}");
                    unsafe { libc::close(fresh) };
                }
                drop(file);
                assert_eq!([0, 1].map(|op| outcome(t, ctx, op, fd)), [1000 + EBADF as i64; 2]);
            }
        ),
        case!(Contract, "io_submit/negative_nr_is_einval_before_the_context", "spec 2.1", |t| {
            let ctx = t.setup(1);
            assert_eq!((t.submit_at(ctx, -1, BAD), t.submit_at(1, -1, BAD)), (EINVAL, EINVAL));
        }),
        case!(
            Contract,
            "io_submit/bad_context_is_einval_even_for_nothing",
            "spec 2.2, spec 1.context.1, io_submit(2) EINVAL",
            |t| {
                let ctx = t.setup(1);
                for bad in [0, 1, usize::MAX, ctx + 1, ctx + 8, ctx + 4096 * 100, &ctx as *const _ as usize] {
                    assert_eq!(t.submit_at(bad, 0, 0), EINVAL, "{bad:#x}");
                }
            }
        ),
        case!(Linux, "io_submit/nothing_is_0_and_touches_nothing", "spec 2.3", |t| {
            let ctx = t.setup(1);
            assert_eq!(t.submit_at(ctx, 0, BAD), 0);
        }),
        case!(Linux, "io_submit/huge_nr_is_cut_before_the_array_is_read", "spec 2.4", |t| {
            let ctx = t.setup(1);
            assert_eq!(t.submit_at(ctx, isize::MAX, 0), EFAULT);
        }),
        case!(
            Contract,
            "io_submit/bad_array_and_bad_iocb_are_efault",
            "spec 2.5, spec 2.6, io_submit(2) EFAULT",
            |t| {
                let ctx = t.setup(1);
                let null = [0usize];
                let bad = [BAD];
                assert_eq!(t.submit_at(ctx, 1, BAD), EFAULT);
                assert_eq!(t.submit_at(ctx, 1, null.as_ptr() as usize), EFAULT);
                assert_eq!(t.submit_at(ctx, 1, bad.as_ptr() as usize), EFAULT);
            }
        ),
        case!(Linux, "io_submit/iocb_that_ends_in_a_hole_is_efault", "spec 2.6", |t| {
            let ctx = t.setup(1);
            let page = pages(2, 1);
            let list = [page + 4096 - 32];
            assert_eq!(t.submit_at(ctx, 1, list.as_ptr() as usize), EFAULT);
        }),
        case!(Linux, "io_submit/reserved2_is_einval_before_the_fd", "spec 2.7", |t| {
            assert_eq!(t.refused(Iocb { reserved2: 1, ..io(0, -1, 0, 0, 0) }), EINVAL);
        }),
        case!(Linux, "io_submit/negative_nbytes_is_einval_before_the_fd_for_every_opcode", "spec 2.8", |t| {
            for op in [0, 1, 2, 3, 5, 7, 8, 99] {
                assert_eq!(t.refused(io(op, -1, 0, usize::MAX, 0)), EINVAL, "opcode {op}");
            }
        }),
        case!(Contract, "io_submit/bad_fd_is_ebadf_before_the_opcode", "spec 2.10, io_submit(2) EBADF", |t| {
            for op in [0, 1, 2, 3, 5, 7, 8, 99] {
                assert_eq!(t.refused(io(op, -1, 0, 0, 0)), EBADF, "opcode {op}");
                assert_eq!(t.refused(io(op, 987, 0, 0, 0)), EBADF, "opcode {op}");
            }
        }),
        case!(Linux, "io_submit/o_path_is_ebadf", "spec 2.10", |t| {
            let fd = open("/", libc::O_PATH);
            assert_eq!(t.refused(sync(IOCB_CMD_FSYNC, fd)), EBADF);
            assert_eq!(t.refused(io(0, fd, 0, 0, 0)), EBADF);
        }),
        case!(Linux, "io_submit/bad_resfd_is_refused_before_the_opcode", "spec 2.11", |t| {
            let null = open("/dev/null", libc::O_RDONLY);
            let with = |resfd: i32| Iocb { flags: IOCB_FLAG_RESFD, resfd: resfd as u32, ..io(99, null, 0, 0, 0) };
            let (r, _) = pipe(0);
            let epoll = unsafe { libc::epoll_create1(0) };
            let timer = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, 0) };
            assert_eq!(t.refused(with(-1)), EBADF);
            for other in [null, r, epoll, timer] {
                assert_eq!(t.refused(with(other)), EINVAL);
            }
            assert_eq!(t.refused(with(eventfd(0))), EINVAL, "the opcode");
        }),
        case!(Linux, "io_submit/read_only_iocb_is_efault_after_ebadf", "spec 2.12", |t| {
            let ctx = t.setup(1);
            let null = open("/dev/null", libc::O_RDONLY);
            let page = pages(1, 1);
            for (fd, op, want) in [(null, 0, EFAULT), (null, 99, EFAULT), (-1, 0, EBADF)] {
                unsafe {
                    libc::mprotect(page as *mut _, 4096, libc::PROT_READ | libc::PROT_WRITE);
                    (page as *mut Iocb).write(io(op, fd, 0, 0, 0));
                    libc::mprotect(page as *mut _, 4096, libc::PROT_READ);
                }
                assert_eq!(t.submit_at(ctx, 1, [page].as_ptr() as usize), want, "fd {fd} opcode {op}");
            }
        }),
        case!(Linux, "io_submit/key_is_set_to_0", "spec 2.12, spec 0.9", |t| {
            let ctx = t.setup(1);
            let null = open("/dev/null", libc::O_RDONLY);
            let mut iocbs = [Iocb { key: 77, ..io(0, null, 0, 0, 0) }];
            assert_eq!(t.submit(ctx, &mut iocbs), 1);
            assert_eq!(iocbs[0].key, 0);
        }),
        case!(Linux, "io_submit/unknown_opcodes_are_einval_noop_too", "spec 2.13, spec 0.6", |t| {
            let null = open("/dev/null", libc::O_RDWR);
            for op in [4, 6, 9, 100, 65535] {
                assert_eq!(t.refused(io(op, null, 0, 0, 0)), EINVAL, "opcode {op}");
            }
        }),
        case!(
            Contract,
            "io_submit/stops_at_the_first_refusal_and_counts",
            "spec 2.partial.1, spec 2.partial.2, io_submit(2)",
            |t| {
                let ctx = t.setup(8);
                let null = open("/dev/null", libc::O_RDONLY);
                let good = io(0, null, 0, 0, 0);
                let mut iocbs = [good, good, io(0, -1, 0, 0, 0), good];
                assert_eq!(t.submit(ctx, &mut iocbs), 2);
                assert_eq!(t.submit(ctx, &mut iocbs[2..]), EBADF);
                assert_eq!(t.look(ctx), 2);
            }
        ),
        case!(Linux, "io_submit/iocb_may_be_overwritten_at_once", "spec 2.copy.1, spec 2.copy.2", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
            let ctx = t.setup(8);
            let mut buf = [0u8; 512];
            let mut iocb = Box::new(Iocb { data: 42, ..io(0, fd, buf.as_mut_ptr() as usize, 512, 0) });
            let address = &raw mut *iocb as u64;
            assert_eq!(t.submit_at(ctx, 1, [address].as_ptr() as usize), 1);
            unsafe { std::ptr::write_bytes(&raw mut *iocb, 0xee, 1) };
            let event = t.reap(ctx, 1)[0];
            assert_eq!((event.data, event.obj, event.res), (42, address, 512));
        }),
        case!(Linux, "io_submit/unknown_flags_are_ignored", "spec 0.7", |t| {
            let null = open("/dev/null", libc::O_RDONLY);
            assert_eq!(t.one(Iocb { flags: !3, ..io(0, null, 0, 0, 0) }), 0);
        }),
        case!(Linux, "io_submit/the_same_iocb_twice_gives_two_events", "spec 2.copy.3", |t| {
            let ctx = t.setup(8);
            let null = open("/dev/null", libc::O_RDONLY);
            let mut iocb = io(0, null, 0, 0, 0);
            let list = [&raw mut iocb, &raw mut iocb];
            assert_eq!(t.submit_at(ctx, 2, list.as_ptr() as usize), 2);
            assert_eq!(t.reap(ctx, 2).len(), 2);
        }),
    ]
}
