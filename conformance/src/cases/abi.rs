//! Numbers and layouts: spec 0.

use std::os::fd::AsRawFd;

use super::Case;
use crate::case;
use crate::case::Run;
use crate::tools::*;
use uaio::abi::*;

pub fn cases() -> Vec<Case> {
    [numbers(), layouts(), mapping()].into_iter().flatten().collect()
}

fn numbers() -> Vec<Case> {
    vec![
        case!(Contract, "abi/call_numbers_are_the_systems", "spec 0.1, spec 0.2, syscalls(2)", |_| {
            let ours =
                [nr::IO_SETUP, nr::IO_DESTROY, nr::IO_GETEVENTS, nr::IO_SUBMIT, nr::IO_CANCEL, nr::IO_PGETEVENTS];
            let theirs = [
                libc::SYS_io_setup,
                libc::SYS_io_destroy,
                libc::SYS_io_getevents,
                libc::SYS_io_submit,
                libc::SYS_io_cancel,
                if cfg!(target_arch = "x86_64") { 333 } else { 292 },
            ];
            assert_eq!(ours.map(|n| n as libc::c_long), theirs);
        }),
        case!(Contract, "abi/opcodes_do_what_their_numbers_say", "spec 0.6, io_submit(2)", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let fd = file.as_raw_fd();
            let mut back = [0u8; 4];
            let ctx = t.setup(4);
            let at = back.as_mut_ptr() as usize;
            assert_eq!(t.one_in(ctx, io(1, fd, b"plain".as_ptr() as usize, 5, 0)), 5);
            assert_eq!(t.one_in(ctx, io(0, fd, at, 4, 1)), 4);
            assert_eq!(&back, b"lain");
            let put = [Iovec { base: b"abcd".as_ptr() as usize, len: 4 }];
            let get = [Iovec { base: at + 2, len: 2 }, Iovec { base: at, len: 2 }];
            assert_eq!(t.one_in(ctx, io(8, fd, put.as_ptr() as usize, 1, 0)), 4);
            assert_eq!(t.one_in(ctx, io(7, fd, get.as_ptr() as usize, 2, 0)), 4);
            assert_eq!(&back, b"cdab");
            assert_eq!((t.one_in(ctx, sync(2, fd)), t.one_in(ctx, sync(3, fd))), (0, 0));
            assert_eq!(t.one_in(ctx, Iocb { buf: libc::POLLIN as u64, ..sync(5, fd) }), libc::POLLIN as i64);
        }),
        case!(Linux, "abi/flag_bit_0_is_resfd_and_bit_1_is_priority", "spec 0.7", |t| {
            let null = open("/dev/null", libc::O_RDONLY);
            let ctx = t.setup(4);
            let event = eventfd(libc::EFD_NONBLOCK);
            let with = |flags: u32| Iocb { flags, reqprio: 4, resfd: event as u32, ..io(0, null, 0, 0, 0) };
            assert_eq!((t.one_in(ctx, with(0)), eventfd_count(event)), (0, 0));
            assert_eq!((t.one_in(ctx, with(1)), eventfd_count(event)), (0, 1));
            assert_eq!((t.submit(ctx, &mut [with(2)]), eventfd_count(event)), (EINVAL, 0));
            for bit in 2..32 {
                assert_eq!((t.one_in(ctx, with(1 << bit)), eventfd_count(event)), (0, 0), "bit {bit}");
            }
        }),
        case!(Linux, "abi/rwf_bits_are_taken_as_pwritev2_takes_them", "spec 0.8, pwritev2(2)", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let ctx = t.setup(4);
            for bit in 0..32 {
                for op in [IOCB_CMD_PREAD, IOCB_CMD_PWRITE] {
                    assert_eq!(
                        answer(t, ctx, op, file.as_raw_fd(), 1 << bit),
                        by_call(op, file.as_raw_fd(), 1 << bit),
                        "opcode {op}, bit {bit}"
                    );
                }
            }
        }),
        case!(Linux, "abi/key_is_what_io_cancel_demands", "spec 0.9", |t| {
            let (r, w) = pipe(0);
            let ctx = t.setup(4);
            let mut iocb = Iocb { key: u32::MAX, ..poll(r, libc::POLLIN) };
            let list = [&raw mut iocb];
            assert_eq!(t.submit_at(ctx, 1, list.as_ptr() as usize), 1);
            assert_eq!(iocb.key, 0);
            assert_eq!(t.cancel(ctx, &raw mut iocb), EINPROGRESS);
            put(w, b"x");
            assert_eq!(t.reap(ctx, 1)[0].res, 0);
        }),
    ]
}

