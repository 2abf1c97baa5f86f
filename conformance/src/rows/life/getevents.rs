//! Section 3: io_getevents and io_pgetevents.

use super::{Row, read, tried};

pub fn rows() -> Vec<Row> {
    let mut all = checks();
    all.extend(waits());
    all.extend(signals());
    all.extend(copies());
    all
}

fn checks() -> Vec<Row> {
    vec![
        tried("3.1", "First check: a time-out that cannot be read is EFAULT."),
        tried(
            "3.2",
            "Second, of io_pgetevents: the block EFAULT; a mask whose size is not 8 EINVAL; a mask that cannot be read EFAULT. No mask: the size means nothing.",
        ),
        tried("3.3", "Third: no such context is EINVAL."),
        tried("3.4", "Fourth: min_nr < 0 or min_nr > nr is EINVAL, so nr < 0 too."),
    ]
}

fn waits() -> Vec<Row> {
    vec![
        tried("3.wait.1", "nr 0 and min_nr 0: 0 at once, whatever the time-out and the place for events."),
        tried(
            "3.wait.2",
            "min_nr 0: 0 at once from an empty ring, without time-out too; the place is not touched.",
        ),
        tried(
            "3.wait.3",
            "min_nr above what the ring can hold is allowed: it ends by time-out, signal or io_destroy.",
        ),
        tried("3.wait.4", "Time-out {0, 0}: one look."),
        tried("3.wait.5", "tv_nsec of a second and more counts: {0, 1e9} is a second, {-1, 1e9} is nothing."),
        tried("3.wait.6", "A negative time-out waits for ever."),
        tried("3.wait.7", "A huge tv_sec waits for ever."),
        tried("3.wait.8", "Time-out with k < min_nr: k, and the k events are in their place."),
        read("3.wait.9", "The time-out is relative, by the monotonic clock, and for the call as a whole."),
        read(
            "3.wait.10",
            "A waiter takes what is there before it sleeps, and from then on waits for the rest only.",
        ),
        tried(
            "3.wait.11",
            "Several waiters: each is woken when the events there reach what it still needs; any may take them; each event goes to one.",
        ),
        tried(
            "3.wait.12",
            "An event that a sleeping waiter has not taken is not its own: another may take it, and the waiter goes on waiting.",
        ),
        tried(
            "3.wait.13",
            "io_destroy meanwhile: the waiter returns EINVAL, or the k > 0 that it has, without waiting for io_destroy to end.",
        ),
    ]
}

fn signals() -> Vec<Row> {
    vec![
        tried("3.signal.1", "A handler ran and nothing was taken: EINTR, with SA_RESTART too."),
        tried("3.signal.2", "io_pgetevents likewise."),
        tried("3.signal.3", "A handler ran and k > 0 were taken: k."),
        tried("3.signal.4", "A blocked signal does not end the wait."),
        tried(
            "3.signal.5",
            "io_pgetevents whose mask lets a pending signal through, empty ring: EINTR at once, with time-out {0, 0} or min_nr 0 too.",
        ),
        tried("3.signal.6", "The same with an event there: the count, and the handler has run on return."),
        tried("3.signal.7", "An ignored signal does not end the wait."),
        tried("3.signal.8", "SIGSTOP and SIGCONT: io_getevents is EINTR without any handler."),
    ]
}

fn copies() -> Vec<Row> {
    vec![
        tried("3.copy.1", "The place for events faults at the first look: EFAULT, head not moved, nothing lost."),
        tried("3.copy.2", "It faults at a later look, k > 0 taken before: k, and the rest stays in the ring."),
        tried(
            "3.copy.3",
            "A look copies piece by piece, a piece being what is contiguous in a page of the ring (127 events in the first, then 128); a fault in any is EFAULT for the look.",
        ),
    ]
}
