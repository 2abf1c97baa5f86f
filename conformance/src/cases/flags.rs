//! Priorities, RWF flags, and files that lack what a request needs: spec 2.

use std::os::fd::AsRawFd;
use std::time::Duration;

use super::Case;
use crate::case;
use crate::case::Run;
use crate::tools::*;
use uaio::abi::*;

const READ: u16 = IOCB_CMD_PREAD;
const WRITE: u16 = IOCB_CMD_PWRITE;
/// Attempts to find a file out of memory.
const TRIES: u64 = 1000;

pub fn cases() -> Vec<Case> {
    [priorities(), rwf(), iterators(), modes()].into_iter().flatten().collect()
}

fn with_priority(reqprio: i16, iocb: Iocb) -> Iocb {
    Iocb { flags: IOCB_FLAG_IOPRIO, reqprio, ..iocb }
}

fn priorities() -> Vec<Case> {
    vec![
        case!(Linux, "priority/every_class_and_level", "spec 2.rw.a, spec 2.rw.a4, ioprio_set(2)", |t| {
            let (null, ctx) = (open("/dev/null", libc::O_RDWR), t.setup(4));
            let is_root = unsafe { libc::geteuid() } == 0;
            for prio in 0..=u16::MAX {
                let (class, level) = (prio >> 13, prio & 7);
                let want = match class {
                    0 if level != 0 => EINVAL,
                    1 if !is_root => continue,
                    0..=3 => 1,
                    _ => EINVAL,
                };
                let got = t.submit(ctx, &mut [with_priority(prio as i16, io(READ, null, 0, 0, 0))]);
                assert_eq!(got, want, "class {class}, level {level}, all {prio:#x}");
                assert_eq!(t.look(ctx), got.max(0));
            }
        }),
        case!(Linux, "priority/is_judged_for_each_transfer", "spec 2.rw.a", |t| {
            let null = open("/dev/null", libc::O_RDWR);
            for op in [0, 1, 7, 8] {
                assert_eq!(t.refused(with_priority(4 << 13, io(op, null, 0, 0, 0))), EINVAL, "opcode {op}");
                assert_eq!(t.one(with_priority(3 << 13, io(op, null, 0, 0, 0))), 0, "opcode {op}");
            }
        }),
        case!(Linux, "priority/is_nothing_to_poll", "spec 2.rw.a", |t| {
            let null = open("/dev/null", libc::O_RDWR);
            assert_eq!(t.one(with_priority(-1, poll(null, libc::POLLIN))), libc::POLLIN as i64);
        }),
        case!(Linux, "priority/without_the_flag_is_ignored", "spec 2.rw.a3", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let mut buf = [0u8; 8];
            for reqprio in [1, 4 << 13, 1 << 13, -1, i16::MIN] {
                for op in [READ, WRITE] {
                    let iocb = io(op, file.as_raw_fd(), buf.as_mut_ptr() as usize, 8, 0);
                    assert_eq!(t.one(Iocb { reqprio, ..iocb }), 8);
                }
            }
        }),
        case!(Linux, "priority/a_valid_one_is_no_hindrance_to_direct_io", "spec 2.rw.a", |t| {
            let Some(file) = scratch(libc::O_RDWR | libc::O_DIRECT) else { t.not_applicable("no O_DIRECT here") };
            let page = pages(1, 1);
            for prio in [0, 2 << 13 | 7, 2 << 13, 3 << 13] {
                assert_eq!(
                    t.one(with_priority(prio, io(READ, file.as_raw_fd(), page, 4096, 0))),
                    4096,
                    "{prio:#x}"
                );
                assert_eq!(
                    t.one(with_priority(prio, io(WRITE, file.as_raw_fd(), page, 4096, 0))),
                    4096,
                    "{prio:#x}"
                );
            }
        }),
    ]
}

