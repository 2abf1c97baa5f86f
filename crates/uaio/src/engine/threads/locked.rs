//! What the library threads share with the program's: a value under an [`OwnerLock`].

use core::cell::UnsafeCell;

use crate::os::lock::OwnerLock;

#[derive(Debug, Default)]
pub(super) struct Locked<T> {
    lock: OwnerLock,
    value: UnsafeCell<T>,
}

// SAFETY: the value is touched under the lock only, by one thread at a time.
unsafe impl<T: Send> Sync for Locked<T> {}

impl<T> Locked<T> {
    /// None: somebody else is at it, who may be waiting for what a signal handler has interrupted.
    pub(super) fn try_briefly<R>(&self, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        let _owned = self.lock.try_acquire()?;
        // SAFETY: under the lock, which is not taken twice by one thread.
        Some(work(unsafe { &mut *self.value.get() }))
    }

    /// For a library thread: no handler interrupts it.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let _owned = self.lock.acquire().expect("a library thread uses it once at a time");
        // SAFETY: as in `try_briefly`.
        work(unsafe { &mut *self.value.get() })
    }
}
