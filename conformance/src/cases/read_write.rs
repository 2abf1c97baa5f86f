//! PREAD, PWRITE, PREADV, PWRITEV: spec 2.

use std::os::fd::AsRawFd;

use super::Case;
use crate::case;
use crate::tools::*;
use uaio::abi::*;

const READ: u16 = IOCB_CMD_PREAD;
const WRITE: u16 = IOCB_CMD_PWRITE;

pub fn cases() -> Vec<Case> {
    [refusals(), results()].into_iter().flatten().collect()
}

fn refusals() -> Vec<Case> {
    vec![
        case!(Linux, "rw/priority_is_checked_only_with_the_flag", "spec 2.rw.a, spec 2.rw.a3", |t| {
            let null = open("/dev/null", libc::O_RDWR);
            let with = |prio: i16| Iocb { flags: IOCB_FLAG_IOPRIO, reqprio: prio, ..io(READ, null, 0, 0, 0) };
            assert_eq!(t.refused(with(4)), EINVAL, "class none with a level");
            assert_eq!(t.refused(with((4 << 13) | 1)), EINVAL, "class 4");
            assert_eq!(t.one(with((2 << 13) | 4)), 0);
            assert_eq!(t.one(Iocb { reqprio: -1, ..io(READ, null, 0, 0, 0) }), 0);
        }),
        case!(Linux, "rw/realtime_priority_needs_a_privilege", "spec 2.rw.a2", |t| {
            if unsafe { libc::getuid() } != 0 {
                t.not_applicable("needs root to give it up");
            }
            let null = open("/dev/null", libc::O_RDWR);
            let ctx = t.setup(1);
            unsafe { libc::setuid(65534) };
            let mut iocb = [Iocb { flags: IOCB_FLAG_IOPRIO, reqprio: 1 << 13, ..io(READ, null, 0, 0, 0) }];
            assert_eq!(t.submit(ctx, &mut iocb), EPERM);
        }),
        case!(Linux, "rw/unknown_rwf_bits_are_eopnotsupp", "spec 2.rw.b", |t| {
            let null = open("/dev/null", libc::O_RDWR);
            for bit in [9, 16, 31] {
                assert_eq!(t.refused(Iocb { rw_flags: 1 << bit, ..io(READ, null, 0, 0, 0) }), EOPNOTSUPP);
            }
        }),
        case!(Linux, "rw/append_with_noappend_is_einval", "spec 2.rw.b2", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let flags = RWF_APPEND | RWF_NOAPPEND;
            let iocb = Iocb { rw_flags: flags, ..io(WRITE, file.as_raw_fd(), "x".as_ptr() as usize, 1, 0) };
            assert_eq!(t.refused(iocb), EINVAL);
        }),
        case!(Linux, "rw/atomic_read_is_eopnotsupp", "spec 2.rw.b4", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let mut buf = [0u8; 512];
            let iocb = io(READ, file.as_raw_fd(), buf.as_mut_ptr() as usize, 512, 0);
            assert_eq!(t.refused(Iocb { rw_flags: RWF_ATOMIC, ..iocb }), EOPNOTSUPP);
        }),
        case!(Linux, "rw/hipri_is_accepted_and_dropped", "spec 2.rw.b6", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let mut buf = [0u8; 512];
            let iocb = io(READ, file.as_raw_fd(), buf.as_mut_ptr() as usize, 512, 0);
            assert_eq!(t.one(Iocb { rw_flags: RWF_HIPRI, ..iocb }), 512);
        }),
        case!(Linux, "rw/nowait_on_a_file_without_it_is_eopnotsupp", "spec 2.rw.b3", |t| {
            let fd = open("/proc/self/status", libc::O_RDONLY);
            let mut buf = [0u8; 512];
            let iocb = io(READ, fd, buf.as_mut_ptr() as usize, 512, 0);
            assert_eq!(t.refused(Iocb { rw_flags: RWF_NOWAIT, ..iocb }), EOPNOTSUPP);
        }),
        case!(Contract, "rw/wrong_mode_is_ebadf", "spec 2.rw.c, spec 2.rw.c2", |t| {
            let (read_only, write_only) = (scratch(libc::O_RDONLY).unwrap(), scratch(libc::O_WRONLY).unwrap());
            let mut buf = [0u8; 8];
            let at = buf.as_mut_ptr() as usize;
            assert_eq!(t.refused(io(WRITE, read_only.as_raw_fd(), at, 8, 0)), EBADF);
            assert_eq!(t.refused(io(READ, write_only.as_raw_fd(), at, 8, 0)), EBADF);
            let both = Iocb { rw_flags: 1 << 20, ..io(WRITE, read_only.as_raw_fd(), at, 8, 0) };
            assert_eq!(t.refused(both), EOPNOTSUPP, "flags come first");
        }),
        case!(Linux, "rw/file_without_iterator_is_einval", "spec 2.rw.d", |t| {
            let mut buf = [0u8; 64];
            let at = buf.as_mut_ptr() as usize;
            assert_eq!(t.refused(io(READ, open("/", libc::O_RDONLY), at, 8, 0)), EINVAL, "directory");
            assert_eq!(t.refused(io(WRITE, eventfd(0), at, 8, 0)), EINVAL, "write to an eventfd");
            assert_eq!(t.refused(io(WRITE, open("/dev/full", libc::O_RDWR), at, 8, 0)), EINVAL, "/dev/full");
            let epoll = unsafe { libc::epoll_create1(0) };
            assert_eq!(t.refused(io(READ, epoll, at, 8, 0)), EINVAL, "epoll");
        }),
        case!(Linux, "rw/buffer_beyond_user_memory_is_efault_even_if_empty", "spec 2.rw.e", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let fd = file.as_raw_fd();
            assert_eq!(t.refused(io(READ, fd, 0xffff_8000_0000_0000, 8, 0)), EFAULT);
            assert_eq!(t.refused(io(READ, fd, 0xffff_8000_0000_0000, 0, 0)), EFAULT);
            assert_eq!(t.refused(io(WRITE, fd, usize::MAX, 1, 0)), EFAULT);
        }),
        case!(Linux, "rw/vector_refusals", "spec 2.rw.e2, spec 2.rw.e3, spec 2.rw.e4, spec 2.rw.e5", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let fd = file.as_raw_fd();
            let one = |base: usize, len: usize| [Iovec { base, len }];
            let v = |list: &[Iovec], count: usize| {
                t.refused(io(IOCB_CMD_PREADV, fd, list.as_ptr() as usize, count, 0))
            };
            assert_eq!(v(&one(0, 0), 1025), EINVAL);
            assert_eq!(t.refused(io(IOCB_CMD_PREADV, fd, BAD, 1, 0)), EFAULT);
            assert_eq!(v(&one(0, usize::MAX), 1), EINVAL);
            assert_eq!(v(&one(0xffff_8000_0000_0000, 0), 1), EFAULT);
        }),
        case!(Linux, "rw/negative_offset_is_einval_on_any_file", "spec 2.rw.f", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let (r, w) = pipe(0);
            let mut buf = [0u8; 8];
            let at = buf.as_mut_ptr() as usize;
            for offset in [-1, -2, i64::MIN] {
                assert_eq!(t.refused(io(READ, file.as_raw_fd(), at, 8, offset)), EINVAL);
                assert_eq!(t.refused(io(READ, r, at, 8, offset)), EINVAL);
                assert_eq!(t.refused(io(WRITE, w, at, 8, offset)), EINVAL);
                let append = Iocb { rw_flags: RWF_APPEND, ..io(WRITE, file.as_raw_fd(), at, 8, offset) };
                assert_eq!(t.refused(append), EINVAL);
            }
        }),
        case!(Linux, "rw/offset_plus_length_that_overflows_is_einval", "spec 2.rw.f2", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let mut buf = [0u8; 8];
            assert_eq!(t.refused(io(READ, file.as_raw_fd(), buf.as_mut_ptr() as usize, 8, i64::MAX)), EINVAL);
        }),
    ]
}

