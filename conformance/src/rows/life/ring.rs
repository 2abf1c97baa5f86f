//! Section 1: what a program may do to its ring, and how a context is found.

use super::{Row, tried, without_case};

pub fn rows() -> Vec<Row> {
    vec![
        tried(
            "1.reap.1",
            "A program may reap by itself: load head and tail (acquire), copy the events between them, store head.",
        ),
        tried("1.reap.2", "A larger head stored by the program: the next io_getevents starts there."),
        tried(
            "1.reap.3",
            "Full (EAGAIN), then head stored as tail: the next io_submit finds the places free, without any call between.",
        ),
        tried("1.reap.4", "A head out of range counts modulo nr, and is in range after the next io_getevents."),
        tried("1.reap.5", "A head one past tail: io_getevents hands out nr - 1 old entries, and nothing crashes."),
        tried(
            "1.reap.6",
            "A tail stored by the program: readers believe it until the next completion stores the true one again.",
        ),
        tried("1.reap.7", "Another id in the header: every call is EINVAL until the old one is back."),
        tried("1.reap.8", "Another nr or magic in the header: the calls do not care."),
        tried("1.reap.9", "Ring made read-only: every call works, events arrive."),
        tried("1.reap.10", "Ring without access or unmapped: every call is EINVAL, for the id cannot be read."),
        without_case(
            "aio-nr is one number for the whole system; nobody can hold it still",
            tried(
                "1.reap.11",
                "A context whose ring is unmapped keeps its part of aio-nr until the process ends.",
            ),
        ),
        tried(
            "1.reap.12",
            "Ring moved as a whole by mremap: the new address is the context, the old one EINVAL, requests in flight go on.",
        ),
        tried("1.reap.13", "Ring grown by mremap: EFAULT."),
        tried("1.reap.14", "Ring shrunk by mremap: allowed on 6.18, refused by later kernels; the calls go on."),
        tried("1.reap.15", "MADV_DONTNEED on the ring loses nothing; MADV_REMOVE is ENODEV."),
        tried(
            "1.lookup.1",
            "A context is found by the u32 at its address: it is an index, and that entry's address must be this one.",
        ),
        tried(
            "1.lookup.2",
            "Any other address is EINVAL, never EFAULT: 0, 1, -1, context + 1, context + 8, unmapped, readable, destroyed.",
        ),
    ]
}