/// What preadv2 or pwritev2 says to one byte with these flags.
fn by_call(op: u16, fd: i32, flags: u32) -> isize {
    let mut byte = 0u8;
    let iov = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let ret = unsafe {
        let at = if libc::lseek(fd, 0, libc::SEEK_CUR) == 0 { 0 } else { -1 };
        match op {
            READ => libc::preadv2(fd, &iov, 1, at, flags as i32),
            _ => libc::pwritev2(fd, &iov, 1, at, flags as i32),
        }
    };
    if ret < 0 { -(std::io::Error::last_os_error().raw_os_error().unwrap() as isize) } else { ret }
}

/// One byte with these flags at 0: the refusal or the event's result, and whether it was refused.
fn outcome(t: &Run, op: u16, fd: i32, flags: u32) -> (i64, bool) {
    let (mut byte, ctx) = (0u8, t.setup(4));
    match t.submit(ctx, &mut [Iocb { rw_flags: flags, ..io(op, fd, &raw mut byte as usize, 1, 0) }]) {
        1 => (t.reap(ctx, 1)[0].res, false),
        refused => (refused as i64, true),
    }
}

fn rwf() -> Vec<Case> {
    vec![
        case!(Linux, "flags/each_unknown_bit_is_eopnotsupp", "spec 2.rw.b", |t| {
            let (null, ctx) = (open("/dev/null", libc::O_RDWR), t.setup(4));
            for op in [0, 1, 7, 8] {
                for bit in 9..32 {
                    let iocb = Iocb { rw_flags: 1 << bit, ..io(op, null, 0, 0, 0) };
                    assert_eq!(t.submit(ctx, &mut [iocb]), EOPNOTSUPP, "opcode {op}, bit {bit}");
                }
            }
        }),
        case!(Linux, "flags/hipri_is_dropped_for_every_transfer_and_file", "spec 2.rw.b6", |t| {
            let (r, w) = pipe(0);
            put(w, b"x");
            let file = scratch(libc::O_RDWR).unwrap();
            for (op, fd) in [(READ, r), (WRITE, w), (READ, file.as_raw_fd()), (WRITE, file.as_raw_fd())] {
                assert_eq!(outcome(t, op, fd, RWF_HIPRI), (1, false), "opcode {op}, fd {fd}");
            }
        }),
        case!(
            Linux,
            "flags/atomic_write_is_refused_where_pwritev2_refuses_it",
            "spec 2.rw.b4, pwritev2(2)",
            |t| {
                let file = scratch(libc::O_RDWR).unwrap();
                let (_r, w) = pipe(0);
                for fd in [file.as_raw_fd(), w, open("/dev/null", libc::O_RDWR)] {
                    assert_eq!(by_call(WRITE, fd, RWF_ATOMIC), EOPNOTSUPP);
                    assert_eq!(outcome(t, WRITE, fd, RWF_ATOMIC), (EOPNOTSUPP as i64, true));
                }
                assert_eq!(file.metadata().unwrap().len(), 8192);
            }
        ),
        case!(Linux, "flags/dontcache_is_refused_where_preadv2_refuses_it", "spec 2.rw.b5, preadv2(2)", |t| {
            let (file, memory) =
                (scratch(libc::O_RDWR).unwrap(), unsafe { libc::memfd_create(c"case".as_ptr(), 0) });
            put(memory, b"x");
            let refused = EOPNOTSUPP as i64;
            for op in [READ, WRITE] {
                let has_it = by_call(op, file.as_raw_fd(), RWF_DONTCACHE) == 1;
                let want = if has_it { (1, false) } else { (refused, true) };
                assert_eq!(outcome(t, op, file.as_raw_fd(), RWF_DONTCACHE), want, "opcode {op}");
                assert_eq!(outcome(t, op, memory, RWF_DONTCACHE), (refused, true), "opcode {op}");
                assert_eq!(outcome(t, op, open("/dev/null", libc::O_RDWR), RWF_DONTCACHE), (refused, true));
            }
        }),
        case!(Linux, "flags/nowait_is_refused_where_preadv2_refuses_it", "spec 2.rw.b3, preadv2(2)", |t| {
            let opened =
                ["/proc/self/status", "/proc/version", "/dev/null", "/dev/zero", "/dev/urandom", "/dev/full"]
                    .map(|path| open(path, libc::O_RDONLY));
            let file = scratch(libc::O_RDWR).unwrap();
            let (_master, slave) = terminal();
            for fd in opened.into_iter().chain([file.as_raw_fd(), slave]) {
                let refused = by_call(READ, fd, RWF_NOWAIT) == EOPNOTSUPP;
                let got = outcome(t, READ, fd, RWF_NOWAIT);
                assert_eq!(got.1, refused, "{:?}: {}", std::fs::read_link(format!("/proc/self/fd/{fd}")), got.0);
            }
        }),
        case!(Linux, "flags/nowait_reads_what_is_in_memory", "spec 2.rw.b3, preadv2(2)", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            if by_call(READ, file.as_raw_fd(), RWF_NOWAIT) != 1 {
                t.not_applicable("the file system has no RWF_NOWAIT");
            }
            assert_eq!(outcome(t, READ, file.as_raw_fd(), RWF_NOWAIT), (1, false));
        }),
        case!(Linux, "flags/nowait_and_not_in_memory_is_an_eagain_event", "spec 2.rw.b3, preadv2(2)", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let fd = file.as_raw_fd();
            let (mut byte, ctx) = (0u8, t.setup(4));
            let iocb = Iocb { rw_flags: RWF_NOWAIT, ..io(READ, fd, &raw mut byte as usize, 1, 0) };
            // The attempt starts reading ahead, so that the next one may succeed. A page that somebody looks at stays.
            let answers = |attempt: &dyn Fn() -> i64| {
                let answer = |before: u64| {
                    std::thread::sleep(Duration::from_micros(before));
                    file.sync_all().unwrap();
                    unsafe { libc::posix_fadvise(fd, 0, 0, libc::POSIX_FADV_DONTNEED) };
                    attempt()
                };
                (0..TRIES).map(answer).take_while(|answer| *answer != EAGAIN as i64).collect::<Vec<i64>>()
            };
            if answers(&|| by_call(READ, fd, RWF_NOWAIT) as i64).len() as u64 == TRIES {
                t.not_applicable("the file stays in memory");
            }
            let others = answers(&|| t.one_in(ctx, iocb));
            assert!((others.len() as u64) < TRIES, "{others:?}");
        }),
        case!(Linux, "flags/a_write_past_the_cache_comes_after_a_read_from_the_disk", "spec 2.done.6", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let fd = file.as_raw_fd();
            if by_call(WRITE, fd, RWF_DONTCACHE) != 1 {
                t.not_applicable("the file system has no RWF_DONTCACHE");
            }
            let (ctx, new) = (t.setup(4), vec![b'n'; 65536]);
            for round in 0..20 {
                let mut back = vec![0u8; 65536];
                std::os::unix::fs::FileExt::write_at(&file, &[b'o'; 65536], 0).unwrap();
                file.sync_all().unwrap();
                unsafe { libc::posix_fadvise(fd, 0, 0, libc::POSIX_FADV_DONTNEED) };
                let write = Iocb { rw_flags: RWF_DONTCACHE, ..io(WRITE, fd, new.as_ptr() as usize, 65536, 0) };
                assert_eq!(t.submit(ctx, &mut [io(READ, fd, back.as_mut_ptr() as usize, 65536, 0), write]), 2);
                assert!(t.reap(ctx, 2).iter().all(|event| event.res == 65536));
                assert!(back.iter().all(|byte| *byte == b'o'), "round {round}: the read has seen the later write");
            }
        }),
        case!(Linux, "flags/synchronous_writes_of_each_kind", "spec 0.8, pwritev2(2)", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            for op in [READ, WRITE] {
                for flags in
                    [RWF_DSYNC, RWF_SYNC, RWF_DSYNC | RWF_SYNC, RWF_SYNC | RWF_APPEND, RWF_DSYNC | RWF_HIPRI]
                {
                    assert_eq!(
                        outcome(t, op, file.as_raw_fd(), flags),
                        (1, false),
                        "opcode {op}, flags {flags:#x}"
                    );
                }
            }
        }),
        case!(
            Quirk,
            "flags/what_a_file_lacks_comes_before_its_mode_and_the_offset",
            "spec 2.rw.b3, spec 2.rw.b4, spec 2.rw.c2",
            |t| {
                let status = open("/proc/self/status", libc::O_RDONLY);
                let with = |rw_flags: u32, iocb: Iocb| t.refused(Iocb { rw_flags, ..iocb });
                assert_eq!(with(RWF_NOWAIT, io(WRITE, status, 0, 0, 0)), EOPNOTSUPP);
                assert_eq!(with(RWF_NOWAIT, io(READ, status, 0, 0, -1)), EOPNOTSUPP);
                let write_only = open("/dev/null", libc::O_WRONLY);
                assert_eq!(with(RWF_ATOMIC, io(READ, write_only, 0, 0, -1)), EOPNOTSUPP);
            }
        ),
        case!(
            Quirk,
            "flags/atomic_and_dontcache_that_a_file_lacks_come_before_its_mode_and_the_offset",
            "spec 2.rw.b4, spec 2.rw.b5, spec 2.rw.c2",
            |t| {
                let (read, both) = (open("/dev/null", libc::O_RDONLY), open("/dev/null", libc::O_RDWR));
                for flag in [RWF_ATOMIC, RWF_DONTCACHE] {
                    let with = |iocb: Iocb| t.refused(Iocb { rw_flags: flag, ..iocb });
                    assert_eq!(with(io(WRITE, read, 0, 0, 0)), EOPNOTSUPP, "mode, flag {flag:#x}");
                    assert_eq!(with(io(WRITE, both, 0, 0, -1)), EOPNOTSUPP, "offset, flag {flag:#x}");
                    assert_eq!(with(io(WRITE, both, usize::MAX, 1, 0)), EOPNOTSUPP, "buffer, flag {flag:#x}");
                }
            }
        ),
    ]
}

