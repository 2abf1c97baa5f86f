//! Whether an address may be touched: the caller's bad pointer must be EFAULT, not a crash.
//!
//! A probe says what is true now; a program that unmaps its iocb from another thread while io_submit reads
//! it is outside of what can be caught.

use crate::os::raw::sys;

const PAGE: usize = 4096;

/// Whether `len` bytes at `addr` can be read.
pub(crate) fn readable(addr: usize, len: usize) -> bool {
    each_page(addr, len, 8, readable_word)
}

/// Whether `len` bytes at `addr` can be written (and read). Leaves them as they are.
pub(crate) fn writable(addr: usize, len: usize) -> bool {
    each_page(addr, len, 4, writable_word)
}

/// Calls `probe` with an address in each page of the range; `width` bytes from it stay in the range
/// where the range is that long.
fn each_page(addr: usize, len: usize, width: usize, probe: fn(usize) -> bool) -> bool {
    if len == 0 {
        return true;
    }
    let Some(end) = addr.checked_add(len) else { return false };
    let last = end.saturating_sub(width).max(addr);
    let mut at = addr;
    loop {
        if !probe(at.min(last)) {
            return false;
        }
        at = (at / PAGE + 1) * PAGE;
        if at >= end {
            return last / PAGE == (end - 1) / PAGE || probe(last);
        }
    }
}

/// 8 bytes at `addr`, by a call that copies a signal mask in and then refuses `how`.
fn readable_word(addr: usize) -> bool {
    // Miri makes no system call of ours, and its models have good addresses only.
    if cfg!(miri) || in_own_frame(addr, 8) {
        return true;
    }
    const NO_SUCH_HOW: usize = 99;
    // SAFETY: `how` is invalid, so the mask is read and nothing is changed; no old mask is written.
    let ret = unsafe { sys!(SYS_rt_sigprocmask, NO_SUCH_HOW, addr, 0, 8) };
    ret == Err(crate::errno::Errno::EINVAL)
}

/// The aligned 4 bytes at or after `addr`, by an atomic "add 0" of the kernel.
fn writable_word(addr: usize) -> bool {
    if cfg!(miri) || in_own_frame(addr, 4) {
        return true;
    }
    const ADD_ZERO_NEVER_WAKE: usize = (1 << 28) | (2 << 24);
    let own = 0u32;
    let word = (addr + 3) & !3;
    let op = libc::FUTEX_WAKE_OP | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: wakes nobody at `own`; adds 0 to the word at `addr`, or fails with EFAULT.
    unsafe { sys!(SYS_futex, &raw const own, op, 0, 0, word, ADD_ZERO_NEVER_WAKE) }.is_ok()
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
    fn holes_and_read_only_pages_are_seen() {
        let map = mem::map_private(3 * PAGE).unwrap();
        let base = map as usize;
        assert!(readable(base, 3 * PAGE) && writable(base, 3 * PAGE));
        mem::protect_none(base + PAGE, PAGE);
        assert!(readable(base, PAGE) && readable(base + 2 * PAGE, PAGE));
        assert!(!readable(base, PAGE + 1) && !readable(base + PAGE - 4, 8) && !readable(base + PAGE, 1));
        assert!(!writable(base, 3 * PAGE) && !writable(base + PAGE - 4, 8) && writable(base, PAGE));
        mem::protect_read(base + 2 * PAGE, PAGE);
        assert!(readable(base + 2 * PAGE, PAGE) && !writable(base + 2 * PAGE, 8));
        assert!(!readable(0, 8) && !writable(8, 8) && !readable(usize::MAX - 7, 8) && !readable(usize::MAX, 64));
        mem::unmap(base, 3 * PAGE);
    }
}
