//! O_DIRECT: spec 2.

use super::Case;
use crate::case;
use crate::case::Run;
use crate::direct::{Direct, direct, filled};
use crate::tools::*;
use uaio::abi::*;

const READ: u16 = IOCB_CMD_PREAD;
const WRITE: u16 = IOCB_CMD_PWRITE;
const READV: u16 = IOCB_CMD_PREADV;
const WRITEV: u16 = IOCB_CMD_PWRITEV;

pub fn cases() -> Vec<Case> {
    [alignment(), when_done(), data()].into_iter().flatten().collect()
}

fn alignment() -> Vec<Case> {
    vec![
        case!(
            Linux,
            "direct/what_the_file_system_demands_suffices",
            "spec 2.data.5, spec 2.data.6, statx(2)",
            |t| {
                let d = direct(t, libc::O_RDWR);
                let (page, unit, ctx) = (pages(3, 3), d.offset_align, t.setup(4));
                for op in [READ, WRITE] {
                    assert_eq!(
                        t.one_in(ctx, io(op, d.fd, page + d.mem_align, unit, unit as i64)),
                        unit as i64,
                        "opcode {op}"
                    );
                }
            }
        ),
        case!(
            Linux,
            "direct/a_length_that_is_not_aligned_is_an_einval_event",
            "spec 2.data.5, open(2) O_DIRECT",
            |t| {
                let d = unaligned_is_refused(t);
                let (page, unit, ctx) = (pages(2, 2), d.offset_align, t.setup(4));
                for op in [READ, WRITE] {
                    for len in [1, unit / 2, unit + 1, 2 * unit - 1] {
                        assert_eq!(
                            t.one_in(ctx, io(op, d.fd, page, len, 0)),
                            EINVAL as i64,
                            "opcode {op}, length {len}"
                        );
                    }
                }
                assert_eq!(d.size(), 8192);
            }
        ),
        case!(
            Linux,
            "direct/an_offset_that_is_not_aligned_is_an_einval_event",
            "spec 2.data.5, open(2) O_DIRECT",
            |t| {
                let d = unaligned_is_refused(t);
                let (page, unit, ctx) = (pages(1, 1), d.offset_align, t.setup(4));
                for op in [READ, WRITE] {
                    for offset in [1, unit as i64 / 2, 4095] {
                        assert_eq!(
                            t.one_in(ctx, io(op, d.fd, page, unit, offset)),
                            EINVAL as i64,
                            "opcode {op}, {offset}"
                        );
                    }
                }
            }
        ),
        case!(Linux, "direct/each_piece_of_a_vector_must_be_aligned", "spec 2.data.5, open(2) O_DIRECT", |t| {
            let d = unaligned_is_refused(t);
            let (page, unit, ctx) = (pages(2, 2), d.offset_align, t.setup(4));
            let list = [Iovec { base: page, len: unit + unit / 2 }, Iovec { base: page + 4096, len: unit / 2 }];
            let want = |op| by_call(op, d.fd, &list);
            for op in [READV, WRITEV] {
                assert_eq!(t.one_in(ctx, io(op, d.fd, list.as_ptr() as usize, 2, 0)), want(op), "opcode {op}");
            }
        }),
        case!(Linux, "direct/memory_is_judged_by_the_device", "spec 2.data.6, statx(2)", |t| {
            let d = direct(t, libc::O_RDWR);
            let (page, ctx) = (pages(3, 3), t.setup(4));
            for shift in [1, 2, 4, 8, 64, 256, 512] {
                let list = [Iovec { base: page + shift, len: 4096 }];
                for (plain, vector) in [(READ, READV), (WRITE, WRITEV)] {
                    let want = by_call(vector, d.fd, &list);
                    assert_eq!(t.one_in(ctx, io(plain, d.fd, page + shift, 4096, 0)), want, "address + {shift}");
                    assert_eq!(
                        t.one_in(ctx, io(vector, d.fd, list.as_ptr() as usize, 1, 0)),
                        want,
                        "address + {shift}"
                    );
                }
            }
        }),
    ]
}

/// A file on a file system that refuses what is not aligned: some write it through the page cache.
fn unaligned_is_refused(t: &Run) -> Direct {
    let d = direct(t, libc::O_RDWR);
    let list = [Iovec { base: pages(1, 1), len: d.offset_align / 2 }];
    if d.offset_align < 2 || by_call(READV, d.fd, &list) != EINVAL as i64 {
        t.not_applicable("the file system takes what is not aligned");
    }
    d
}

/// What preadv or pwritev at 0 answers.
fn by_call(op: u16, fd: i32, list: &[Iovec]) -> i64 {
    let (array, count) = (list.as_ptr().cast(), list.len() as i32);
    let ret = unsafe {
        if op == READV { libc::preadv(fd, array, count, 0) } else { libc::pwritev(fd, array, count, 0) }
    };
    if ret < 0 { -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap()) } else { ret as i64 }
}

