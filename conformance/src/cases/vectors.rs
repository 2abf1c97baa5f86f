//! Buffers, vectors, lengths and offsets of PREAD, PWRITE, PREADV and PWRITEV: spec 2.

use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use super::Case;
use crate::case;
use crate::case::Run;
use crate::tools::*;
use uaio::abi::*;

const READ: u16 = IOCB_CMD_PREAD;
const WRITE: u16 = IOCB_CMD_PWRITE;
const READV: u16 = IOCB_CMD_PREADV;
const WRITEV: u16 = IOCB_CMD_PWRITEV;

/// An address that no program can own.
const BEYOND: usize = 0xffff_8000_0000_0000;

pub fn cases() -> Vec<Case> {
    [refused(), entries(), lengths(), offsets()].into_iter().flatten().collect()
}

fn vector(op: u16, fd: i32, list: &[Iovec]) -> Iocb {
    io(op, fd, list.as_ptr() as usize, list.len(), 0)
}

/// What io_submit says to a vector in both directions; nothing is left.
fn both_refused(t: &Run, list: &[Iovec]) -> [isize; 2] {
    let file = scratch(libc::O_RDWR).unwrap();
    [READV, WRITEV].map(|op| t.refused(vector(op, file.as_raw_fd(), list)))
}

fn refused() -> Vec<Case> {
    vec![
        case!(Linux, "vector/1024_entries_are_taken_and_1025_are_einval", "spec 2.rw.e2, readv(2)", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let mut bytes = [0u8; 1025];
            let list: Vec<Iovec> =
                bytes.iter_mut().map(|b| Iovec { base: b as *mut u8 as usize, len: 1 }).collect();
            assert_eq!(t.one(vector(READV, file.as_raw_fd(), &list[..1024])), 1024);
            assert_eq!((bytes[0], bytes[1023], bytes[1024]), (b'a', b'a', 0));
            assert_eq!(both_refused(t, &list), [EINVAL; 2]);
        }),
        case!(
            Linux,
            "vector/too_many_entries_come_before_an_array_that_cannot_be_read",
            "spec 2.rw.e2, spec 2.rw.e3",
            |t| {
                let null = open("/dev/null", libc::O_RDWR);
                for op in [READV, WRITEV] {
                    assert_eq!(t.refused(io(op, null, BAD, 1025, 0)), EINVAL);
                    assert_eq!(t.refused(io(op, null, BAD, 1024, 0)), EFAULT);
                    assert_eq!(t.refused(io(op, null, BEYOND, 1, 0)), EFAULT);
                }
            }
        ),
        case!(Linux, "vector/an_array_that_ends_in_a_hole_is_efault", "spec 2.rw.e3", |t| {
            let null = open("/dev/null", libc::O_RDWR);
            let array = pages(2, 1) + 4096 - 40;
            for op in [READV, WRITEV] {
                assert_eq!(t.one(io(op, null, array, 2, 0)), 0);
                assert_eq!(t.refused(io(op, null, array, 3, 0)), EFAULT);
            }
        }),
        case!(
            Quirk,
            "vector/a_negative_length_comes_before_a_hole_behind_it",
            "spec 2.rw.e3, spec 2.rw.e4",
            |t| {
                let null = open("/dev/null", libc::O_RDWR);
                let array = pages(2, 1) + 4096 - 16;
                unsafe { (array as *mut Iovec).write(Iovec { base: 0, len: usize::MAX }) };
                assert_eq!([READV, WRITEV].map(|op| t.refused(io(op, null, array, 2, 0))), [EINVAL; 2]);
            }
        ),
        case!(Linux, "vector/a_negative_length_anywhere_is_einval", "spec 2.rw.e4", |t| {
            let mut byte = 0u8;
            let (good, bad) = (Iovec { base: &raw mut byte as usize, len: 1 }, Iovec { base: 0, len: 1 << 63 });
            for list in
                [&[bad][..], &[bad, good], &[good, bad], &[good, good, good, good, good, good, good, good, bad]]
            {
                assert_eq!(both_refused(t, list), [EINVAL; 2]);
            }
        }),
        case!(Linux, "vector/an_entry_beyond_user_memory_anywhere_is_efault", "spec 2.rw.e5", |t| {
            let mut byte = 0u8;
            let (good, bad) = (Iovec { base: &raw mut byte as usize, len: 1 }, Iovec { base: BEYOND, len: 0 });
            for list in
                [&[bad][..], &[bad, good], &[good, bad], &[good, good, good, good, good, good, good, good, bad]]
            {
                assert_eq!(both_refused(t, list), [EFAULT; 2]);
            }
        }),
        case!(Quirk, "vector/lengths_are_checked_before_addresses", "spec 2.rw.e4, spec 2.rw.e5", |t| {
            let (beyond, negative) = (Iovec { base: BEYOND, len: 1 }, Iovec { base: 0, len: 1 << 63 });
            assert_eq!(both_refused(t, &[beyond, negative]), [EINVAL; 2]);
            assert_eq!(both_refused(t, &[negative, beyond]), [EINVAL; 2]);
        }),
        case!(Linux, "vector/a_refused_vector_transfers_nothing", "spec 2.rw.e5, spec 2.partial.3", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let list = [Iovec { base: b"bbbb".as_ptr() as usize, len: 4 }, Iovec { base: BEYOND, len: 0 }];
            assert_eq!(t.refused(vector(WRITEV, file.as_raw_fd(), &list)), EFAULT);
            let mut back = [0u8; 4];
            file.read_at(&mut back, 0).unwrap();
            assert_eq!(&back, b"aaaa");
        }),
    ]
}

