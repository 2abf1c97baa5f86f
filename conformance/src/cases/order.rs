//! io_submit: which of two errors wins, and what is left of a batch that meets one: spec 2.

use std::os::fd::AsRawFd;

use super::Case;
use crate::case;
use crate::case::Run;
use crate::tools::*;
use uaio::abi::*;

/// An address that no program can own.
const BEYOND: usize = 0xffff_8000_0000_0000;

pub fn cases() -> Vec<Case> {
    [shapes(), descriptors(), transfers(), batches()].into_iter().flatten().collect()
}

/// A context that takes nothing more, and a descriptor of /dev/null.
fn full(t: &Run) -> (usize, i32) {
    let (null, ctx) = (open("/dev/null", libc::O_RDWR), t.setup(1));
    while t.submit(ctx, &mut vec![io(0, null, 0, 0, 0); 500]) != EAGAIN {}
    (ctx, null)
}

fn with_resfd(resfd: i32, iocb: Iocb) -> Iocb {
    Iocb { flags: IOCB_FLAG_RESFD, resfd: resfd as u32, ..iocb }
}

/// What io_submit says to `iocb` when it stands in memory that cannot be written.
fn read_only(t: &Run, iocb: Iocb) -> isize {
    let page = pages(1, 1);
    unsafe {
        (page as *mut Iocb).write(iocb);
        libc::mprotect(page as *mut _, 4096, libc::PROT_READ);
    }
    let ctx = t.setup(1);
    t.submit_at(ctx, 1, [page].as_ptr() as usize)
}

fn shapes() -> Vec<Case> {
    vec![
        case!(Linux, "order/reserved2_and_nbytes_come_before_a_slot", "spec 2.7, spec 2.8, spec 2.9", |t| {
            let (ctx, null) = full(t);
            assert_eq!(t.submit(ctx, &mut [Iocb { reserved2: 1 << 63, ..io(0, null, 0, 0, 0) }]), EINVAL);
            assert_eq!(t.submit(ctx, &mut [io(0, null, 0, 1 << 63, 0)]), EINVAL);
            assert_eq!(t.submit(ctx, &mut [io(0, null, 0, (1 << 63) - 1, 0)]), EAGAIN);
        }),
        case!(Linux, "order/reading_the_iocb_comes_before_a_slot", "spec 2.5, spec 2.6, spec 2.9", |t| {
            let (ctx, _) = full(t);
            assert_eq!(t.submit_at(ctx, 1, BAD), EFAULT);
            assert_eq!(t.submit_at(ctx, 1, [BAD].as_ptr() as usize), EFAULT);
        }),
        case!(Linux, "order/no_slot_comes_before_the_descriptor", "spec 2.9, spec 2.10", |t| {
            let (ctx, null) = full(t);
            assert_eq!(t.submit(ctx, &mut [io(0, -1, 0, 0, 0)]), EAGAIN);
            assert_eq!(t.submit(ctx, &mut [with_resfd(-1, io(0, null, 0, 0, 0))]), EAGAIN);
            assert_eq!(t.submit(ctx, &mut [io(99, null, 0, 0, 0)]), EAGAIN);
            assert_eq!(t.submit(ctx, &mut [io(0, null, BEYOND, 1, -1)]), EAGAIN);
        }),
        case!(Linux, "order/nothing_is_0_in_a_full_context", "spec 2.3, spec 2.9", |t| {
            assert_eq!(t.submit_at(full(t).0, 0, BAD), 0);
        }),
        case!(Linux, "order/the_largest_nbytes_is_no_error", "spec 2.8", |t| {
            let null = open("/dev/null", libc::O_RDONLY);
            assert_eq!(t.one(io(0, null, 0, 0x7fff_0000_0000, 0)), 0);
            assert_eq!(t.refused(io(0, null, 0, 1 << 63, 0)), EINVAL);
        }),
    ]
}

