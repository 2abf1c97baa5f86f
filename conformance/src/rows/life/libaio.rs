//! Section 7: what libaio.so.1 (0.3.113) is, and what it adds to the calls.

use super::{Row, read, tried, without_case};

pub fn rows() -> Vec<Row> {
    let mut all = symbols();
    all.extend(rules());
    all.extend(readers());
    all
}

fn symbols() -> Vec<Row> {
    vec![
        tried("7.sym.1", "LIBAIO_0.1: io_queue_init, io_queue_run, io_queue_release, io_submit."),
        tried("7.sym.2", "LIBAIO_0.4, not 0.1: io_setup, io_destroy."),
        tried("7.sym.3", "LIBAIO_0.4, and an older form in LIBAIO_0.1: io_cancel, io_getevents, io_queue_wait."),
        tried("7.sym.4", "LIBAIO_0.5: io_pgetevents."),
        tried("7.sym.5", "The versions are symbols themselves: LIBAIO_0.1, LIBAIO_0.4, LIBAIO_0.5."),
        tried(
            "7.sym.6",
            "Nothing else is exported; the soname is libaio.so.1, or libaio.so.1t64 on newer distributions.",
        ),
    ]
}

fn rules() -> Vec<Row> {
    vec![
        tried("7.rule.1", "The functions return 0 or more, or a negated errno, and leave errno as it was."),
        read("7.rule.2", "Results pass through int."),
        tried("7.rule.3", "io_setup takes its int as unsigned: -1 is EINVAL."),
        tried(
            "7.rule.4",
            "io_queue_init: not positive is -EINVAL, the context untouched; else the context is set to 0 and io_setup called.",
        ),
        tried("7.rule.5", "io_queue_release is io_destroy."),
        tried(
            "7.rule.6",
            "io_queue_run calls each event's data as a function (context, iocb, res, res2) until none is there: 0, or io_getevents' error; a NULL function crashes.",
        ),
        tried("7.rule.7", "io_queue_wait of 0.4 asks for no events, so it returns 0 at once."),
        tried("7.rule.8", "io_getevents of 0.1 has no min_nr: it is 1."),
        tried("7.rule.9", "io_cancel of 0.1 has no result; io_queue_wait of 0.1 is as that of 0.4."),
        tried(
            "7.rule.10",
            "io_queue_run and io_queue_wait call io_getevents by name: another library can replace it.",
        ),
        tried(
            "7.rule.11",
            "io_getevents and io_pgetevents answer 0 by themselves, arguments unchecked, for {0, 0} and a ring at the context with the magic and head == tail.",
        ),
        tried("7.rule.12", "A NULL context is -EINVAL in each."),
        without_case(
            "a crash is no promise; ours answers -EINVAL",
            tried("7.rule.13", "A context that cannot be read crashes io_getevents."),
        ),
        tried("7.rule.14", "io_pgetevents without a mask is io_getevents."),
    ]
}

fn readers() -> Vec<Row> {
    vec![
        read(
            "7.header.1",
            "The header's io_prep_... functions zero the iocb first: io_set_callback and io_set_eventfd come after.",
        ),
        read("7.header.2", "res and res2 are unsigned long in the header: programs compare (long)res with 0."),
        read("7.reader.1", "fio and Artemis look at the magic before they reap by themselves; QEMU does not."),
        read("7.reader.2", "Some programs compute (res2 << 32) | res: res2 is 0."),
    ]
}