fn entries() -> Vec<Case> {
    vec![
        case!(Linux, "vector/no_entries_are_0_wherever_the_array_is", "spec 2.rw.e6", |t| {
            let null = open("/dev/null", libc::O_RDWR);
            for array in [0, BAD, BEYOND] {
                assert_eq!([READV, WRITEV].map(|op| t.one(io(op, null, array, 0, 0))), [0, 0]);
            }
        }),
        case!(Quirk, "vector/of_the_number_of_entries_32_bits_count", "spec 2.rw.e2", |t| {
            let null = open("/dev/null", libc::O_RDWR);
            let list = [Iovec { base: b"abc".as_ptr() as usize, len: 3 }];
            assert_eq!(t.one(io(WRITEV, null, list.as_ptr() as usize, 1 << 32 | 1, 0)), 3);
            assert_eq!(t.one(io(READV, null, list.as_ptr() as usize, 1 << 40, 0)), 0);
        }),
        case!(Contract, "vector/entries_are_filled_in_their_order", "spec 2.data.4, readv(2)", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let text: Vec<u8> = (0..100).collect();
            let pieces = |at: usize| -> Vec<Iovec> {
                let piece = |i: usize| Iovec { base: at + i * (i + 1) / 2, len: if i == 13 { 9 } else { i + 1 } };
                (0..14).map(piece).chain([Iovec { base: 0, len: 0 }]).collect()
            };
            let mut back = vec![0u8; 100];
            assert_eq!(t.one(vector(WRITEV, file.as_raw_fd(), &pieces(text.as_ptr() as usize))), 100);
            assert_eq!(t.one(vector(READV, file.as_raw_fd(), &pieces(back.as_mut_ptr() as usize))), 100);
            assert_eq!(back, text);
        }),
        case!(Linux, "vector/a_bad_entry_ends_a_write_too", "spec 2.data.4", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let (good, bad) = (Iovec { base: b"bbbb".as_ptr() as usize, len: 4 }, Iovec { base: BAD, len: 4 });
            assert_eq!(t.one(vector(WRITEV, file.as_raw_fd(), &[bad, good])), EFAULT as i64);
            assert_eq!(t.one(vector(WRITEV, file.as_raw_fd(), &[good, bad, good])), 4);
            let mut back = [0u8; 8];
            file.read_at(&mut back, 0).unwrap();
            assert_eq!(&back, b"bbbbaaaa");
        }),
        case!(Linux, "vector/a_bad_entry_of_no_bytes_does_not_matter", "spec 2.data.4", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let mut buf = [0u8; 4];
            let (good, bad) = (Iovec { base: buf.as_mut_ptr() as usize, len: 4 }, Iovec { base: BAD, len: 0 });
            assert_eq!(t.one(vector(READV, file.as_raw_fd(), &[bad, good, bad])), 4);
        }),
    ]
}

