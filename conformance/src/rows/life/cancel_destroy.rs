//! Sections 4 and 5: io_cancel and io_destroy.

use super::{Row, read, tried};

pub fn rows() -> Vec<Row> {
    let mut all = cancel();
    all.extend(destroy());
    all
}

fn cancel() -> Vec<Row> {
    vec![
        tried("4.1", "First check: aio_key of the iocb cannot be read, NULL too: EFAULT."),
        tried("4.2", "Second: aio_key is not 0: EINVAL."),
        tried("4.3", "Third: no such context: EINVAL."),
        tried(
            "4.4",
            "Fourth: no request in flight that can be cancelled has this iocb's address (a copy, done, cancelled, read, write, fsync): EINVAL.",
        ),
        tried("4.5", "Found: EINPROGRESS, and the event comes through the ring."),
        tried("4.6", "0 and EAGAIN are never returned; `result` is neither read nor written."),
        tried("4.7", "The event of a cancelled POLL has res 0, and signals its eventfd once."),
        tried("4.8", "The same iocb in flight twice: a call cancels the older request."),
        read("4.9", "Only POLL can be cancelled: never reads and writes of files, block devices, pipes, sockets."),
    ]
}

fn destroy() -> Vec<Row> {
    vec![
        tried("5.1", "Two threads at once: one does it, the other is EINVAL at once and does not wait."),
        tried("5.2", "No such context (0, rubbish, unreadable, destroyed): EINVAL, never EFAULT."),
        tried("5.3", "A second call is EINVAL, and so is every other call with the context."),
        tried("5.4", "Waits for O_DIRECT transfers and fsyncs in flight."),
        tried("5.5", "POLLs in flight are cancelled; their eventfds are signalled."),
        tried(
            "5.6",
            "A thread blocked inside io_submit (an empty pipe): io_destroy returns after it; the request is performed.",
        ),
        tried("5.7", "Events that nobody has reaped are dropped."),
        tried("5.8", "The ring is no longer mapped afterwards (mincore: ENOMEM)."),
        read("5.9", "It is not interrupted by signals."),
        tried(
            "5.10",
            "A ring that the program has unmapped, or replaced by other memory: EINVAL; the context stays until the process ends.",
        ),
        read("5.11", "After 0, nothing touches any buffer of its requests."),
    ]
}