fn descriptors() -> Vec<Case> {
    vec![
        case!(Linux, "order/descriptor_comes_before_resfd", "spec 2.10, spec 2.11", |t| {
            let null = open("/dev/null", libc::O_RDONLY);
            assert_eq!(t.refused(with_resfd(null, io(0, -1, 0, 0, 0))), EBADF);
            assert_eq!(t.refused(with_resfd(null, io(0, open("/", libc::O_PATH), 0, 0, 0))), EBADF);
        }),
        case!(Linux, "order/resfd_comes_before_an_iocb_that_cannot_be_written", "spec 2.11, spec 2.12", |t| {
            let null = open("/dev/null", libc::O_RDONLY);
            assert_eq!(read_only(t, with_resfd(null, io(0, null, 0, 0, 0))), EINVAL);
            assert_eq!(read_only(t, with_resfd(-1, io(0, null, 0, 0, 0))), EBADF);
            assert_eq!(read_only(t, with_resfd(eventfd(0), io(0, null, 0, 0, 0))), EFAULT);
        }),
        case!(Linux, "order/resfd_that_is_only_a_path_is_ebadf", "spec 2.11", |t| {
            let null = open("/dev/null", libc::O_RDONLY);
            let path = open("/dev/null", libc::O_PATH);
            assert_eq!(t.refused(with_resfd(path, io(0, null, 0, 0, 0))), EBADF);
        }),
        case!(Linux, "order/resfd_is_looked_at_for_every_opcode", "spec 2.11", |t| {
            let (file, ctx) = (scratch(libc::O_RDWR).unwrap(), t.setup(4));
            for op in [0, 1, 2, 3, 5, 7, 8] {
                let iocb = io(op, file.as_raw_fd(), 0, 0, 0);
                assert_eq!(t.submit(ctx, &mut [with_resfd(file.as_raw_fd(), iocb)]), EINVAL, "opcode {op}");
                assert_eq!(t.submit(ctx, &mut [with_resfd(-1, iocb)]), EBADF, "opcode {op}");
            }
        }),
        case!(
            Linux,
            "order/an_iocb_that_cannot_be_written_comes_before_all_checks_of_opcodes",
            "spec 2.12",
            |t| {
                let null = open("/dev/null", libc::O_RDONLY);
                let (r, _w) = pipe(0);
                for iocb in [
                    Iocb { rw_flags: 1 << 9, ..io(0, null, 0, 0, 0) },
                    io(IOCB_CMD_PWRITE, null, 0, 0, 0),
                    io(IOCB_CMD_PREAD, null, BEYOND, 1, -1),
                    sync(IOCB_CMD_FSYNC, r),
                    Iocb { buf: 1 << 16, ..poll(r, 0) },
                ] {
                    assert_eq!(read_only(t, iocb), EFAULT, "{iocb:?}");
                }
                assert_eq!(read_only(t, Iocb { reserved2: 1, ..io(0, null, 0, 0, 0) }), EINVAL);
            }
        ),
        case!(Linux, "order/a_closed_descriptor_is_ebadf_for_fsync_and_poll", "spec 2.poll.11, spec 2.10", |t| {
            let gone = open("/dev/null", libc::O_RDONLY);
            unsafe { libc::close(gone) };
            assert_eq!(t.refused(Iocb { buf: 1 << 20, ..poll(gone, libc::POLLIN) }), EBADF);
            assert_eq!(t.refused(Iocb { offset: 1, ..sync(IOCB_CMD_FSYNC, gone) }), EBADF);
            assert_eq!(t.refused(poll(i32::MAX, libc::POLLNVAL)), EBADF);
        }),
    ]
}

