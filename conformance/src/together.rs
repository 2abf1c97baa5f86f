//! Threads that start before any of them forks, and end after all have forked for the last time.
//!
//! A Rust thread that starts or ends holds a lock of the standard library for a moment. A child that is forked in this moment
//! finds it held for ever: its first thread would never run.

use std::io;
use std::sync::{Barrier, OnceLock};
use std::thread::{Builder, Scope, ScopedJoinHandle};

/// Where they wait for each other. It is known how many they are when all have been started.
#[derive(Default)]
pub struct Together(OnceLock<Barrier>);

/// A thread among the others: its end waits for theirs.
struct Inside<'a>(&'a Barrier);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.wait();
    }
}

impl Together {
    /// Runs `work` with 0, 1, ... in `threads` threads, or in as many as this place has. Once for each `Together`.
    ///
    /// An error where there is none to be had.
    pub fn start<'scope, T: Send + 'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        threads: usize,
        work: &'scope (impl Fn(usize) -> T + Sync),
    ) -> io::Result<Vec<ScopedJoinHandle<'scope, T>>> {
        let inside = move |number| {
            let all = self.0.wait();
            all.wait();
            let _inside = Inside(all);
            work(number)
        };
        let mut started = Vec::new();
        let why = (0..threads).find_map(|number| {
            let thread = Builder::new().spawn_scoped(scope, move || inside(number));
            thread.map(|thread| started.push(thread)).err()
        });
        match (started.len(), why) {
            (0, Some(why)) => Err(why),
            (count, _) => {
                self.0.get_or_init(|| Barrier::new(count));
                Ok(started)
            }
        }
    }
}
