//! Threads that start before any of them forks, and end after all have forked for the last time.
//!
//! A Rust thread that starts or ends holds a lock of the standard library for a moment. A child that is forked in this moment
//! finds it held for ever: its first thread would never run.

use std::sync::Barrier;

/// For so many threads.
pub struct Together(Barrier);

/// A thread among the others. Dropping it waits for them.
pub struct Inside<'a>(&'a Barrier);

impl Together {
    pub fn new(threads: usize) -> Together {
        Together(Barrier::new(threads))
    }

    /// Waits for the others. To be kept until the thread's last fork, and to its end.
    pub fn enter(&self) -> Inside<'_> {
        self.0.wait();
        Inside(&self.0)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.wait();
    }
}
