//! Who has the requests of a context: our engines, or a real kernel context whose ring lies where ours was. Decided at
//! the first io_submit, before anything is in flight, and for good.

use super::Context;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Our engines. What zeroed memory says.
const OURS: u32 = 0;
/// Nothing was submitted yet, and the kernel may have it.
const OPEN: u32 = 1;
/// A kernel context. It gets every call, but for io_destroy.
const KERNELS: u32 = 2;
/// A thread is deciding it.
const DECIDING: u32 = 3;

#[derive(Debug, Default)]
pub(crate) struct Lane {
    word: AtomicU32,
    /// Index of the kernel context, as its ring has it.
    kernel_id: AtomicU32,
    /// Threads that may be asleep in the kernel's io_getevents. Never reset: one that io_destroy has woken may come back
    /// when the context is another one already.
    waiters: AtomicU32,
    /// How long io_destroy waits for each completion, in nanoseconds.
    patience_ns: AtomicU32,
    /// Requests that the kernel context has ever accepted, plus a multiple of its ring's length.
    accepted: AtomicU64,
}

impl Lane {
    /// A new context's: our engines'.
    pub(super) fn clear(&self) {
        self.word.store(OURS, Ordering::Relaxed);
    }

    /// The kernel may have it.
    pub(crate) fn open(&self) {
        self.word.store(OPEN, Ordering::Relaxed);
    }

    /// The caller decides. False: somebody has decided.
    pub(crate) fn begin(&self) -> bool {
        self.word.compare_exchange(OPEN, DECIDING, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Our engines have it from now on. The caller decides.
    pub(crate) fn close(&self) {
        // Release: pairs with the Acquire in `is_open`, so that who goes on with our engines comes after the decision.
        self.word.store(OURS, Ordering::Release);
    }

    /// Our engines have it, unless that was decided otherwise. False: it is just being decided.
    pub(crate) fn shut(&self) -> bool {
        // Acquire: pairs with the Release in `give`.
        self.word.compare_exchange(OPEN, OURS, Ordering::Relaxed, Ordering::Acquire) != Err(DECIDING)
    }

    /// Whether it is still to be decided.
    pub(crate) fn is_open(&self) -> bool {
        // Acquire: pairs with the Release in `close` and `give`.
        matches!(self.word.load(Ordering::Acquire), OPEN | DECIDING)
    }

    /// Whether a kernel context has it.
    pub(crate) fn is_kernels(&self) -> bool {
        // Acquire: pairs with the Release in `give`; who sees it sees the rest.
        self.word.load(Ordering::Acquire) == KERNELS
    }

    /// Kernel context `kernel_id`, whose ring's tail is `tail`, has it from now on.
    pub(super) fn give(&self, kernel_id: u32, tail: u32, patience_ns: u32) {
        self.kernel_id.store(kernel_id, Ordering::Relaxed);
        self.accepted.store(u64::from(tail), Ordering::Relaxed);
        self.patience_ns.store(patience_ns, Ordering::Relaxed);
        // Release: pairs with the Acquires in `is_kernels` and `is_open`.
        self.word.store(KERNELS, Ordering::Release);
    }

    pub(crate) fn kernel_id(&self) -> u32 {
        self.kernel_id.load(Ordering::Relaxed)
    }

    /// Who has not come after so long may never come.
    pub(crate) fn patience_ns(&self) -> u64 {
        u64::from(self.patience_ns.load(Ordering::Relaxed))
    }

    /// The kernel has accepted so many. The caller is inside a call with the context.
    pub(crate) fn count_accepted(&self, count: u64) {
        self.accepted.fetch_add(count, Ordering::Relaxed);
    }

    /// How many it had accepted, once no thread is inside io_submit any more.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Whether a thread is in the kernel's io_getevents, or was when it never came back.
    pub(crate) fn has_sleepers(&self) -> bool {
        // SeqCst: see `Wait::begin`.
        self.is_kernels() && self.waiters.load(Ordering::SeqCst) != 0
    }
}

/// A thread that goes to the kernel's io_getevents. It is not inside a call meanwhile.
#[derive(Debug)]
pub(crate) struct Wait(&'static Context, usize);

impl Wait {
    /// None: `context` is no kernel context's, is dead, or has another address.
    pub(crate) fn begin(context: &'static Context, address: usize) -> Option<Wait> {
        if !context.lane.is_kernels() {
            return None;
        }
        // SeqCst, here and in `has_sleepers`: a context is dead before its waiters are looked at, and a waiter is counted before
        // it looks whether the context is dead.
        context.lane.waiters.fetch_add(1, Ordering::SeqCst);
        let wait = Wait(context, address);
        (!context.is_dead() && context.lane.is_kernels() && context.ring.user() == address).then_some(wait)
    }

    /// The kernel context's name.
    pub(crate) fn address(&self) -> usize {
        self.1
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.0.lane.waiters.fetch_sub(1, Ordering::SeqCst);
    }
}
