//! Where ours may differ from the kernel: one function for each entry of docs/decisions.md that shows here.
//!
//! * A1, A2: what waits does not block io_submit. The world compares events and contents after all that must end
//!   has ended; a read that would block gets its data from a second thread meanwhile (`world::feeder`).
//! * A4: the memory of a destroyed context's ring is never looked at (`world::ring`).
//! * A6: no plan forges a tail, grows a ring or uses MADV_REMOVE; a context whose ring cannot be read is only destroyed.
//! * A19: after something became readable, the POLLs that wait for it end before anything is taken away
//!   (`world::streams`).
//! * A signal that one request of a batch raises is pending until the kernel's io_submit returns, and cuts short what
//!   follows; so nothing follows it (`world::submit`).
//! * A10: also, the second thread never breaks a pipe on which a write waits.

use uaio::abi::{RWF_NOWAIT, RingHeader};

use crate::calls::{Engine, Side};
use crate::world::fds::Fd;

const POLLERR: u64 = 0x8;
const POLLHUP: u64 = 0x10;

/// A3: the result of a POLL that was woken later: the kernel's is the waker's whole mask.
pub fn poll_result(res: i64, mask: u64) -> i64 {
    if res <= 0 { res } else { (res as u64 & (mask | POLLERR | POLLHUP)) as i64 }
}

/// A17: a thread that waited when its context was destroyed gets EINVAL; the kernel's takes what is there, if anything.
pub fn waiter_of_destroyed(got: isize, alive: bool, wanted: usize) -> isize {
    let gave_something = got > 0 && got <= wanted as isize;
    if !alive && gave_something { -(libc::EINVAL as isize) } else { got }
}

/// A10: an O_DIRECT overwrite beyond the file-size limit, which a library thread performs, raises no SIGXFSZ.
pub fn may_lack_its_signal(file: Fd, write: bool) -> bool {
    write && file.direct()
}

/// A18: a buffered write of nothing with RWF_NOWAIT; the kernel's file system refuses what ours does not ask it.
pub fn is_empty_nowait_write(file: Fd, rw_flags: u32, empty: bool) -> bool {
    empty && rw_flags & RWF_NOWAIT != 0 && file.inode().is_some()
}

/// A24: a kernel context that is used again has the index that it had, and begins with head and tail where they were. With
/// `auto` that does not show before its first io_submit.
pub fn first_header(side: Side, header: RingHeader) -> RingHeader {
    if side.engine() != Engine::Kernel {
        return header;
    }
    let (head, tail) = if header.head == header.tail { (0, 0) } else { (header.head, header.tail) };
    RingHeader { id: 0, head, tail, ..header }
}

/// Two SIGPIPE or SIGXFSZ of one io_submit are one to the program where they are made inside one system call.
pub fn signals(count: u32) -> bool {
    count > 0
}

/// B1, B6: descriptors of ours in the program's table: the socket that files are sent over, and the timers that
/// io_pgetevents sleeps on, one for each thread that sleeps at once. They sit at the upper end of the table.
pub fn is_librarys_own(side: Side, fd: i32, link: &str) -> bool {
    matches!(side, Side::Ours(_)) && fd >= FIRST_OWN && (link.starts_with("socket:") || link.contains("[timerfd]"))
}

/// Below this no descriptor is ours.
const FIRST_OWN: i32 = 600;