/// What one byte with these flags is answered: by io_submit or, if that takes it, by the event.
fn answer(t: &Run, ctx: usize, op: u16, fd: i32, flags: u32) -> i64 {
    let mut byte = 0u8;
    let iocb = Iocb { rw_flags: flags, ..io(op, fd, &raw mut byte as usize, 1, 0) };
    match t.submit(ctx, &mut [iocb]) {
        1 => t.reap(ctx, 1)[0].res,
        refused => refused as i64,
    }
}

fn by_call(op: u16, fd: i32, flags: u32) -> i64 {
    let mut byte = 0u8;
    let iov = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let ret = unsafe {
        match op {
            IOCB_CMD_PREAD => libc::preadv2(fd, &iov, 1, 0, flags as i32),
            _ => libc::pwritev2(fd, &iov, 1, 0, flags as i32),
        }
    };
    if ret < 0 { -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap()) } else { ret as i64 }
}

fn layouts() -> Vec<Case> {
    vec![
        case!(Contract, "abi/iocb_fields_stand_where_the_header_says", "spec 0.4, io_submit(2)", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let ctx = t.setup(4);
            let (mut buf, event) = ([0u8; 8], eventfd(0));
            std::os::unix::fs::FileExt::write_at(&file, b"position", 3).unwrap();
            let mut good = [0u8; 64];
            good[..8].copy_from_slice(&7u64.to_ne_bytes());
            good[20..24].copy_from_slice(&file.as_raw_fd().to_ne_bytes());
            good[24..32].copy_from_slice(&(buf.as_mut_ptr() as u64).to_ne_bytes());
            good[32..40].copy_from_slice(&8u64.to_ne_bytes());
            good[40..48].copy_from_slice(&3u64.to_ne_bytes());
            good[56..60].copy_from_slice(&1u32.to_ne_bytes());
            good[60..64].copy_from_slice(&event.to_ne_bytes());
            assert_eq!(submit_bytes(t, ctx, &mut good.clone()), 1);
            let done = t.reap(ctx, 1)[0];
            assert_eq!((done.data, done.res, eventfd_count(event), &buf), (7, 8, 1, b"position"));
            let rw_flags = if cfg!(target_endian = "little") { 12 } else { 8 };
            let changed = |at: usize, bytes: &[u8], flags: u8| {
                let mut iocb = good;
                iocb[at..at + bytes.len()].copy_from_slice(bytes);
                iocb[56..60].copy_from_slice(&u32::from(flags).to_ne_bytes());
                submit_bytes(t, ctx, &mut iocb)
            };
            assert_eq!(changed(rw_flags, &(1u32 << 9).to_ne_bytes(), 0), EOPNOTSUPP, "rw_flags");
            assert_eq!(changed(16, &6u16.to_ne_bytes(), 0), EINVAL, "opcode");
            assert_eq!(changed(18, &4u16.to_ne_bytes(), 2), EINVAL, "reqprio");
            assert_eq!(changed(48, &1u64.to_ne_bytes(), 0), EINVAL, "reserved2");
        }),
        case!(
            Contract,
            "abi/an_event_is_four_words_of_64_bits",
            "spec 0.5, spec 2.copy.2, io_getevents(2)",
            |t| {
                let null = open("/dev/null", libc::O_WRONLY);
                let ctx = t.setup(4);
                let data = [u64::MAX, 0, 0x0123_4567_89ab_cdef];
                let mut iocbs = data.map(|data| Iocb { data, ..io(IOCB_CMD_PWRITE, null, pages(1, 1), 9, 0) });
                assert_eq!(t.submit(ctx, &mut iocbs), 3);
                let mut words = [0xaaaa_aaaa_aaaa_aaaau64; 13];
                assert_eq!(t.getevents(ctx, 3, 3, words.as_mut_ptr() as usize, None), 3);
                for i in 0..3 {
                    let want = [data[i], &raw const iocbs[i] as u64, 9, 0];
                    assert_eq!(words[i * 4..i * 4 + 4], want);
                }
                assert_eq!(words[12], 0xaaaa_aaaa_aaaa_aaaa, "behind the last event");
            }
        ),
        case!(Linux, "abi/res2_is_0_and_res_has_all_its_bits", "spec 2.done.5, spec 0.5", |t| {
            let (null, ctx) = (open("/dev/null", libc::O_RDWR), t.setup(8));
            let page = pages(1, 1);
            let file = scratch(libc::O_RDWR).unwrap();
            let mut iocbs = [
                io(IOCB_CMD_PWRITE, null, page, 1 << 40, 0),
                io(IOCB_CMD_PREAD, file.as_raw_fd(), BAD, 1, 0),
                sync(IOCB_CMD_FSYNC, file.as_raw_fd()),
                poll(null, libc::POLLIN),
            ];
            assert_eq!(t.submit(ctx, &mut iocbs), 4);
            let events = t.reap(ctx, 4);
            let res = |i: usize| events.iter().find(|e| e.obj == &raw const iocbs[i] as u64).unwrap().res;
            assert_eq!([res(0), res(1), res(2), res(3)], [0x7fff_f000, EFAULT as i64, 0, libc::POLLIN as i64]);
            assert!(events.iter().all(|e| e.res2 == 0), "{events:?}");
        }),
    ]
}

