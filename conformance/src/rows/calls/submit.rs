//! Section 2: what io_submit checks of every request, and in what order.

use super::{read, tried};
use crate::rows::Row;

pub fn rows() -> Vec<Row> {
    [order(), partial(), copies()].into_iter().flatten().collect()
}

fn order() -> Vec<Row> {
    vec![
        tried("2.1", "nr below 0: EINVAL, before the context is looked at"),
        tried("2.2", "The context is none: EINVAL, even for nr 0"),
        tried("2.3", "nr 0: 0, and the array is not touched"),
        tried("2.4", "nr above the ring's nr is cut to it"),
        tried("2.5", "An entry of the array cannot be read: EFAULT"),
        tried("2.6", "The 64 bytes of an iocb cannot be read: EFAULT"),
        tried("2.7", "aio_reserved2 is not 0: EINVAL, before the descriptor"),
        tried("2.8", "aio_nbytes is negative as a signed number: EINVAL, for every opcode, before the descriptor"),
        tried("2.9", "No slot: EAGAIN, before the descriptor"),
        tried("2.10", "The descriptor is not open, or open with O_PATH: EBADF"),
        tried("2.11", "With RESFD: resfd not open EBADF, no eventfd EINVAL; both before the opcode"),
        tried(
            "2.12",
            "0 is stored to aio_key; an iocb that cannot be written is EFAULT, after EBADF and before the opcode",
        ),
        tried("2.13", "Opcodes 4, 6 (NOOP) and from 9 on: EINVAL"),
    ]
}

fn partial() -> Vec<Row> {
    vec![
        tried(
            "2.partial.1",
            "io_submit stops at the first request that it refuses and returns how many it accepted before",
        ),
        tried("2.partial.2", "The error comes when none was accepted: by submitting the rest again"),
        tried("2.partial.3", "A refused request leaves no event, no eventfd count, and gives its slot back"),
        tried("2.partial.4", "Accepted requests are performed whatever follows them"),
    ]
}

fn copies() -> Vec<Row> {
    vec![
        tried("2.copy.1", "After io_submit the iocb, the array and a vector's entries are not read again"),
        tried("2.copy.2", "The event echoes the iocb's address in obj and its aio_data in data"),
        tried("2.copy.3", "One iocb may be in flight several times"),
        read(
            "2.copy.4",
            "Requests have no order among each other, nor a write and a later fsync in flight with it",
        ),
    ]
}