/// The master and the slave of a pseudo-terminal.
fn terminal() -> (i32, i32) {
    let (mut master, mut slave) = (0, 0);
    let null = std::ptr::null_mut();
    let ret = unsafe { libc::openpty(&mut master, &mut slave, null, std::ptr::null(), std::ptr::null()) };
    assert_eq!(ret, 0);
    (master, slave)
}

fn iterators() -> Vec<Case> {
    vec![
        case!(Linux, "rw/files_of_proc_without_iterator_are_einval", "spec 2.rw.d", |t| {
            let mut buf = [0u8; 64];
            let list = [Iovec { base: buf.as_mut_ptr() as usize, len: 64 }];
            for path in ["/proc/self/status", "/proc/self/mem"] {
                let fd = open(path, libc::O_RDONLY);
                assert_eq!(t.refused(io(READ, fd, list[0].base, 64, 0)), EINVAL, "{path}");
                assert_eq!(t.refused(io(IOCB_CMD_PREADV, fd, list.as_ptr() as usize, 1, 0)), EINVAL, "{path}");
                assert_eq!(t.refused(io(READ, fd, 0, 0, 0)), EINVAL, "{path}");
            }
            let memory = open("/proc/self/mem", libc::O_RDWR);
            assert_eq!(t.refused(io(WRITE, memory, list[0].base, 64, 0)), EINVAL);
        }),
        case!(Linux, "rw/files_of_proc_and_sys_with_iterator_are_read", "spec 2.rw.d", |t| {
            let mut buf = [0u8; 4096];
            for path in ["/proc/version", "/sys/devices/system/cpu/possible"] {
                let n = t.one(io(READ, open(path, libc::O_RDONLY), buf.as_mut_ptr() as usize, 4096, 0));
                assert!(n > 0, "{path}: {n}");
                assert_eq!(&buf[..n as usize], std::fs::read(path).unwrap(), "{path}");
            }
        }),
        case!(Linux, "rw/devices_of_memory", "spec 2.rw.d, null(4), full(4)", |t| {
            let mut buf = [7u8; 64];
            let at = buf.as_mut_ptr() as usize;
            let open = |path: &str| open(path, libc::O_RDWR);
            for path in ["/dev/zero", "/dev/full"] {
                buf.fill(7);
                assert_eq!((t.one(io(READ, open(path), at, 64, 1000)), buf), (64, [0; 64]), "{path}");
            }
            assert_eq!(t.one(io(READ, open("/dev/urandom"), at, 64, 0)), 64);
            assert_eq!(
                (t.one(io(READ, open("/dev/null"), at, 64, 0)), t.one(io(WRITE, open("/dev/zero"), at, 64, 0))),
                (0, 64)
            );
            assert_eq!(t.refused(io(IOCB_CMD_PWRITEV, open("/dev/full"), at, 1, 0)), EINVAL);
        }),
        case!(Linux, "rw/a_directory_is_einval_for_every_read", "spec 2.rw.d", |t| {
            let dir = open("/", libc::O_RDONLY | libc::O_DIRECTORY);
            assert_eq!([READ, IOCB_CMD_PREADV].map(|op| t.refused(io(op, dir, 0, 0, 0))), [EINVAL; 2]);
        }),
        case!(Linux, "rw/a_file_in_memory_is_a_file", "spec 2.rw.d, memfd_create(2)", |t| {
            let fd = unsafe { libc::memfd_create(c"case".as_ptr(), 0) };
            let mut buf = [0u8; 8];
            assert_eq!(t.one(io(WRITE, fd, b"memory".as_ptr() as usize, 6, 10_000)), 6);
            assert_eq!(t.one(io(READ, fd, buf.as_mut_ptr() as usize, 8, 9_999)), 7);
            assert_eq!(&buf, b"\0memory\0");
        }),
    ]
}

