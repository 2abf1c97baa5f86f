//! Whether an address may be touched: the caller's bad pointer must be EFAULT, not a crash.
//!
//! A probe says what is true now; a program that unmaps its iocb from another thread while io_submit reads
//! it is outside of what can be caught.

#[cfg(not(miri))]
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

use crate::errno::Errno;
#[cfg(not(miri))]
use crate::os::lock;
use crate::os::raw::sys;

const PAGE: usize = 4096;

/// Whether `len` bytes at `addr` can be read.
pub(crate) fn readable(addr: usize, len: usize) -> bool {
    if on_own_stack(addr, len) {
        return true;
    }
    each_page(addr, len, readable_word)
}

/// The word at `addr`, whatever happens to the memory there at this moment. None: it cannot be read. Slower than a look and a
/// read, and where it is forbidden no better.
#[cfg(not(any(loom, miri)))]
pub(crate) fn word_at(addr: usize) -> Option<u32> {
    let mut word = 0u32;
    let here = libc::iovec { iov_base: (&raw mut word).cast(), iov_len: 4 };
    let there = libc::iovec { iov_base: addr as *mut libc::c_void, iov_len: 4 };
    let me = crate::os::thread::pid();
    // SAFETY: the call writes to `word` only, and says EFAULT where it cannot read.
    match unsafe { sys!(SYS_process_vm_readv, me, &raw const here, 1, &raw const there, 1, 0) } {
        Ok(4) => Some(word),
        Err(Errno::EFAULT) | Ok(_) => None,
        // SAFETY: readable a moment ago; any bytes are a number.
        Err(_) => readable(addr, 4).then(|| unsafe { (addr as *const u32).read_volatile() }),
    }
}

/// Whether `len` bytes at `addr` can be written (and read). Leaves them as they are.
pub(crate) fn writable(addr: usize, len: usize) -> bool {
    if on_own_stack(addr, len) {
        return true;
    }
    // The quicker look reads the word and writes it back: only what is the caller's.
    let end = addr.wrapping_add(len);
    each_page(
        addr,
        len,
        |word| {
            if word >= addr && word + 8 <= end { rewritable_word(word) } else { writable_word(word) }
        },
    )
}

/// Whether the bytes lie between this function's frame and the end of the calling thread's own stack, where frames live: there
/// is memory as long as the thread is in them. False on other stacks (signal handlers', coroutines').
#[cfg(not(miri))]
fn on_own_stack(addr: usize, len: usize) -> bool {
    /// glibc and musl put what the thread pointer points to at the end of a thread's stack. A stack has 16 KiB at least
    /// (PTHREAD_STACK_MIN), so what is that near below it is that stack.
    const THREAD: usize = 12 << 10;
    /// The first thread's stack ends where its program's name is. 128 MiB below that nothing else is mapped.
    const FIRST: usize = 1 << 20;
    let byte = 0u8;
    let here = &raw const byte as usize;
    let inside = |end: usize, most: usize| {
        end.wrapping_sub(here) < most && addr >= here && addr.checked_add(len).is_some_and(|last| last <= end)
    };
    inside(lock::thread_id(), THREAD) || inside(first_stack_end(), FIRST)
}

#[cfg(not(miri))]
fn first_stack_end() -> usize {
    static END: AtomicUsize = AtomicUsize::new(0);
    let known = END.load(Relaxed);
    if known != 0 {
        return known;
    }
    // SAFETY: reads what the kernel has put there; there is an entry, so errno stays.
    let end = unsafe { libc::getauxval(libc::AT_EXECFN) } as usize;
    END.store(end.max(1), Relaxed);
    end
}

#[cfg(miri)]
fn on_own_stack(_addr: usize, _len: usize) -> bool {
    true
}

/// Pages that were found good a moment ago: the iocbs of one io_submit mostly lie side by side.
#[derive(Debug)]
pub(crate) struct Pages {
    readable: usize,
    /// Readable too.
    writable: usize,
    /// All are good.
    ours: bool,
}

impl Pages {
    /// None is known.
    pub(crate) fn new() -> Pages {
        Pages { readable: usize::MAX, writable: usize::MAX, ours: false }
    }

    /// Memory of this library's own: there is nothing to find out.
    pub(crate) fn ours() -> Pages {
        Pages { ours: true, ..Pages::new() }
    }