fn results() -> Vec<Case> {
    vec![
        case!(Contract, "rw/reads_and_writes_where_it_is_told", "spec 2.data.18, io_submit(2)", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let fd = file.as_raw_fd();
            assert_eq!(t.one(io(WRITE, fd, b"hello".as_ptr() as usize, 5, 100)), 5);
            let mut buf = [0u8; 7];
            assert_eq!(t.one(io(READ, fd, buf.as_mut_ptr() as usize, 7, 99)), 7);
            assert_eq!(&buf, b"ahelloa");
            assert_eq!(unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) }, 0, "the position has moved");
        }),
        case!(Contract, "rw/end_of_file_is_short_or_0", "spec 2.data.1", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let mut buf = [0u8; 512];
            let at = buf.as_mut_ptr() as usize;
            assert_eq!(t.one(io(READ, file.as_raw_fd(), at, 512, 8192 - 100)), 100);
            assert_eq!(t.one(io(READ, file.as_raw_fd(), at, 512, 8192)), 0);
            assert_eq!(t.one(io(READ, file.as_raw_fd(), at, 512, 1 << 40)), 0);
            assert_eq!(t.one(io(READ, file.as_raw_fd(), 0, 0, 0)), 0);
        }),
        case!(Linux, "rw/bad_buffer_is_an_efault_event", "spec 2.event.1", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            assert_eq!(t.one(io(READ, file.as_raw_fd(), BAD, 512, 0)), EFAULT as i64);
            assert_eq!(t.one(io(WRITE, file.as_raw_fd(), BAD, 512, 0)), EFAULT as i64);
        }),
        case!(Linux, "rw/half_a_buffer_gives_bytes_up_to_the_hole", "spec 2.data.3", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let page = pages(2, 1);
            assert_eq!(t.one(io(READ, file.as_raw_fd(), page + 4096 - 1000, 2000, 0)), 1000);
        }),
        case!(Linux, "rw/vectors_with_bad_pieces", "spec 2.data.4, spec 2.rw.e6", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let mut buf = [0u8; 100];
            let good = Iovec { base: buf.as_mut_ptr() as usize, len: 100 };
            let bad = Iovec { base: BAD, len: 100 };
            let v = |list: &[Iovec]| {
                t.one(io(IOCB_CMD_PREADV, file.as_raw_fd(), list.as_ptr() as usize, list.len(), 0))
            };
            assert_eq!(v(&[bad, good]), EFAULT as i64);
            assert_eq!(v(&[good, bad]), 100);
            assert_eq!(v(&[]), 0);
        }),
        case!(Linux, "rw/lengths_over_the_maximum_are_cut", "spec 2.data.2", |t| {
            let null = open("/dev/null", libc::O_WRONLY);
            let page = pages(1, 1);
            let zero = open("/dev/null", libc::O_RDONLY);
            assert_eq!(t.one(io(WRITE, null, page, 1 << 40, 0)), 0x7fff_f000);
            assert_eq!(t.one(io(READ, zero, page, 1 << 40, 0)), 0);
        }),
        case!(Contract, "rw/direct_data_comes_back_vectored_too", "io_submit(2)", |t| {
            let Some(file) = scratch(libc::O_RDWR | libc::O_DIRECT) else { t.not_applicable("no O_DIRECT here") };
            let (out, back) = (pages(2, 2), pages(2, 2));
            unsafe { std::ptr::write_bytes(out as *mut u8, 7, 8192) };
            let v = |p: usize| [Iovec { base: p + 4096, len: 4096 }, Iovec { base: p, len: 4096 }];
            let (w, r) = (v(out), v(back));
            assert_eq!(t.one(io(IOCB_CMD_PWRITEV, file.as_raw_fd(), w.as_ptr() as usize, 2, 0)), 8192);
            assert_eq!(t.one(io(IOCB_CMD_PREADV, file.as_raw_fd(), r.as_ptr() as usize, 2, 0)), 8192);
            assert!(unsafe { std::slice::from_raw_parts(back as *const u8, 8192) }.iter().all(|b| *b == 7));
        }),
        case!(Contract, "rw/append_goes_to_the_end", "spec 2.data.16, spec 2.data.17", |t| {
            let file = scratch(libc::O_RDWR | libc::O_APPEND).unwrap();
            let plain = scratch(libc::O_RDWR).unwrap();
            let x = b"xyz".as_ptr() as usize;
            assert_eq!(t.one(io(WRITE, file.as_raw_fd(), x, 3, 0)), 3);
            assert_eq!(file.metadata().unwrap().len(), 8195);
            assert_eq!(t.one(Iocb { rw_flags: RWF_APPEND, ..io(WRITE, plain.as_raw_fd(), x, 3, 0) }), 3);
            assert_eq!(plain.metadata().unwrap().len(), 8195);
            let over = Iocb { rw_flags: RWF_NOAPPEND, ..io(WRITE, file.as_raw_fd(), x, 3, 0) };
            assert_eq!(t.one(over), 3);
            assert_eq!(file.metadata().unwrap().len(), 8195);
        }),
        case!(Contract, "rw/dsync_and_sync_are_accepted", "spec 0.8, pwritev2(2)", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            for flags in [RWF_DSYNC, RWF_SYNC] {
                let write = io(WRITE, file.as_raw_fd(), b"x".as_ptr() as usize, 1, 0);
                assert_eq!(t.one(Iocb { rw_flags: flags, ..write }), 1);
            }
        }),
        case!(Linux, "rw/nowait_buffered_write_on_ext4_is_an_eopnotsupp_event", "spec 2.event.10", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let mut fs: libc::statfs = unsafe { std::mem::zeroed() };
            unsafe { libc::fstatfs(file.as_raw_fd(), &mut fs) };
            if fs.f_type as i64 != 0xef53 {
                t.not_applicable("not ext4");
            }
            let write = io(WRITE, file.as_raw_fd(), b"x".as_ptr() as usize, 1, 0);
            assert_eq!(t.one(Iocb { rw_flags: RWF_NOWAIT, ..write }), EOPNOTSUPP as i64);
        }),
        case!(Linux, "rw/buffered_events_are_there_when_io_submit_returns", "spec 2.done.1", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let ctx = t.setup(4);
            let mut buf = [0u8; 512];
            let at = buf.as_mut_ptr() as usize;
            let mut both = [io(WRITE, file.as_raw_fd(), at, 512, 0), io(READ, file.as_raw_fd(), at, 512, 0)];
            assert_eq!(t.submit(ctx, &mut both), 2);
            assert_eq!(t.look(ctx), 2);
        }),
        case!(Linux, "rw/file_size_limit_is_an_efbig_event", "spec 2.event.3", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            unsafe {
                libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
                let limit = libc::rlimit { rlim_cur: 8192, rlim_max: 8192 };
                libc::setrlimit(libc::RLIMIT_FSIZE, &limit);
            }
            assert_eq!(t.one(io(WRITE, file.as_raw_fd(), b"x".as_ptr() as usize, 1, 8192)), -27);
        }),
    ]
}
