//! The kernel's own six calls, for `UAIO_ENGINE=off` and for the engine `kernel`.

use crate::abi::{ContextId, IoEvent, Timespec, nr};
use crate::errno::{Errno, Result};
use crate::os::file;
use crate::os::raw::{check, sys, syscall6};

/// Makes one of the six calls as the caller made it.
///
/// # Safety
/// As the call itself.
pub(crate) unsafe fn call(number: usize, args: [usize; 6]) -> isize {
    debug_assert!(
        [nr::IO_SETUP, nr::IO_DESTROY, nr::IO_GETEVENTS, nr::IO_SUBMIT, nr::IO_CANCEL, nr::IO_PGETEVENTS]
            .contains(&number)
    );
    // SAFETY: the caller's promise.
    unsafe { syscall6(number, args) }
}

/// A kernel context for `nr_events` requests; the address of its ring.
pub(crate) fn set_up(nr_events: u32) -> Result<ContextId> {
    let mut at: ContextId = 0;
    // SAFETY: `at` is there for the call to write.
    check(unsafe { call(nr::IO_SETUP, [nr_events as usize, &raw mut at as usize, 0, 0, 0, 0]) }).map(|_| at)
}

/// Destroys the kernel context at `at`, which takes some 30 ms.
pub(crate) fn destroy(at: ContextId) {
    // SAFETY: any number is a valid argument.
    let _ = unsafe { call(nr::IO_DESTROY, [at, 0, 0, 0, 0, 0]) };
}

/// Whether the kernel has a context of this name.
pub(crate) fn is_context(at: ContextId) -> bool {
    let time = Timespec::default();
    // SAFETY: asks for no events.
    let answer = unsafe { call(nr::IO_GETEVENTS, [at, 0, 0, 0, &raw const time as usize, 0]) };
    // EINTR too: the thread was stopped, or traced, at that moment.
    answer != Errno::EINVAL.negated()
}

/// Waits for `least` events of the context at `at`, and throws them away. The number taken; 0: none came for `ns` nanoseconds.
pub(crate) fn wait(at: ContextId, least: usize, events: &mut [IoEvent], ns: u64) -> usize {
    let time = Timespec { sec: (ns / 1_000_000_000) as i64, nsec: (ns % 1_000_000_000) as i64 };
    let args = [at, least, events.len(), events.as_mut_ptr() as usize, &raw const time as usize, 0];
    // SAFETY: the events and the time outlive the call.
    check(unsafe { call(nr::IO_GETEVENTS, args) }).unwrap_or(0)
}

/// Whether one mapping, and nothing else, lies at `at`, `bytes` long. Linux 6.17 and later move whatever lies in a range of
/// addresses, and these can be asked; earlier ones refuse a range that is not one mapping.
pub(crate) fn is_one_mapping(at: usize, bytes: usize) -> bool {
    /// `PROCMAP_QUERY`, and `struct procmap_query` in words: its size, flags, address; then start, end, …
    const QUERY: usize = 0xc068_6611;
    const WORDS: usize = 13;
    let mut query = [0u64; WORDS];
    query[..3].copy_from_slice(&[8 * WORDS as u64, 0, at as u64]);
    let Ok(fd) = file::open(b"/proc/self/maps\0", libc::O_RDONLY | libc::O_CLOEXEC, 0) else { return false };
    // SAFETY: the call writes within the array, whose size it was told.
    let answer = unsafe { sys!(SYS_ioctl, fd, QUERY, query.as_mut_ptr()) };
    file::close(fd);
    match answer {
        Ok(_) => (query[3], query[4]) == (at as u64, (at + bytes) as u64),
        Err(why) => why == Errno::ENOTTY,
    }
}

/// Addresses that nobody else gets, `bytes` long.
pub(crate) fn reserve(bytes: usize) -> Result<usize> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
    unsafe { sys!(SYS_mmap, 0, bytes, libc::PROT_NONE, flags, -1isize, 0) }
}

/// The addresses from `at` on, so that nobody else gets them. False: somebody has them.
pub(crate) fn reserve_at(at: usize, bytes: usize) -> bool {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: a new mapping that replaces none.
    let got = unsafe { sys!(SYS_mmap, at, bytes, libc::PROT_NONE, flags, -1isize, 0) };
    match got {
        // Before Linux 4.17 the address is only a wish.
        Ok(elsewhere) if elsewhere != at => {
            unreserve(elsewhere, bytes);
            false
        }
        answer => answer.is_ok(),
    }
}

/// Gives them back.
pub(crate) fn unreserve(at: usize, bytes: usize) {
    crate::os::mem::unmap(at, bytes);
}

/// Moves a kernel context's ring of `bytes` bytes from `from` to `to`: that is its name from now on.
///
/// # Safety
/// What is mapped at `to` is given up.
pub(crate) unsafe fn move_ring(from: usize, bytes: usize, to: usize) -> Result<()> {
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    // SAFETY: the caller's promise for `to`; `from` is the ring's own mapping.
    unsafe { sys!(SYS_mremap, from, bytes, bytes, flags, to) }.map(drop)
}
