//! Section 11: where the manual pages and Linux differ. Manual; Linux 6.18; ours.

use super::{Row, read, tried};

pub fn rows() -> Vec<Row> {
    let mut all = reaping();
    all.extend(submitting());
    all
}

fn reaping() -> Vec<Row> {
    vec![
        tried("11.1", "io_destroy. Manual: EFAULT for a bad context. Linux: always EINVAL. Ours: as Linux."),
        tried(
            "11.2",
            "io_destroy. Manual: cancels everything, waits for what it cannot. Linux: cancels POLLs, waits for the rest and for threads inside io_submit. Ours: as Linux, but pipes, sockets and reads not begun are cancelled too (A1).",
        ),
        tried(
            "11.3",
            "io_cancel. Manual: 0, the event in result and not in the ring. Linux: EINPROGRESS, the event in the ring, result untouched. Ours: as Linux.",
        ),
        tried("11.4", "io_cancel. Manual: EAGAIN if it was not cancelled. Linux: EINVAL. Ours: as Linux."),
        tried("11.5", "io_cancel. Manual: any operation. Linux: POLL only. Ours: as Linux."),
        tried(
            "11.6",
            "io_getevents. Manual: says nothing of odd time-outs. Linux: negative ones wait for ever, tv_nsec is not checked. Ours: as Linux.",
        ),
        read(
            "11.7",
            "io_getevents. Manual: a time-out is rounded up, never early. Linux: likewise, with the timer slack. Ours: as Linux.",
        ),
        tried(
            "11.8",
            "io_getevents. Manual: EINTR by a handler. Linux: only if nothing was taken; also after SIGSTOP and SIGCONT. Ours: by handlers only (A9).",
        ),
        tried(
            "11.9",
            "io_getevents. Manual: without time-out it waits for min_nr. Linux: so min_nr 0 returns at once. Ours: as Linux.",
        ),
    ]
}

fn submitting() -> Vec<Row> {
    vec![
        tried(
            "11.10",
            "io_submit. Manual: EBADF for the first iocb's descriptor. Linux: for the first iocb that fails if it is the call's first, else a short count; for the open mode and the eventfd too. Ours: as Linux.",
        ),
        tried(
            "11.11",
            "io_submit. Manual: EINVAL if the operation does not fit the file. Linux: EOPNOTSUPP for flags and EPERM for priorities besides. Ours: as Linux.",
        ),
        tried(
            "11.12",
            "io_submit. Manual: asynchronous. Linux: waits for buffered files, blocking pipes and sockets. Ours: does not wait for pipes, sockets, cold reads (A1, A2).",
        ),
        tried("11.13", "IOCB_CMD_NOOP. Manual: listed. Linux: EINVAL. Ours: as Linux."),
        tried("11.14", "aio_flags. Manual: lists two. Linux: ignores all others. Ours: as Linux."),
        tried(
            "11.15",
            "RWF_APPEND. Manual: the offset is ignored. Linux: a negative one is EINVAL. Ours: as Linux.",
        ),
        tried("11.16", "RWF_HIPRI. Manual: polls if possible. Linux: drops it. Ours: as Linux."),
        tried(
            "11.17",
            "io_setup. Manual: EAGAIN above aio-max-nr, EINVAL for an internal limit. Linux: EINVAL (above 4194304) before EAGAIN; EAGAIN where doubling wraps. Ours: as Linux.",
        ),
        tried("11.18", "io_setup. Manual: nr_events requests at once. Linux: at least. Ours: at least."),
    ]
}
