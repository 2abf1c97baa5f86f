//! Section 0: numbers and layouts.

use super::{read, tried};
use crate::rows::Row;

pub fn rows() -> Vec<Row> {
    vec![
        tried(
            "0.1",
            "x86-64 call numbers: io_setup 206, io_destroy 207, io_getevents 208, io_submit 209, io_cancel 210, io_pgetevents 333",
        ),
        read(
            "0.2",
            "Numbers on aarch64, riscv64 and loongarch64: the first five calls 0, 1, 4, 2, 3; io_pgetevents 292",
        ),
        read(
            "0.3",
            "Numbers on i386: 245 to 249 in the order setup, destroy, getevents, submit, cancel; io_pgetevents 385 and 416",
        ),
        read(
            "0.4",
            "An iocb has 64 bytes; its fields stand at the same offsets on every ABI, key and rw_flags swapped on big endian",
        ),
        read("0.5", "An io_event has 32 bytes: data, obj, res, res2, 64 bits each"),
        tried("0.6", "Opcodes: PREAD 0, PWRITE 1, FSYNC 2, FDSYNC 3, POLL 5, NOOP 6, PREADV 7, PWRITEV 8"),
        tried("0.7", "aio_flags: bit 0 is RESFD, bit 1 is IOPRIO; every other bit is ignored"),
        tried(
            "0.8",
            "aio_rw_flags bits 0 to 8: HIPRI, DSYNC, SYNC, NOWAIT, APPEND, NOAPPEND, ATOMIC, DONTCACHE, NOSIGNAL; taken as pwritev2 takes them",
        ),
        tried("0.9", "aio_key is 0 after io_submit, and io_cancel demands that"),
        tried("0.10", "A context's number is the address of its ring; 0 never names one"),
        read("0.11", "A 32-bit caller gets the number in 32 bits"),
        tried(
            "0.12",
            "The ring begins with eight 32-bit words: id, nr, head, tail, magic 0xa10a10a1, compat 1, incompat 0, header length 32; events from byte 32",
        ),
        tried("0.13", "The ring is empty when head equals tail; both go from 0 to nr - 1 and round"),
        tried("0.14", "The ring is one mapping, shared, readable and writable, named /[aio]"),
        tried("0.15", "A context takes no file descriptor"),
        read("0.16", "After 6.18 the mapping is not inherited by fork, and mremap of a part of it is refused"),
    ]
}