fn lengths() -> Vec<Case> {
    vec![
        case!(Linux, "rw/a_buffer_may_reach_to_the_end_of_user_memory", "spec 2.rw.e", |t| {
            if cfg!(not(target_arch = "x86_64")) {
                t.not_applicable("the end is known for x86-64 only");
            }
            const END: usize = 0x7fff_ffff_f000;
            let file = scratch(libc::O_RDWR).unwrap();
            let fd = file.as_raw_fd();
            assert_eq!(t.one(io(READ, fd, END - 8, 8, 0)), EFAULT as i64);
            assert_eq!(t.one(io(READ, fd, END, 0, 0)), 0);
            assert_eq!(t.refused(io(READ, fd, END - 8, 9, 0)), EFAULT);
            assert_eq!(t.refused(io(WRITE, fd, END, 1, 0)), EFAULT);
            assert_eq!(t.refused(io(WRITE, fd, END + 1, 0, 0)), EFAULT);
        }),
        case!(Linux, "rw/a_length_is_cut_before_the_buffer_is_judged", "spec 2.rw.e, spec 2.data.2", |t| {
            let null = open("/dev/null", libc::O_RDWR);
            assert_eq!(t.one(io(WRITE, null, pages(1, 1), (1 << 63) - 1, 0)), 0x7fff_f000);
        }),
        case!(Linux, "rw/the_longest_transfer_is_0x7ffff000", "spec 2.data.2, write(2)", |t| {
            let (null, page) = (open("/dev/null", libc::O_RDWR), pages(1, 1));
            let lengths = [0x7fff_efff, 0x7fff_f000, 0x7fff_f001, 0x8000_0000, 0xffff_ffff, 1 << 32, 1 << 33 | 1];
            for len in lengths {
                assert_eq!(t.one(io(WRITE, null, page, len, 0)), len.min(0x7fff_f000) as i64, "{len:#x}");
            }
        }),
        case!(Linux, "vector/all_entries_together_are_cut", "spec 2.data.2, writev(2)", |t| {
            let (null, page) = (open("/dev/null", libc::O_RDWR), pages(1, 1));
            let huge = Iovec { base: page, len: 0x4000_0000 };
            assert_eq!(t.one(vector(WRITEV, null, &[huge])), 0x4000_0000);
            assert_eq!(t.one(vector(WRITEV, null, &[huge; 2])), 0x7fff_f000);
            assert_eq!(t.one(vector(WRITEV, null, &[huge; 9])), 0x7fff_f000);
        }),
        case!(Contract, "rw/no_bytes_change_nothing", "spec 2.data.1", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            assert_eq!(t.one(io(WRITE, file.as_raw_fd(), 0, 0, 100_000)), 0);
            assert_eq!(t.one(io(WRITE, file.as_raw_fd(), BAD, 0, 0)), 0);
            assert_eq!(t.one(Iocb { rw_flags: RWF_APPEND, ..io(WRITE, file.as_raw_fd(), 0, 0, 0) }), 0);
            assert_eq!(file.metadata().unwrap().len(), 8192);
        }),
        case!(Contract, "rw/a_write_behind_the_end_leaves_zeros_between", "spec 2.data.1, write(2)", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let mut back = [1u8; 10];
            assert_eq!(t.one(io(WRITE, file.as_raw_fd(), b"end".as_ptr() as usize, 3, 8196)), 3);
            assert_eq!(t.one(io(READ, file.as_raw_fd(), back.as_mut_ptr() as usize, 10, 8190)), 9);
            assert_eq!(&back, b"aa\0\0\0\0end\x01");
        }),
        case!(Linux, "rw/half_a_buffer_is_written_up_to_the_hole", "spec 2.data.3", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let from = pages(2, 1) + 4096 - 1000;
            assert_eq!(t.one(io(WRITE, file.as_raw_fd(), from, 2000, 0)), 1000);
            let mut back = [1u8; 1001];
            file.read_at(&mut back, 0).unwrap();
            assert!(back[..1000].iter().all(|b| *b == 0) && back[1000] == b'a');
        }),
        case!(Linux, "rw/a_buffer_that_is_not_mapped_is_an_event_for_every_kind_of_file", "spec 2.event.1", |t| {
            let ((r, w), (a, b)) = (pipe(0), socket_pair());
            put(w, b"data");
            put(b, b"data");
            let ctx = t.setup(4);
            for (op, fd) in
                [(READ, r), (READ, a), (READ, open("/dev/zero", libc::O_RDONLY)), (WRITE, w), (WRITE, b)]
            {
                assert_eq!(t.one_in(ctx, io(op, fd, BAD, 4, 0)), EFAULT as i64, "opcode {op}, fd {fd}");
                let list = [Iovec { base: BAD, len: 4 }];
                let op = if op == READ { READV } else { WRITEV };
                assert_eq!(t.one_in(ctx, vector(op, fd, &list)), EFAULT as i64, "opcode {op}, fd {fd}");
            }
        }),
        case!(Linux, "rw/memory_that_cannot_be_written_is_an_efault_event", "spec 2.event.1", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            assert_eq!(t.one(io(READ, file.as_raw_fd(), b"constant".as_ptr() as usize, 8, 0)), EFAULT as i64);
        }),
    ]
}