/// Whether one of 300 batches of `iocbs` is not done when io_submit returns.
fn ever_in_flight(t: &Run, iocbs: &mut [Iocb]) -> bool {
    let (ctx, count) = (t.setup(64), iocbs.len());
    (0..300).any(|_| {
        assert_eq!(t.submit(ctx, iocbs), count as isize);
        let done = t.look(ctx) as usize;
        t.reap(ctx, count - done);
        done < count
    })
}

/// A file of 1 MiB on the device, and requests for all of it in pieces of 64 KiB.
fn pieces(t: &Run, op: u16) -> (Direct, Vec<Iocb>) {
    let (d, page) = (direct(t, libc::O_RDWR), filled(256, 1));
    // In one extent, if the file system can: over its end NOWAIT, which we use on io_uring, would wait.
    assert_eq!(unsafe { libc::ftruncate(d.fd, 0) }, 0);
    assert_eq!(t.one(io(WRITE, d.fd, page, 1 << 20, 0)), 1 << 20);
    d.file.sync_all().unwrap();
    let iocbs = (0..16).map(|i| io(op, d.fd, page + (i << 16), 1 << 16, (i << 16) as i64)).collect();
    (d, iocbs)
}

/// Writes a page to each offset, with `change`, in one batch. All of it is in the file, and the size was when
/// io_submit returned.
fn lands(t: &Run, d: &Direct, offsets: [i64; 4], change: impl Fn(Iocb) -> Iocb) {
    let (page, ctx) = (filled(1, 9), t.setup(8));
    let mut iocbs = offsets.map(|offset| change(io(WRITE, d.fd, page, 4096, offset)));
    assert_eq!(t.submit(ctx, &mut iocbs), 4);
    let size = d.size();
    assert!(size as i64 >= offsets.into_iter().max().unwrap() + 4096, "{size}");
    assert!(t.reap(ctx, 4).iter().all(|e| e.res == 4096));
    assert!(offsets.into_iter().all(|offset| d.holds(offset, &[9; 4096])));
}

fn when_done() -> Vec<Case> {
    vec![
        case!(Quirk, "direct/reads_are_in_flight_on_return", "spec 2.done.2", |t| {
            if t.is_inline() {
                t.not_applicable("inline does all inside io_submit");
            }
            let (_d, mut iocbs) = pieces(t, READ);
            assert!(ever_in_flight(t, &mut iocbs));
        }),
        case!(Quirk, "direct/overwrites_are_in_flight_on_return", "spec 2.done.2", |t| {
            if t.is_inline() {
                t.not_applicable("inline does all inside io_submit");
            }
            let (_d, mut iocbs) = pieces(t, WRITE);
            assert!(ever_in_flight(t, &mut iocbs));
        }),
        case!(Linux, "direct/writes_that_extend_are_done_on_return", "spec 2.done.3", |t| {
            let (d, page, ctx) = (direct(t, libc::O_RDWR), filled(1, 9), t.setup(8));
            let mut iocbs = [8192, 12288, 16384, 65536].map(|offset| io(WRITE, d.fd, page, 4096, offset));
            assert_eq!(t.submit(ctx, &mut iocbs), 4);
            assert_eq!((d.size(), t.look(ctx)), (65536 + 4096, 4));
        }),
        case!(Contract, "direct/writes_that_extend_land_in_any_order", "spec 2.done.3", |t| {
            lands(t, &direct(t, libc::O_RDWR), [65536, 8192, 16384, 12288], |iocb| iocb);
        }),
        case!(Contract, "direct/writes_that_extend_land_in_a_batch_with_overwrites", "spec 2.done.3", |t| {
            lands(t, &direct(t, libc::O_RDWR), [0, 8192, 4096, 12288], |iocb| iocb);
        }),
        case!(Contract, "direct/synchronous_writes_land", "spec 2.done.2, pwritev2(2)", |t| {
            for rw_flags in [RWF_DSYNC, RWF_SYNC] {
                lands(t, &direct(t, libc::O_RDWR), [0, 4096, 8192, 12288], |iocb| Iocb { rw_flags, ..iocb });
            }
        }),
        case!(Contract, "direct/writes_to_a_synchronous_file_land", "spec 2.done.2, open(2) O_DSYNC", |t| {
            for flag in [libc::O_DSYNC, libc::O_SYNC] {
                lands(t, &direct(t, libc::O_RDWR | flag), [0, 4096, 8192, 12288], |iocb| iocb);
            }
        }),
        case!(Contract, "direct/writes_into_what_fallocate_gave_land", "spec 2.done.2, fallocate(2)", |t| {
            let d = direct(t, libc::O_RDWR);
            if unsafe { libc::ftruncate(d.fd, 0) + libc::fallocate(d.fd, 0, 0, 65536) } != 0 {
                t.not_applicable("no fallocate here");
            }
            lands(t, &d, [0, 8192, 32768, 61440], |iocb| iocb);
            assert!(d.holds(4096, &[0; 4096]));
        }),
        case!(Contract, "direct/writes_into_a_hole_land", "spec 2.done.2, lseek(2)", |t| {
            let d = direct(t, libc::O_RDWR);
            assert_eq!(unsafe { libc::ftruncate(d.fd, 1 << 20) }, 0);
            lands(t, &d, [1 << 19, 8192, 32768, (1 << 20) - 4096], |iocb| iocb);
            assert!(d.holds(12288, &[0; 4096]));
        }),
    ]
}

