//! Sleeping on a word of our own memory.

#[cfg(any(loom, miri))]
pub(crate) use crate::model::futex::{wait, wake};

use crate::errno::Errno;
#[cfg(not(any(loom, miri)))]
use crate::errno::Result;
#[cfg(not(any(loom, miri)))]
use crate::os::raw::sys;
use crate::os::time::Deadline;
use crate::sync::{AtomicU32, Ordering};

/// Sleeps while `word` holds `expected`, until woken or until `deadline`.
///
/// Ok when woken, spuriously too; EAGAIN when the word differed; ETIMEDOUT; EINTR when a signal handler ran.
/// FUTEX_WAIT would go on sleeping after a handler with SA_RESTART; the BITSET form with an absolute time
/// does not.
#[cfg(not(any(loom, miri)))]
pub(crate) fn wait(word: &AtomicU32, expected: u32, deadline: Deadline) -> Result<()> {
    let until = deadline.absolute();
    let op = libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: `word` and `until` outlive the call, which only reads them.
    unsafe { sys!(SYS_futex, word.as_ptr(), op, expected, &raw const until, 0, u32::MAX) }.map(drop)
}

/// Sleeps until `word` no longer holds `expected`, whatever signals come.
pub(crate) fn wait_while(word: &AtomicU32, expected: u32) {
    // Acquire: pairs with the Release of whoever changed the word, so that we see what it did before.
    while word.load(Ordering::Acquire) == expected {
        if wait(word, expected, Deadline::NEVER) == Err(Errno::ENOSYS) {
            core::hint::spin_loop();
        }
    }
}

/// Wakes up to `count` sleepers.
#[cfg(not(any(loom, miri)))]
pub(crate) fn wake(word: &AtomicU32, count: i32) {
    let op = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word is only an address to this call.
    let _ = unsafe { sys!(SYS_futex, word.as_ptr(), op, count) };
}

/// Wakes all sleepers.
pub(crate) fn wake_all(word: &AtomicU32) {
    wake(word, i32::MAX);
}