fn transfers() -> Vec<Case> {
    vec![
        case!(Linux, "order/priority_comes_before_flags_and_mode", "spec 2.rw.a, spec 2.rw.c2", |t| {
            let null = open("/dev/null", libc::O_RDONLY);
            let bad = |iocb: Iocb| Iocb { flags: IOCB_FLAG_IOPRIO, reqprio: 4 << 13, ..iocb };
            assert_eq!(t.refused(bad(Iocb { rw_flags: 1 << 9, ..io(0, null, 0, 0, 0) })), EINVAL);
            assert_eq!(t.refused(bad(io(IOCB_CMD_PWRITE, null, 0, 0, 0))), EINVAL);
            assert_eq!(t.refused(bad(io(0, null, BEYOND, 1, 0))), EINVAL);
        }),
        case!(Linux, "order/flags_come_before_mode_buffer_and_offset", "spec 2.rw.b, spec 2.rw.c2", |t| {
            let (read, write) = (open("/dev/null", libc::O_RDONLY), open("/dev/null", libc::O_WRONLY));
            let unknown = |iocb: Iocb| t.refused(Iocb { rw_flags: 1 << 30, ..iocb });
            assert_eq!(unknown(io(IOCB_CMD_PWRITE, read, 0, 0, 0)), EOPNOTSUPP);
            assert_eq!(unknown(io(IOCB_CMD_PREAD, write, 0, 0, 0)), EOPNOTSUPP);
            assert_eq!(unknown(io(IOCB_CMD_PREAD, read, BEYOND, 1, 0)), EOPNOTSUPP);
            assert_eq!(unknown(io(IOCB_CMD_PREADV, read, 0, 1025, -1)), EOPNOTSUPP);
            assert_eq!(unknown(io(IOCB_CMD_PREAD, open("/", libc::O_RDONLY), 0, 0, 0)), EOPNOTSUPP);
        }),
        case!(
            Linux,
            "order/an_unknown_flag_comes_before_flags_that_exclude_each_other",
            "spec 2.rw.b, spec 2.rw.b2",
            |t| {
                let null = open("/dev/null", libc::O_RDWR);
                let both = RWF_APPEND | RWF_NOAPPEND;
                for op in [0, 1, 7, 8] {
                    let with = |rw_flags: u32| Iocb { rw_flags, ..io(op, null, 0, 0, 0) };
                    assert_eq!(t.refused(with(both | 1 << 9)), EOPNOTSUPP, "opcode {op}");
                    assert_eq!(t.refused(with(both)), EINVAL, "opcode {op}");
                }
            }
        ),
        case!(
            Linux,
            "order/flags_that_exclude_each_other_come_before_the_ones_files_lack",
            "spec 2.rw.b2, spec 2.rw.b3",
            |t| {
                let fd = open("/proc/self/status", libc::O_RDONLY);
                let with = |rw_flags: u32| Iocb { rw_flags, ..io(0, fd, 0, 0, 0) };
                assert_eq!(t.refused(with(RWF_APPEND | RWF_NOAPPEND | RWF_NOWAIT)), EINVAL);
                assert_eq!(t.refused(with(RWF_APPEND | RWF_NOAPPEND | RWF_ATOMIC)), EINVAL);
                assert_eq!(t.refused(with(RWF_NOWAIT)), EOPNOTSUPP);
            }
        ),
        case!(Linux, "order/mode_comes_before_the_iterator", "spec 2.rw.c, spec 2.rw.d2", |t| {
            let full = open("/dev/full", libc::O_RDONLY);
            assert_eq!(t.refused(io(IOCB_CMD_PWRITE, full, 0, 0, 0)), EBADF);
            assert_eq!(t.refused(io(IOCB_CMD_PWRITE, open("/", libc::O_RDONLY), 0, 0, 0)), EBADF);
            assert_eq!(t.refused(io(IOCB_CMD_PWRITE, open("/proc/self/status", libc::O_RDONLY), 0, 0, 0)), EBADF);
        }),
        case!(Linux, "order/the_iterator_comes_before_the_buffer", "spec 2.rw.d2", |t| {
            let (full, dir) = (open("/dev/full", libc::O_RDWR), open("/", libc::O_RDONLY));
            for (write, read) in [(IOCB_CMD_PWRITE, IOCB_CMD_PREAD), (IOCB_CMD_PWRITEV, IOCB_CMD_PREADV)] {
                assert_eq!(t.refused(io(write, full, BEYOND, 1, 0)), EINVAL);
                assert_eq!(t.refused(io(write, eventfd(0), BEYOND, 1, 0)), EINVAL);
                assert_eq!(t.refused(io(read, dir, BEYOND, 1, 0)), EINVAL);
            }
        }),
        case!(Linux, "order/mode_comes_before_buffer_and_offset", "spec 2.rw.c", |t| {
            let (read, write) = (open("/dev/null", libc::O_RDONLY), open("/dev/null", libc::O_WRONLY));
            assert_eq!(t.refused(io(IOCB_CMD_PWRITE, read, BEYOND, 1, -1)), EBADF);
            assert_eq!(t.refused(io(IOCB_CMD_PREADV, write, BEYOND, 1025, -1)), EBADF);
        }),
        case!(Linux, "order/the_buffer_comes_before_the_offset", "spec 2.rw.e, spec 2.rw.e3, spec 2.rw.f", |t| {
            let null = open("/dev/null", libc::O_RDWR);
            for (plain, vector) in [(IOCB_CMD_PREAD, IOCB_CMD_PREADV), (IOCB_CMD_PWRITE, IOCB_CMD_PWRITEV)] {
                assert_eq!(t.refused(io(plain, null, BEYOND, 1, -1)), EFAULT);
                assert_eq!(t.refused(io(vector, null, BAD, 1, -1)), EFAULT);
                assert_eq!(t.refused(io(plain, null, BAD, 1, -1)), EINVAL);
            }
        }),
    ]
}

