//! Section 2: what is an event, and when it is there; POLL.

use super::{read, tried};
use crate::rows::Row;

pub fn rows() -> Vec<Row> {
    [errors(), data(), done(), polls()].into_iter().flatten().collect()
}

fn errors() -> Vec<Row> {
    vec![
        tried("2.event.1", "A buffer that is not mapped: an EFAULT event"),
        tried("2.event.2", "The file system's largest size: an EFBIG event"),
        tried("2.event.3", "RLIMIT_FSIZE: an EFBIG event, and SIGXFSZ to the thread that submits"),
        tried("2.event.4", "No space: an ENOSPC event"),
        tried("2.event.5", "The device fails: an EIO event"),
        tried("2.event.6", "A file that cannot seek, with an offset it does not ignore: an ESPIPE event"),
        tried(
            "2.event.7",
            "Nobody reads the pipe or socket: an EPIPE event, and SIGPIPE to the thread that submits",
        ),
        tried("2.event.8", "With NOSIGNAL there is no SIGPIPE"),
        tried("2.event.9", "A socket that is not connected: an ENOTCONN event"),
        tried("2.event.10", "NOWAIT for a buffered write on ext4: an EOPNOTSUPP event"),
    ]
}

fn data() -> Vec<Row> {
    vec![
        tried("2.data.1", "Behind the end of file 0, over it what is there, no bytes 0, also with buffer 0"),
        tried("2.data.2", "A length above 0x7ffff000 is cut to it"),
        tried("2.data.3", "A buffer with a hole: bytes up to it; with O_DIRECT an EFAULT event"),
        tried("2.data.4", "A vector whose first entry is bad: EFAULT; whose second is: the bytes of the first"),
        tried("2.data.5", "O_DIRECT with a length or an offset that is not aligned: an EINVAL event"),
        tried("2.data.6", "O_DIRECT memory needs no more alignment than the device's DMA"),
        tried("2.data.7", "Pipes ignore an offset from 0 on"),
        tried("2.data.8", "Sockets take offset 0; another one is ESPIPE"),
        tried("2.data.9", "Terminals ignore the offset"),
        tried("2.data.10", "An eventfd is read in 8 bytes; fewer are EINVAL"),
        tried("2.data.11", "An empty pipe with O_NONBLOCK or NOWAIT: an EAGAIN event at once"),
        tried("2.data.12", "A full pipe with O_NONBLOCK: first a short write, then EAGAIN"),
        tried(
            "2.data.13",
            "An empty pipe that blocks: io_submit waits for the data, and the event is there when it returns",
        ),
        tried(
            "2.data.14",
            "A signal handler that runs meanwhile ends it: io_submit returns 1, and the event has EINTR, SA_RESTART or not",
        ),
        tried("2.data.15", "No bytes of an empty pipe: 0"),
        tried(
            "2.data.16",
            "O_APPEND and APPEND write at the end of the file, wherever it is by then; the offset does not matter",
        ),
        tried("2.data.17", "NOAPPEND overrides O_APPEND"),
        tried("2.data.18", "The file position is not used and does not move"),
    ]
}

fn done() -> Vec<Row> {
    vec![
        tried("2.done.1", "Buffered reads and writes are done inside io_submit"),
        tried(
            "2.done.2",
            "O_DIRECT reads, overwrites, and writes into what fallocate gave are in flight when io_submit returns, synchronous ones too",
        ),
        tried(
            "2.done.3",
            "O_DIRECT writes that extend the file are done inside io_submit, and the new size is seen on return",
        ),
        tried("2.done.4", "An fsync runs later"),
        tried("2.done.5", "res2 is 0"),
        read("2.done.6", "Buffered requests of one thread happen to be done in order"),
    ]
}

fn polls() -> Vec<Row> {
    vec![
        tried(
            "2.poll.1",
            "A mask of more than 16 bits, and an offset, length or aio_rw_flags other than 0: EINVAL",
        ),
        tried("2.poll.2", "POLLERR and POLLHUP need not be asked for; a mask of 0 waits for them"),
        tried("2.poll.3", "It fires once"),
        tried(
            "2.poll.4",
            "Ready at submission: the event is there on return, with what is ready of what was asked for",
        ),
        tried("2.poll.5", "Woken later: the event has the whole mask of the waker"),
        read("2.poll.6", "A wake-up without a mask looks again, and waits on if nothing fits"),
        tried("2.poll.7", "Regular files, directories and /dev/null are ready for reading and writing"),
        tried(
            "2.poll.8",
            "A terminal, or a FIFO open for both, has several wait queues: not ready it is EINVAL at submission",
        ),
        read("2.poll.9", "A file that never registers a waiter and is not ready: EINVAL"),
        tried("2.poll.10", "An epoll descriptor works"),
        tried("2.poll.11", "There is no POLLNVAL: a bad descriptor is EBADF at submission"),
        tried("2.poll.12", "It holds the file: it fires after close"),
        tried(
            "2.poll.13",
            "A pipe whose reading end only it holds takes one write more; after the event writes are EPIPE",
        ),
        tried("2.poll.14", "Cancelled or destroyed: an event with 0"),
    ]
}