fn submit_bytes(t: &Run, ctx: usize, iocb: &mut [u8; 64]) -> isize {
    let list = [iocb.as_mut_ptr() as usize];
    t.submit_at(ctx, 1, list.as_ptr() as usize)
}

fn mapping() -> Vec<Case> {
    vec![
        case!(Linux, "abi/a_context_is_the_address_of_its_ring", "spec 0.10, spec 0.12", |t| {
            let all: Vec<usize> = (0..5).map(|_| t.setup(1)).collect();
            for (i, ctx) in all.iter().enumerate() {
                assert_eq!((ring(*ctx).magic, ring(*ctx).id as usize), (RING_MAGIC, i), "{ctx:#x}");
            }
            assert_eq!((t.submit_at(0, 0, 0), t.destroy(0)), (EINVAL, EINVAL));
        }),
        case!(Quirk, "abi/the_ring_is_one_shared_mapping", "spec 0.14, decision A6", |t| {
            let ctx = t.setup(1000);
            let bytes = 32 + ring(ctx).nr as usize * 32;
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
            let range = format!("{ctx:x}-{:x} ", ctx + bytes);
            let line = maps.lines().find(|line| line.starts_with(&range)).expect(&range);
            let words: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(words[1], "rw-s");
            assert_eq!(words[5], t.decided("A6", "/[aio]", "/dev/zero"));
        }),
        case!(Linux, "abi/nothing_that_a_context_does_takes_a_descriptor", "spec 0.15", |t| {
            let lowest = open("/dev/null", libc::O_RDONLY);
            unsafe { libc::close(lowest) };
            let (r, _w) = pipe(0);
            let ctx = t.setup(4);
            assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN), io(0, r, 0, 0, 0)]), 2);
            t.reap(ctx, 1);
            let after = open("/dev/null", libc::O_RDONLY);
            assert_eq!(after, lowest + 2, "the two numbers of the pipe lie between");
        }),
        case!(Linux, "abi/head_and_tail_go_round", "spec 0.13", |t| {
            let null = open("/dev/null", libc::O_RDONLY);
            let ctx = t.setup(1);
            let nr = u64::from(ring(ctx).nr);
            let mut sent = 0;
            while sent < 3 * nr {
                let mut iocbs: Vec<Iocb> =
                    (0..29).map(|i| Iocb { data: sent + i, ..io(0, null, 0, 0, 0) }).collect();
                assert_eq!(t.submit(ctx, &mut iocbs), 29);
                assert_eq!(u64::from(ring(ctx).tail), (sent + 29) % nr);
                let data = t.reap(ctx, 29).into_iter().map(|e| e.data);
                assert!(data.eq(sent..sent + 29));
                sent += 29;
                assert_eq!((u64::from(ring(ctx).head), ring(ctx).head), (sent % nr, ring(ctx).tail));
            }
        }),
    ]
}
