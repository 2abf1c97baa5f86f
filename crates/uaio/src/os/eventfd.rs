//! Eventfds: the program's, which are told of events, and our own.
//!
//! The kernel's AIO adds 1 for each event and never waits; a full counter stays full. A write waits where the counter is
//! full and the file blocks, and whether it blocks is the program's affair: so there is a look before each write.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::abi::Timespec;
use crate::errno::{Errno, Result};
use crate::os::file;
use crate::os::raw::sys;

/// Eventfds looked at by one call.
const ROW: usize = 64;
/// From so many additions on it pays to read the counter once instead of a look before each of them.
const MANY: u64 = 8;

/// A new eventfd, non-blocking and close-on-exec. EMFILE, ENFILE, ENOMEM.
pub(crate) fn new() -> Result<OwnedFd> {
    // SAFETY: reads no memory.
    let fd = unsafe { sys!(SYS_eventfd2, 0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) }?;
    // SAFETY: made a line above, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Sets an eventfd back to 0.
pub(crate) fn reset(eventfd: &OwnedFd) {
    let mut count = 0u64;
    // SAFETY: writes 8 bytes to `count`. EAGAIN: it was 0.
    let _ = unsafe { sys!(SYS_read, eventfd.as_raw_fd(), &raw mut count, 8) };
}

/// Adds 1 for an event. The caller has made sure that `fd` is an eventfd.
pub(crate) fn add_one(fd: i32) {
    // With RLIMIT_NOFILE 0 nothing can be polled, and EINVAL says so.
    let full = file::poll_now(fd, libc::POLLOUT as u16).is_ok_and(|ready| ready & libc::POLLOUT as u16 == 0);
    if !full {
        write(fd, 1);
    }
}

/// Adds to each eventfd of `list` the number beside it, of events.
pub(crate) fn add_all(list: &[(i32, u64)]) {
    for row in list.chunks(ROW) {
        // EINVAL: RLIMIT_NOFILE is under the length of the row.
        let Ok(free) = writable(row) else {
            row.iter().for_each(|(fd, events)| (0..*events).for_each(|_| add_one(*fd)));
            continue;
        };
        for ((fd, events), _) in row.iter().zip(free).filter(|(_, free)| *free) {
            add(*fd, *events);
        }
    }
}

/// Which eventfds of a row are not full.
fn writable(row: &[(i32, u64)]) -> Result<[bool; ROW]> {
    let look =
        |i: usize| libc::pollfd { fd: row.get(i).map_or(-1, |(fd, _)| *fd), events: libc::POLLOUT, revents: 0 };
    let mut polls: [libc::pollfd; ROW] = core::array::from_fn(look);
    let now = Timespec::default();
    // SAFETY: as many pollfds as named, and a time; they outlive the call.
    while let Err(e) = unsafe { sys!(SYS_ppoll, polls.as_mut_ptr(), row.len(), &raw const now, 0, 8) } {
        if e != Errno::EINTR {
            return Err(e);
        }
    }
    Ok(polls.map(|poll| poll.revents & libc::POLLOUT != 0))
}

/// Adds `events` to an eventfd that is not full.
fn add(fd: i32, events: u64) {
    if events == 1 || (events >= MANY && has_room(fd)) {
        return write(fd, events);
    }
    (0..events).for_each(|_| add_one(fd));
}

/// Whether the counter is known to be low. False where there is no /proc.
fn has_room(fd: i32) -> bool {
    let path = format!("/proc/thread-self/fdinfo/{fd}\0");
    let Ok(info) = file::open(path.as_bytes(), libc::O_RDONLY | libc::O_CLOEXEC, 0) else { return false };
    let mut text = [0u8; 256];
    let got = file::read_start(info, &mut text).unwrap_or(0);
    file::close(info);
    let lines = text[..got].split(|byte| *byte == b'\n');
    let mut counts =
        lines.filter_map(|line| line.strip_prefix(b"eventfd-count:")).filter_map(|hex| str::from_utf8(hex).ok());
    counts.next().and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).is_some_and(|count| count < 1 << 62)
}

fn write(fd: i32, events: u64) {
    // SAFETY: reads 8 bytes of ours.
    let _ = unsafe { sys!(SYS_write, fd, &raw const events, 8) };
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    fn count(eventfd: &OwnedFd) -> u64 {
        let mut count = 0u64;
        // SAFETY: room for 8 bytes.
        let got = unsafe { libc::read(eventfd.as_raw_fd(), (&raw mut count).cast(), 8) };
        if got == 8 { count } else { 0 }
    }

    #[test]
    fn every_event_counts() {
        let eventfds: Vec<_> = (0..150).map(|_| new().unwrap()).collect();
        let list: Vec<_> = eventfds.iter().enumerate().map(|(i, e)| (e.as_raw_fd(), 1 + i as u64 % 11)).collect();
        add_all(&list);
        for (eventfd, (_, events)) in eventfds.iter().zip(&list) {
            assert_eq!(count(eventfd), *events);
        }
    }

    /// A full counter stays full, whatever it lacks, and nobody waits.
    #[test]
    fn a_full_counter_stays_full() {
        for (events, lacks) in [(1, 0), (1, 1), (3, 1), (3, 2), (20, 5), (20, 20), (20, 30)] {
            let eventfd = new().unwrap();
            // SAFETY: reads no memory.
            unsafe { libc::fcntl(eventfd.as_raw_fd(), libc::F_SETFL, 0) };
            write(eventfd.as_raw_fd(), u64::MAX - 1 - lacks);
            // SAFETY: reads no memory.
            unsafe { libc::alarm(120) };
            add_all(&[(eventfd.as_raw_fd(), events)]);
            assert_eq!(count(&eventfd), u64::MAX - 1 - lacks + events.min(lacks));
            // SAFETY: reads no memory.
            unsafe { libc::alarm(0) };
        }
    }
}