    /// As [`readable`].
    pub(crate) fn readable(&mut self, addr: usize, len: usize) -> bool {
        let page = only_page(addr, len);
        if self.ours
            || page.is_some_and(|page| page == self.readable || page == self.writable)
            || on_own_stack(addr, len)
        {
            return true;
        }
        let good = readable(addr, len);
        if let Some(page) = page.filter(|_| good) {
            self.readable = page;
        }
        good
    }

    /// As [`readable`], for an array beside which there are things that can be written, mostly: one look for both.
    pub(crate) fn entry(&mut self, addr: usize, len: usize) -> bool {
        let page = only_page(addr, len);
        let known = page.is_some_and(|page| page == self.readable || page == self.writable);
        if known || on_own_stack(addr, len) {
            return true;
        }
        if !self.writable(addr, len) {
            return self.readable(addr, len);
        }
        // Two places, so that the things in another page do not push the array out.
        self.readable = page.unwrap_or(self.readable);
        true
    }

    /// As [`writable`].
    pub(crate) fn writable(&mut self, addr: usize, len: usize) -> bool {
        let page = only_page(addr, len);
        if self.ours || page == Some(self.writable) || on_own_stack(addr, len) {
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
fn each_page(addr: usize, len: usize, probe: impl Fn(usize) -> bool) -> bool {
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

/// Whether sendfile tells; else [`writable_word`] must.
static SENDFILE: AtomicU8 = AtomicU8::new(NOT_KNOWN);
const NOT_KNOWN: u8 = 0;
const TELLS: u8 = 1;
const SAYS_NOTHING: u8 = 2;

/// The 8 bytes at `addr`, which is aligned and in memory that nobody else changes meanwhile: two thirds of the price of
/// [`writable_word`].
fn rewritable_word(addr: usize) -> bool {
    if cfg!(miri) || in_own_frame(addr, 8) {
        return true;
    }
    if SENDFILE.load(Relaxed) == NOT_KNOWN {
        // Other kernels may look at the descriptors first, and emulators write nothing back: then a bad address goes unnoticed.
        static READ_ONLY: u64 = 0;
        let tells = [8, &raw const READ_ONLY as usize].map(rewrite) == [Errno::EFAULT; 2];
        SENDFILE.store(if tells { TELLS } else { SAYS_NOTHING }, Relaxed);
    }
    // No offset at all is no bad one.
    if addr != 0 && SENDFILE.load(Relaxed) == TELLS {
        match rewrite(addr) {
            Errno::EBADF => return true,
            Errno::EFAULT => return false,
            _ => {}
        }
    }
    writable_word(addr)
}

/// sendfile reads its offset, finds that there are no files, and writes the offset back.
fn rewrite(addr: usize) -> Errno {
    // SAFETY: the 8 bytes keep their value; no file is touched.
    unsafe { sys!(SYS_sendfile, -1isize, -1isize, addr, 0) }.err().unwrap_or(Errno::EINVAL)
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
    fn the_own_stack_is_known_and_nothing_beyond_it() {
        let mine = 7u64;
        let here = &raw const mine as usize;
        let look = |at: usize, len| on_own_stack(at, len);
        assert!(look(here, 8) && !look(here, 1 << 40) && !look(here, usize::MAX) && !look(here - (1 << 20), 8));
        let heap = Box::new(0u64);
        assert!(!look(&raw const *heap as usize, 8) && !look(0, 8) && !look(usize::MAX - 3, 8));
        // A thread knows its own only.
        std::thread::scope(|s| assert!(!s.spawn(|| look(here, 8)).join().unwrap()));
        // On another stack nothing is known, as for a signal handler's.
        let stack = mem::map_private(64 * PAGE).unwrap() as usize;
        assert!(!look(stack + 64 * PAGE - 8, 8));
        mem::unmap(stack, 64 * PAGE);
    }

    #[test]
    fn both_looks_at_writable_memory_see_the_same() {
        let map = mem::map_private(2 * PAGE).unwrap();
        let base = map as usize;
        mem::protect_read(base + PAGE, PAGE);
        for (at, good) in [(0, true), (PAGE - 8, true), (PAGE, false)] {
            // SAFETY: nobody else knows the mapping; the words are inside.
            let word = || unsafe { ((base + at) as *const u64).read_volatile() };
            let before = word();
            assert_eq!((rewritable_word(base + at), writable_word(base + at)), (good, good), "{at}");
            assert_eq!(word(), before);
        }
        assert!(!rewritable_word(0) && !rewritable_word(usize::MAX - 7));
        assert_ne!(SENDFILE.load(Relaxed), NOT_KNOWN);
        mem::unmap(base, 2 * PAGE);
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
