//! Section 2: what io_submit checks of PREAD, PWRITE, PREADV and PWRITEV, in order; FSYNC and FDSYNC.

use super::{read, tried};
use crate::rows::Row;

pub fn rows() -> Vec<Row> {
    [flags(), buffers(), syncs()].into_iter().flatten().collect()
}

fn flags() -> Vec<Row> {
    vec![
        tried("2.rw.a", "With IOPRIO: class 0 with a level, and classes from 4 on, are EINVAL"),
        tried("2.rw.a2", "With IOPRIO: the real-time class without the privilege is EPERM"),
        tried("2.rw.a3", "Without IOPRIO aio_reqprio is ignored"),
        tried("2.rw.a4", "Bits 3 to 12 of a priority are hints: class 2 with the number 8 passes"),
        tried("2.rw.b", "aio_rw_flags bits from 9 on: EOPNOTSUPP"),
        tried("2.rw.b2", "APPEND with NOAPPEND: EINVAL"),
        tried("2.rw.b3", "NOWAIT on a file that has no support for it: EOPNOTSUPP"),
        tried("2.rw.b4", "ATOMIC on a read, or on a file that has no support for it: EOPNOTSUPP"),
        tried("2.rw.b5", "DONTCACHE on a file that has no support for it: EOPNOTSUPP"),
        tried("2.rw.b6", "HIPRI is accepted and dropped"),
        tried("2.rw.c", "A read of a file open for writing, or a write of one open for reading: EBADF"),
        tried("2.rw.c2", "That EBADF comes after the checks of priority and flags"),
        tried(
            "2.rw.d",
            "A file without an iterator: EINVAL: directory, write to an eventfd or /dev/full, epoll, /proc/self/status, /proc/self/mem",
        ),
        tried("2.rw.d2", "That EINVAL comes after EBADF for the mode and before EFAULT for the buffer"),
    ]
}

fn buffers() -> Vec<Row> {
    vec![
        tried("2.rw.e", "A buffer that reaches beyond user memory: EFAULT, even of length 0"),
        tried("2.rw.e2", "More than 1024 entries of a vector: EINVAL"),
        tried("2.rw.e3", "A vector that cannot be read: EFAULT"),
        tried("2.rw.e4", "An entry with a negative length: EINVAL"),
        tried("2.rw.e5", "An entry that reaches beyond user memory: EFAULT, even of length 0"),
        tried("2.rw.e6", "A vector of 0 entries is fine, and its address is not looked at"),
        tried("2.rw.f", "A negative offset: EINVAL, for any file, also where the offset is not used"),
        tried("2.rw.f2", "Offset and length together overflow: EINVAL"),
        read("2.rw.g", "A security module or a mandatory lock refuses: EACCES, EPERM"),
    ]
}

fn syncs() -> Vec<Row> {
    vec![
        tried("2.fsync.1", "aio_buf, aio_offset, aio_nbytes and aio_rw_flags must be 0: else EINVAL"),
        tried("2.fsync.2", "A file without fsync (pipe, socket, /dev/null): EINVAL at submission"),
        tried("2.fsync.3", "Files open for reading only, and directories, can be synced"),
        tried("2.fsync.4", "IOPRIO and aio_reqprio are ignored"),
        read("2.fsync.5", "It runs with the credentials of the submission"),
        tried("2.fsync.6", "The event has 0, or the error"),
        tried("2.fsync.7", "It cannot be cancelled"),
    ]
}
