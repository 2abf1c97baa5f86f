//! Locks that a signal handler cannot dead-lock on.

#[cfg(any(loom, miri))]
pub(crate) use crate::model::thread_id;

use crate::os::futex;
use crate::os::raw::sys;
use crate::os::time::Deadline;
use crate::sync::{AtomicU32, AtomicUsize, Ordering};

/// A number that no other thread of this process has at this time, at the price of one instruction.
///
/// It is the thread pointer, which libc makes unique. A CLONE_VM child may share its parent's; such a pair
/// takes each other's calls for nested ones, which is safe (see [`OwnerLock`]).
#[cfg(not(any(loom, miri)))]
#[inline]
pub(crate) fn thread_id() -> usize {
    let id: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads the thread control block's pointer to itself, present in every libc thread.
    unsafe {
        core::arch::asm!("mov {}, fs:0", out(reg) id, options(nostack, readonly, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reads a register.
    unsafe {
        core::arch::asm!("mrs {}, tpidr_el0", out(reg) id, options(nostack, nomem, preserves_flags));
    }
    id
}

const CONTENDED: usize = 1;
const SPINS: u32 = if cfg!(any(loom, miri)) { 0 } else { 100 };

/// A lock for sections of a few instructions, taken with signals enabled.
///
/// A signal handler that calls us inside its own thread's section gets [`None`] from [`acquire`] and must
/// take a path that does not need the lock; every user of the lock says which.
///
/// [`acquire`]: OwnerLock::acquire
#[derive(Debug, Default)]
pub(crate) struct OwnerLock {
    /// 0 free, else the owner's thread id, plus CONTENDED when somebody sleeps.
    word: AtomicUsize,
}

/// Holds an [`OwnerLock`].
#[derive(Debug)]
pub(crate) struct Owned<'a>(&'a OwnerLock);

impl OwnerLock {
    /// Takes the lock, or says that this very thread holds it already.
    #[inline]
    pub(crate) fn acquire(&self) -> Option<Owned<'_>> {
        let me = thread_id();
        // Acquire: pairs with the Release in `drop`.
        match self.word.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Some(Owned(self)),
            Err(owner) if owner & !CONTENDED == me => None,
            Err(_) => Some(self.acquire_slowly(me)),
        }
    }

    /// As [`acquire`], but gives up after a millisecond. For library threads: the owner may be a thread of the program's that a
    /// signal handler has interrupted, and the handler may be waiting for the caller's work.
    ///
    /// [`acquire`]: OwnerLock::acquire
    pub(crate) fn acquire_briefly(&self) -> Option<Owned<'_>> {
        if cfg!(any(loom, miri)) {
            // No handlers there: who gives up would only try again.
            return self.acquire();
        }
        self.try_acquire().or_else(|| {
            let held = self.word.load(Ordering::Relaxed);
            if held != 0 {
                self.sleep(held);
            }
            self.try_acquire()
        })
    }

    /// As [`acquire`], without a system call. None: somebody has it, perhaps this very thread.
    ///
    /// [`acquire`]: OwnerLock::acquire
    pub(crate) fn try_acquire(&self) -> Option<Owned<'_>> {
        let me = thread_id();
        let taken = |_| {
            core::hint::spin_loop();
            // Acquire: pairs with the Release in `drop`.
            self.word.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed).is_ok()
        };
        (0..=SPINS).any(taken).then(|| Owned(self))
    }

    #[cold]
    #[cfg_attr(any(loom, miri), allow(clippy::reversed_empty_ranges))]
    fn acquire_slowly(&self, me: usize) -> Owned<'_> {
        for _ in 0..SPINS {
            core::hint::spin_loop();
            // Acquire: pairs with the Release in `drop`.
            if self.word.compare_exchange_weak(0, me, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return Owned(self);
            }
        }
        loop {
            // Acquire: pairs with the Release in `drop`. Whoever comes this way leaves CONTENDED set.
            match self.word.compare_exchange(0, me | CONTENDED, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Owned(self),
                Err(held) => self.sleep(held),
            }
        }
    }

    fn sleep(&self, held: usize) {
        let marked = held | CONTENDED;
        if held == marked || self.word.compare_exchange(held, marked, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            let _ = futex::wait(self.low_half(), marked as u32, bound());
        }
    }

    #[cfg(any(loom, miri))]
    fn low_half(&self) -> &AtomicUsize {
        &self.word
    }

    #[cfg(not(any(loom, miri)))]
    fn low_half(&self) -> &AtomicU32 {
        let half = if cfg!(target_endian = "little") { 0 } else { 1 };
        // SAFETY: the half lies inside the word, is aligned, and every access to it is atomic.
        unsafe { &*self.word.as_ptr().cast::<AtomicU32>().add(half) }
    }
}

/// A bound on the sleep: two owners may share the low half that the futex compares. In a model they do not, so that it
/// shows a missing wake-up.
fn bound() -> Deadline {
    if cfg!(any(loom, miri)) { Deadline::NEVER } else { Deadline::after_ns(1_000_000) }
}

impl Drop for Owned<'_> {
    #[inline]
    fn drop(&mut self) {
        // Release: pairs with the Acquire of the next owner.
        if self.0.word.swap(0, Ordering::Release) & CONTENDED != 0 {
            futex::wake(self.0.low_half(), 1);
        }
    }
}

/// A lock for slow paths that make system calls: signals are blocked while it is held, so no handler of
/// the holder can run.
#[derive(Debug, Default)]
pub(crate) struct QuietLock {
    /// 0 free, 1 held, 2 held and somebody sleeps.
    word: AtomicU32,
}

/// Holds a [`QuietLock`].
#[derive(Debug)]
pub(crate) struct Quiet<'a> {
    lock: &'a QuietLock,
    mask: u64,
}

impl QuietLock {
    /// Blocks all signals, then takes the lock.
    pub(crate) fn acquire(&self) -> Quiet<'_> {
        let mask = block_signals();
        // Acquire: both pair with the Release in `drop`.
        if self.word.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            while self.word.swap(2, Ordering::Acquire) != 0 {
                let _ = futex::wait(&self.word, 2, Deadline::NEVER);
            }
        }
        Quiet { lock: self, mask }
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire of the next owner.
        if self.lock.word.swap(0, Ordering::Release) == 2 {
            futex::wake(&self.lock.word, 1);
        }
        restore_signals(self.mask);
    }
}

/// Signals 32 and 33 are libc's own; setuid() hangs when 33 is blocked.
const ALL_BUT_LIBC: u64 = !(0b11 << 31);

/// Blocks every signal of the program's in this thread; returns the mask that was.
pub(crate) fn block_signals() -> u64 {
    if cfg!(miri) {
        return 0;
    }
    let mut old = 0u64;
    let new = ALL_BUT_LIBC;
    // SAFETY: both masks are 8 bytes, as the size says.
    let _ = unsafe { sys!(SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const new, &raw mut old, 8) };
    old
}

/// Holds the program's signals back in this thread until it is dropped.
#[derive(Debug)]
pub(crate) struct SignalsHeld(u64);

impl SignalsHeld {
    pub(crate) fn hold() -> SignalsHeld {
        SignalsHeld(block_signals())
    }
}

impl Drop for SignalsHeld {
    fn drop(&mut self) {
        restore_signals(self.0);
    }
}

/// Puts a mask back.
pub(crate) fn restore_signals(mask: u64) {
    if cfg!(miri) {
        return;
    }
    // SAFETY: the mask is 8 bytes, as the size says.
    let _ = unsafe { sys!(SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, 0, 8) };
}