fn offsets() -> Vec<Case> {
    vec![
        case!(Linux, "rw/a_negative_offset_is_einval_for_every_opcode", "spec 2.rw.f", |t| {
            let append = scratch(libc::O_RDWR | libc::O_APPEND).unwrap();
            let null = open("/dev/null", libc::O_RDWR);
            let ctx = t.setup(4);
            for fd in [append.as_raw_fd(), null, socket_pair().0] {
                for op in [READ, WRITE, READV, WRITEV] {
                    for offset in [-1, i64::MIN] {
                        assert_eq!(t.submit(ctx, &mut [io(op, fd, 0, 0, offset)]), EINVAL, "opcode {op}, fd {fd}");
                    }
                }
            }
        }),
        case!(Linux, "rw/the_last_offset_is_judged_with_the_length", "spec 2.rw.f2", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let mut buf = [0u8; 8];
            let mut read = |len, offset| io(READ, file.as_raw_fd(), buf.as_mut_ptr() as usize, len, offset);
            let (fits, over) = (read(8, i64::MAX - 8), read(8, i64::MAX - 7));
            assert_eq!((t.one(fits), t.refused(over)), (0, EINVAL));
            let none = io(READ, file.as_raw_fd(), 0, 0, i64::MAX);
            assert_eq!(t.one(none), 0);
        }),
        case!(Linux, "rw/a_length_is_cut_before_the_offset_is_judged", "spec 2.rw.f2, spec 2.data.2", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let read = |offset| io(READ, file.as_raw_fd(), pages(1, 1), 1 << 40, offset);
            assert_eq!(t.one(read(i64::MAX - 0x7fff_f000)), 0);
            assert_eq!(t.refused(read(i64::MAX - 0x7fff_efff)), EINVAL);
        }),
        case!(Linux, "vector/an_offset_is_judged_with_all_entries", "spec 2.rw.f2", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let list = [Iovec { base: pages(1, 1), len: 4 }; 2];
            let at = |offset| Iocb { offset, ..vector(READV, file.as_raw_fd(), &list) };
            assert_eq!((t.one(at(i64::MAX - 8)), t.refused(at(i64::MAX - 7))), (0, EINVAL));
        }),
        case!(Linux, "rw/an_overflow_is_einval_also_where_offsets_do_not_matter", "spec 2.rw.f2", |t| {
            let (r, w) = pipe(0);
            put(w, b"data");
            let mut buf = [0u8; 8];
            let at = buf.as_mut_ptr() as usize;
            assert_eq!(t.refused(io(READ, r, at, 8, i64::MAX)), EINVAL);
            assert_eq!(t.refused(io(WRITE, w, at, 8, i64::MAX)), EINVAL);
            assert_eq!(t.refused(io(WRITE, open("/dev/null", libc::O_RDWR), at, 8, i64::MAX)), EINVAL);
            let append = scratch(libc::O_RDWR | libc::O_APPEND).unwrap();
            assert_eq!(t.refused(io(WRITE, append.as_raw_fd(), at, 8, i64::MAX)), EINVAL);
            assert_eq!(t.one(io(READ, r, at, 8, i64::MAX - 8)), 4);
        }),
        case!(Contract, "rw/the_position_stays_where_it_is", "spec 2.data.18, io_submit(2)", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let fd = file.as_raw_fd();
            unsafe { libc::lseek(fd, 1000, libc::SEEK_SET) };
            let mut buf = [b'b'; 8];
            let list = [Iovec { base: buf.as_mut_ptr() as usize, len: 8 }];
            assert_eq!(t.one(io(WRITE, fd, list[0].base, 8, 0)), 8);
            assert_eq!(t.one(vector(WRITEV, fd, &list)), 8);
            assert_eq!(t.one(io(READ, fd, list[0].base, 8, 8)), 8);
            assert_eq!(t.one(vector(READV, fd, &list)), 8);
            assert_eq!(t.one(Iocb { rw_flags: RWF_APPEND, ..io(WRITE, fd, list[0].base, 8, 0) }), 8);
            assert_eq!(unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) }, 1000);
        }),
    ]
}