fn modes() -> Vec<Case> {
    vec![
        case!(Contract, "rw/the_wrong_end_of_a_pipe_is_ebadf", "spec 2.rw.c, io_submit(2) EBADF", |t| {
            let (r, w) = pipe(0);
            for (write, read) in [(WRITE, READ), (IOCB_CMD_PWRITEV, IOCB_CMD_PREADV)] {
                assert_eq!((t.refused(io(write, r, 0, 0, 0)), t.refused(io(read, w, 0, 0, 0))), (EBADF, EBADF));
            }
        }),
        case!(Linux, "rw/wrong_mode_is_ebadf_for_vectors_too", "spec 2.rw.c", |t| {
            let (read, write) = (scratch(libc::O_RDONLY).unwrap(), scratch(libc::O_WRONLY).unwrap());
            assert_eq!(t.refused(io(IOCB_CMD_PWRITEV, read.as_raw_fd(), 0, 0, 0)), EBADF);
            assert_eq!(t.refused(io(IOCB_CMD_PREADV, write.as_raw_fd(), 0, 0, 0)), EBADF);
            assert_eq!(t.one(io(IOCB_CMD_PREADV, read.as_raw_fd(), 0, 0, 0)), 0);
            assert_eq!(t.one(io(IOCB_CMD_PWRITEV, write.as_raw_fd(), 0, 0, 0)), 0);
        }),
        case!(Quirk, "rw/a_file_open_for_neither_is_ebadf_for_both", "spec 2.rw.c, open(2)", |t| {
            let fd = open("/dev/null", libc::O_ACCMODE);
            assert!(fd >= 0);
            assert_eq!((t.refused(io(READ, fd, 0, 0, 0)), t.refused(io(WRITE, fd, 0, 0, 0))), (EBADF, EBADF));
        }),
    ]
}