fn batches() -> Vec<Case> {
    vec![
        case!(
            Contract,
            "io_submit/first_bad_fd_is_ebadf",
            "spec 2.partial.1, spec 2.partial.2, io_submit(2) EBADF",
            |t| {
                let (null, ctx) = (open("/dev/null", libc::O_RDONLY), t.setup(4));
                let good = io(0, null, 0, 0, 0);
                assert_eq!(t.submit(ctx, &mut [io(0, -1, 0, 0, 0), good, good]), EBADF);
                assert_eq!(t.look(ctx), 0);
            }
        ),
        case!(
            Linux,
            "io_submit/each_kind_of_refusal_ends_a_batch_with_a_count",
            "spec 2.partial.1, spec 2.partial.2",
            |t| {
                let (null, ctx) = (open("/dev/null", libc::O_RDONLY), t.setup(8));
                let good = io(0, null, 0, 0, 0);
                for (bad, errno) in [
                    (Iocb { reserved2: 1, ..good }, EINVAL),
                    (with_resfd(null, good), EINVAL),
                    (io(6, null, 0, 0, 0), EINVAL),
                    (Iocb { rw_flags: 1 << 9, ..good }, EOPNOTSUPP),
                    (io(1, null, 0, 0, 0), EBADF),
                    (io(0, null, BEYOND, 1, 0), EFAULT),
                    (io(0, null, 0, 0, -1), EINVAL),
                    (sync(IOCB_CMD_FSYNC, null), EINVAL),
                    (Iocb { buf: 1 << 16, ..poll(null, 0) }, EINVAL),
                ] {
                    let mut iocbs = [good, bad, good];
                    assert_eq!(
                        (t.submit(ctx, &mut iocbs), t.submit(ctx, &mut iocbs[1..]), t.look(ctx)),
                        (1, errno, 1),
                        "{bad:?}"
                    );
                }
            }
        ),
        case!(
            Linux,
            "io_submit/a_hole_in_the_array_ends_a_batch_with_a_count",
            "spec 2.5, spec 2.partial.1",
            |t| {
                let (null, ctx) = (open("/dev/null", libc::O_RDONLY), t.setup(4));
                let mut iocb = io(0, null, 0, 0, 0);
                let list = (pages(2, 1) + 4096 - 16) as *mut usize;
                (0..2).for_each(|i| unsafe { list.add(i).write(&raw mut iocb as usize) });
                assert_eq!(t.submit_at(ctx, 3, list as usize), 2);
                assert_eq!(t.submit_at(ctx, 1, list as usize + 16), EFAULT);
                assert_eq!(t.submit_at(ctx, isize::MAX, list as usize), 2);
                assert_eq!(t.look(ctx), 4);
            }
        ),
        case!(
            Linux,
            "io_submit/an_unreadable_iocb_ends_a_batch_with_a_count",
            "spec 2.6, spec 2.partial.1",
            |t| {
                let (null, ctx) = (open("/dev/null", libc::O_RDONLY), t.setup(4));
                let mut iocb = io(0, null, 0, 0, 0);
                for bad in [0, BAD, pages(2, 1) + 4095, BEYOND, usize::MAX] {
                    let list = [&raw mut iocb as usize, bad, &raw mut iocb as usize];
                    assert_eq!(t.submit_at(ctx, 3, list.as_ptr() as usize), 1, "{bad:#x}");
                    assert_eq!(t.submit_at(ctx, 2, list[1..].as_ptr() as usize), EFAULT, "{bad:#x}");
                }
            }
        ),
        case!(Linux, "io_submit/an_event_does_not_wait_for_a_later_request_that_blocks", "spec 2.done.1", |t| {
            let (zero, (r, w), ctx) = (open("/dev/zero", libc::O_RDONLY), pipe(0), t.setup(4));
            let mut bytes = [1u8; 2];
            let at = bytes.as_mut_ptr() as usize;
            let (first, second) = (io(0, zero, at, 1, 0), io(0, r, at + 1, 1, 0));
            std::thread::scope(|s| {
                let both = [Iocb { data: 1, ..first }, Iocb { data: 2, ..second }];
                let submitter = s.spawn(move || t.submit(ctx, &mut both.clone()));
                let mut event = IoEvent::default();
                let time = Some(Timespec { sec: 5, nsec: 0 });
                let early = t.getevents(ctx, 1, 1, &raw mut event as usize, time);
                put(w, b"y");
                assert_eq!((early, event.data, submitter.join().unwrap()), (1, 1, 2));
            });
            assert_eq!((t.reap(ctx, 1)[0].data, bytes), (2, [0, b'y']));
        }),
        case!(Linux, "io_submit/nothing_need_be_aligned", "spec 2.5, spec 2.6, spec 2.12", |t| {
            let (null, ctx, page) = (open("/dev/null", libc::O_RDONLY), t.setup(4), pages(1, 1));
            let (iocb, list) = ((page + 101) as *mut Iocb, (page + 1001) as *mut usize);
            unsafe {
                iocb.write_unaligned(Iocb { data: 9, key: 5, ..io(0, null, 0, 0, 0) });
                list.write_unaligned(iocb as usize);
            }
            assert_eq!(t.submit_at(ctx, 1, list as usize), 1);
            let event = t.reap(ctx, 1)[0];
            assert_eq!((event.data, event.obj, unsafe { iocb.read_unaligned() }.key), (9, iocb as u64, 0));
        }),
        case!(Linux, "io_submit/a_refusal_signals_no_eventfd_and_keeps_no_slot", "spec 2.partial.3", |t| {
            let (null, event) = (open("/dev/null", libc::O_RDONLY), eventfd(libc::EFD_NONBLOCK));
            let ctx = t.setup(1);
            for _ in 0..300 {
                assert_eq!(t.submit(ctx, &mut [with_resfd(event, io(1, null, 0, 0, 0))]), EBADF);
                assert_eq!(t.submit(ctx, &mut [with_resfd(event, io(6, null, 0, 0, 0))]), EINVAL);
                assert_eq!(t.submit(ctx, &mut [io(0, -1, 0, 0, 0)]), EBADF);
            }
            assert_eq!((eventfd_count(event), t.look(ctx)), (0, 0));
            assert_eq!(t.submit(ctx, &mut [io(0, null, 0, 0, 0); 100]), 100);
        }),
        case!(Contract, "io_submit/what_was_accepted_is_performed_whatever_follows", "spec 2.partial.4", |t| {
            let (file, ctx) = (scratch(libc::O_RDWR).unwrap(), t.setup(4));
            let write = |text: &'static [u8], at| io(1, file.as_raw_fd(), text.as_ptr() as usize, text.len(), at);
            assert_eq!(
                t.submit(ctx, &mut [write(b"one", 0), write(b"two", 3), write(b"bad", -1), write(b"not", 6)]),
                2
            );
            assert_eq!(t.reap(ctx, 2).iter().map(|e| e.res).sum::<i64>(), 6);
            let mut back = [0u8; 9];
            std::os::unix::fs::FileExt::read_at(&file, &mut back, 0).unwrap();
            assert_eq!(&back, b"onetwoaaa");
        }),
        case!(Linux, "io_submit/array_and_vector_may_be_overwritten_at_once", "spec 2.copy.1", |t| {
            let (file, ctx) = (scratch(libc::O_RDWR).unwrap(), t.setup(4));
            let mut buf = [0u8; 8];
            let mut vector = [Iovec { base: buf.as_mut_ptr() as usize, len: 8 }];
            let mut iocb = io(IOCB_CMD_PREADV, file.as_raw_fd(), vector.as_ptr() as usize, 1, 0);
            let mut list = [&raw mut iocb as usize];
            assert_eq!(t.submit_at(ctx, 1, list.as_ptr() as usize), 1);
            unsafe {
                (&raw mut vector[0]).write_volatile(Iovec { base: BAD, len: usize::MAX });
                (&raw mut list[0]).write_volatile(BAD);
            }
            assert_eq!((t.reap(ctx, 1)[0].res, &buf), (8, b"aaaaaaaa"));
        }),
        case!(
            Linux,
            "io_submit/one_iocb_in_flight_many_times_has_as_many_events",
            "spec 2.copy.3, spec 2.copy.2",
            |t| {
                let ((r, w), ctx) = (pipe(0), t.setup(20));
                let mut iocb = Iocb { data: 3, ..poll(r, libc::POLLIN) };
                let list = [&raw mut iocb as usize; 10];
                assert_eq!(t.submit_at(ctx, 10, list.as_ptr() as usize), 10);
                iocb.data = 4;
                assert_eq!(t.submit_at(ctx, 10, list.as_ptr() as usize), 10);
                put(w, b"x");
                let events = t.reap(ctx, 20);
                assert!(events.iter().all(|e| e.obj == &raw const iocb as u64));
                assert_eq!(events.iter().filter(|e| e.data == 3).count(), 10);
            }
        ),
    ]
}
