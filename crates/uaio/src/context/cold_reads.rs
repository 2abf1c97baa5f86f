//! Buffered reads that wait for the disk: a buffered write that is performed inside io_submit must not overtake them.

use crate::os::{futex, time};
use crate::sync::{AtomicU32, Ordering};

/// Somebody sleeps until there are none.
const AWAITED: u32 = 1 << 31;

/// How many there are, plus [`AWAITED`].
#[derive(Debug, Default)]
pub(super) struct ColdReads(AtomicU32);

impl ColdReads {
    pub(super) fn one_more(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn one_less(&self) {
        // Release: pairs with the Acquire in `wait_for_none`.
        if self.0.fetch_sub(1, Ordering::Release) & AWAITED != 0 {
            self.0.fetch_and(!AWAITED, Ordering::Relaxed);
            futex::wake_all(&self.0);
        }
    }

    pub(super) fn wait_for_none(&self) {
        let mut reads = self.0.load(Ordering::Acquire);
        while reads & !AWAITED != 0 {
            if reads & AWAITED == 0 {
                reads = self.0.fetch_or(AWAITED, Ordering::Acquire) | AWAITED;
                continue;
            }
            let _ = futex::wait(&self.0, reads, time::Deadline::NEVER);
            reads = self.0.load(Ordering::Acquire);
        }
    }
}
