//! Section 1: io_setup, the ring, finding a context.

use super::{read, tried};
use crate::rows::Row;

pub fn rows() -> Vec<Row> {
    [checks(), sizes(), context()].into_iter().flatten().collect()
}

fn checks() -> Vec<Row> {
    vec![
        tried("1.1", "ctxp cannot be read: EFAULT, also when nr_events is 0"),
        tried("1.2", "*ctxp is not 0, or nr_events is 0: EINVAL"),
        tried(
            "1.3",
            "nr_events, raised to 4 for each possible CPU and doubled in 32 bits, is above 8388608: EINVAL",
        ),
        tried("1.4", "The doubled number wraps to 0, or nr_events is above aio-max-nr: EAGAIN"),
        read("1.5", "No memory for the ring: ENOMEM"),
        tried("1.6", "aio-nr and nr_events together are above aio-max-nr: EAGAIN"),
        read("1.7", "No memory for the table of contexts: ENOMEM"),
        tried(
            "1.8",
            "ctxp cannot be written: EFAULT; the context is gone again, and its share of aio-nr is given back",
        ),
        tried("1.9", "nr_events 0x80000000 and 0x80000001: EAGAIN; 0x7fffffff and 0xffffffff: EINVAL"),
        tried("1.10", "aio-max-nr itself can be asked for when nothing else is in use, one more cannot"),
        tried("1.11", "*ctxp stays as it is when io_setup fails"),
        tried("1.12", "aio-nr grows by nr_events as asked for, not doubled; io_destroy takes it back"),
        read("1.13", "aio-nr falls at the start of io_destroy, before the wait for requests in flight"),
        tried("1.14", "The lowest free index of the table is given, and used again; it is the ring's id"),
        read("1.15", "The table grows fourfold"),
    ]
}

fn sizes() -> Vec<Row> {
    vec![
        tried(
            "1.size.1",
            "With n = 2 * max(nr_events, 4 * CPUs): the ring has as many 4 KiB pages as 32 + 32 * (n + 2) bytes need, and nr = 128 * pages - 1",
        ),
        tried("1.size.2", "1 to 4 * CPUs requests give the same ring"),
        tried(
            "1.size.3",
            "With batch = max(1, (nr - 1) / (4 * CPUs)), a submitter on one CPU gets (nr - 1) / batch * batch requests accepted",
        ),
        tried(
            "1.size.4",
            "At least nr_events requests are accepted, wherever they were submitted and reaped before",
        ),
        tried("1.size.5", "A request has its slot until its event is reaped, not until it has completed"),
    ]
}

fn context() -> Vec<Row> {
    vec![
        tried(
            "1.context.1",
            "A number that is no context is EINVAL, never EFAULT: 0, 1, -1, inside a ring, memory or none, destroyed",
        ),
        tried("1.context.2", "A copy of a ring at another address is no context"),
    ]
}
