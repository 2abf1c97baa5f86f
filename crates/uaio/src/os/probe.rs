//! Whether an address may be touched: the caller's bad pointer must be EFAULT, not a crash.
//!
//! A probe says what is true now; a program that unmaps its iocb from another thread while io_submit reads
//! it is outside of what can be caught.

use crate::errno::Errno;
use crate::os::raw::sys;

const PAGE: usize = 4096;

/// Whether `len` bytes at `addr` can be read.
pub(crate) fn readable(addr: usize, len: usize) -> bool {
    each_page(addr, len, readable_word)
}

/// Whether `len` bytes at `addr` can be written (and read). Leaves them as they are.
pub(crate) fn writable(addr: usize, len: usize) -> bool {
    each_page(addr, len, writable_word)
}

/// Pages that were found good a moment ago: the iocbs of one io_submit mostly lie side by side.
#[derive(Debug)]
pub(crate) struct Pages {
    readable: usize,
    /// Readable too.
    writable: usize,
}

impl Pages {
    /// None is known.
    pub(crate) fn new() -> Pages {
        Pages { readable: usize::MAX, writable: usize::MAX }
    }

    /// As [`readable`].
    pub(crate) fn readable(&mut self, addr: usize, len: usize) -> bool {
        let page = only_page(addr, len);
        if page.is_some_and(|page| page == self.readable || page == self.writable) {
            return true;
        }
        let good = readable(addr, len);
        if let Some(page) = page.filter(|_| good) {
            self.readable = page;
        }
        good
    }

    /// As [`writable`].
    pub(crate) fn writable(&mut self, addr: usize, len: usize) -> bool {
        let page = only_page(addr, len);
        if page == Some(self.writable) {
            return true;
        }
        let good = writable(addr, len);
        if let Some(page) = page.filter(|_| good) {
            self.writable = page;
        }
        good
    }
}

/// The page that the whole range lies in, if it lies in one.
fn only_page(addr: usize, len: usize) -> Option<usize> {
    let last = addr.checked_add(len.saturating_sub(1))?;
    (addr / PAGE == last / PAGE).then_some(addr / PAGE)
}

/// Calls `probe` with an aligned word in each page of the range. It may lie beside the range, but in the same
/// page: so also 4 bytes just before a hole can be probed.
fn each_page(addr: usize, len: usize, probe: fn(usize) -> bool) -> bool {
    if len == 0 {
        return true;
    }
    let Some(end) = addr.checked_add(len) else { return false };
    let mut at = addr;
    loop {
        if !probe(at & !7) {
            return false;
        }
        at = (at / PAGE + 1) * PAGE;
        if at >= end {
            return true;
        }
    }
}

/// The aligned 8 bytes around `addr`, by a call that copies a signal mask in and then refuses `how`.
fn readable_word(addr: usize) -> bool {
    let addr = addr & !7;
    // Miri makes no system call of ours, and its models have good addresses only.
    if cfg!(miri) || in_own_frame(addr, 8) {
        return true;
    }
    const NO_SUCH_HOW: usize = 99;
    // SAFETY: `how` is invalid, so the mask is read and nothing is changed; no old mask is written.
    match unsafe { sys!(SYS_rt_sigprocmask, NO_SUCH_HOW, addr, 0, 8) } {
        Err(Errno::EINVAL) => true,
        Err(Errno::EFAULT) => false,
        _ => comparable_word(addr),
    }
}

/// The same where a filter forbids the call: a futex call compares both words with 0, and then moves nobody.
#[cold]
fn comparable_word(addr: usize) -> bool {
    let own = 0u32;
    let op = libc::FUTEX_CMP_REQUEUE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: wakes and moves nobody; reads the word, or fails with EFAULT.
    let read = |word: usize| unsafe { sys!(SYS_futex, word, op, 0, 0, &raw const own, 0) };
    [addr, addr + 4].iter().all(|word| read(*word) != Err(Errno::EFAULT))
}

/// The 4 bytes at `addr`, which is aligned, by an atomic "add 0" of the kernel.
fn writable_word(addr: usize) -> bool {
    if cfg!(miri) || in_own_frame(addr, 4) {
        return true;
    }
    const ADD_ZERO_NEVER_WAKE: usize = (1 << 28) | (2 << 24);
    let own = 0u32;
    let op = libc::FUTEX_WAKE_OP | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: wakes nobody at `own`; adds 0 to the word at `addr`, or fails with EFAULT.
    unsafe { sys!(SYS_futex, &raw const own, op, 0, 0, addr, ADD_ZERO_NEVER_WAKE) }.is_ok()
}

/// Whether the bytes lie in the page that this very function's frame lies in.
fn in_own_frame(addr: usize, len: usize) -> bool {
    let here = 0u8;
    let page = (&raw const here as usize) / PAGE;
    addr / PAGE == page && (addr + len - 1) / PAGE == page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mem;

    #[test]
    fn both_looks_see_the_same() {
        let map = mem::map_private(3 * PAGE).unwrap();
        let base = map as usize;
        mem::protect_none(base + PAGE, PAGE);
        mem::protect_read(base + 2 * PAGE, PAGE);
        for (at, good) in [(0, true), (PAGE - 8, true), (PAGE, false), (2 * PAGE - 8, false), (2 * PAGE, true)] {
            assert_eq!((readable_word(base + at), comparable_word(base + at)), (good, good), "{at}");
        }
        assert!(!comparable_word(0) && !comparable_word(usize::MAX - 7));
        mem::unmap(base, 3 * PAGE);
    }

    #[test]
    fn holes_and_read_only_pages_are_seen() {
        let map = mem::map_private(3 * PAGE).unwrap();
        let base = map as usize;
        assert!(readable(base, 3 * PAGE) && writable(base, 3 * PAGE));
        mem::protect_none(base + PAGE, PAGE);
        assert!(readable(base, PAGE) && readable(base + 2 * PAGE, PAGE));
        assert!(!readable(base, PAGE + 1) && !readable(base + PAGE - 4, 8) && !readable(base + PAGE, 1));
        assert!(readable(base + PAGE - 4, 4) && readable(base + PAGE - 1, 1) && writable(base + PAGE - 4, 4));
        assert!(!readable(base + PAGE - 1, 2) && !readable(base + 2 * PAGE - 1, 1));
        assert!(!writable(base, 3 * PAGE) && !writable(base + PAGE - 4, 8) && writable(base, PAGE));
        mem::protect_read(base + 2 * PAGE, PAGE);
        assert!(readable(base + 2 * PAGE, PAGE) && !writable(base + 2 * PAGE, 8));
        assert!(!readable(0, 8) && !writable(8, 8) && !readable(usize::MAX - 7, 8) && !readable(usize::MAX, 64));
        mem::unmap(base, 3 * PAGE);
    }
}