fn data() -> Vec<Case> {
    vec![
        case!(Contract, "direct/the_end_of_file_is_short_or_0", "spec 2.data.1, read(2)", |t| {
            let d = direct(t, libc::O_RDWR);
            let page = pages(3, 3);
            assert_eq!(unsafe { libc::ftruncate(d.fd, 5000) }, 0);
            let read = |len, offset| t.one(io(READ, d.fd, page, len, offset));
            assert_eq!(
                (read(8192, 0), read(4096, 4096), read(4096, 8192), read(4096, 1 << 40)),
                (5000, 904, 0, 0)
            );
        }),
        case!(Linux, "direct/no_bytes_are_0", "spec 2.data.1", |t| {
            let d = direct(t, libc::O_RDWR);
            assert_eq!((t.one(io(READ, d.fd, 0, 0, 0)), t.one(io(WRITE, d.fd, 0, 0, 0))), (0, 0));
            assert_eq!((t.one(io(WRITE, d.fd, 0, 0, 1 << 20)), d.size()), (0, 8192));
        }),
        case!(Linux, "direct/a_buffer_with_a_hole_is_an_efault_event", "spec 2.data.3", |t| {
            let d = direct(t, libc::O_RDWR);
            let (page, ctx) = (pages(2, 1), t.setup(4));
            for op in [READ, WRITE] {
                assert_eq!(t.one_in(ctx, io(op, d.fd, page, 8192, 0)), EFAULT as i64, "opcode {op}, half");
                assert_eq!(t.one_in(ctx, io(op, d.fd, page + 4096, 4096, 0)), EFAULT as i64, "opcode {op}, all");
            }
            assert!(d.holds(0, &[b'a'; 8192]));
        }),
        case!(Contract, "direct/a_file_and_its_page_cache_agree", "spec 2.data.18, open(2) O_DIRECT", |t| {
            let d = direct(t, libc::O_RDWR);
            let cached = open(&format!("/proc/self/fd/{}", d.fd), libc::O_RDWR);
            let (page, back) = (filled(1, 5), pages(1, 1));
            let same = || unsafe { libc::memcmp(page as *const _, back as *const _, 4096) } == 0;
            assert_eq!(
                (t.one(io(WRITE, cached, page, 4096, 4096)), t.one(io(READ, d.fd, back, 4096, 4096))),
                (4096, 4096)
            );
            assert!(same(), "written through the cache");
            let page = filled(1, 6);
            assert_eq!(
                (t.one(io(WRITE, d.fd, page, 4096, 0)), t.one(io(READ, cached, back, 4096, 0))),
                (4096, 4096)
            );
            assert!(
                unsafe { libc::memcmp(page as *const _, back as *const _, 4096) } == 0,
                "written past the cache"
            );
        }),
        case!(Contract, "direct/the_file_may_be_closed_at_once", "spec 2.copy.1, io_submit(2)", |t| {
            let (d, ctx, back) = (direct(t, libc::O_RDWR), t.setup(4), pages(2, 2));
            assert_eq!(t.submit(ctx, &mut [io(READ, d.fd, back, 8192, 0)]), 1);
            drop(d);
            assert_eq!(t.reap(ctx, 1)[0].res, 8192);
            assert!(unsafe { std::slice::from_raw_parts(back as *const u8, 8192) }.iter().all(|b| *b == b'a'));
        }),
        case!(
            Contract,
            "direct/a_batch_of_many_with_vectors_lands_where_it_is_told",
            "spec 2.data.18, io_submit(2)",
            |t| {
                let (d, ctx) = (direct(t, libc::O_RDWR), t.setup(64));
                let text: Vec<usize> = (0..64).map(|i| filled(1, i + 1)).collect();
                let vectors: Vec<Iovec> = text.iter().map(|page| Iovec { base: *page, len: 4096 }).collect();
                let mut iocbs: Vec<Iocb> = (0..64)
                    .map(|i| match i % 2 {
                        0 => io(WRITE, d.fd, text[i], 4096, i as i64 * 4096),
                        _ => io(WRITEV, d.fd, &raw const vectors[i] as usize, 1, i as i64 * 4096),
                    })
                    .collect();
                assert_eq!(t.submit(ctx, &mut iocbs), 64);
                assert!(t.reap(ctx, 64).iter().all(|e| e.res == 4096));
                assert!((0..64).all(|i| d.holds(i * 4096, &[i as u8 + 1; 4096])));
            }
        ),
    ]
}
