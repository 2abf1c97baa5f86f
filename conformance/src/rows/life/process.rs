//! Section 6: threads, fork, exec, the end of a process, and eventfds.

use super::{Row, read, tried};

pub fn rows() -> Vec<Row> {
    let mut all = life();
    all.extend(resfd());
    all
}

fn life() -> Vec<Row> {
    vec![
        tried(
            "6.life.1",
            "Contexts belong to the memory: every thread, and a child by vfork or CLONE_VM, can use them.",
        ),
        tried("6.life.2", "fork: in the child every call with the parent's context is EINVAL."),
        tried("6.life.3", "fork: requests in flight stay the parent's."),
        tried(
            "6.life.4",
            "fork: on 6.18 the child has the ring mapped, sees head and tail, and can move the parent's head.",
        ),
        tried(
            "6.life.5",
            "fork: libaio's io_getevents with {0, 0} on an empty ring is 0 in the child, not EINVAL.",
        ),
        tried("6.life.6", "fork: io_setup works in the child, with a table of its own (index 0 again)."),
        tried("6.life.7", "exec: the contexts are gone, and what was accepted is performed before."),
        tried("6.life.8", "exit, _exit, SIGKILL: POLLs are cancelled and do not delay the end."),
        tried("6.life.9", "exit, _exit, SIGKILL: every accepted write is performed."),
        tried("6.life.10", "The thread that submitted ends: nothing changes for its requests."),
        read(
            "6.life.11",
            "Access was checked when the file was opened; an fsync runs with the rights at submission.",
        ),
        tried("6.life.12", "The target is closed meanwhile: the request holds the file."),
        tried("6.life.13", "The eventfd is closed meanwhile: the request holds it; a duplicate sees the count."),
        read("6.life.14", "dup2 over a descriptor meanwhile: the old file is used."),
    ]
}

fn resfd() -> Vec<Row> {
    vec![
        tried("6.resfd.1", "Each request that ends adds 1 to its eventfd, whatever its result."),
        tried("6.resfd.2", "A request that io_submit refuses adds nothing."),
        tried("6.resfd.3", "Event, then tail, then eventfd: who reads the eventfd finds the event."),
        tried("6.resfd.4", "A full counter stays at 2^64 - 1 and blocks nobody, a blocking eventfd neither."),
        read("6.resfd.5", "EFD_SEMAPHORE alters reading only."),
        tried("6.resfd.6", "Cancelled requests signal too."),
    ]
}
