//! Sleeping on a word, as the kernel does it: the look at the word and the going to sleep are one step to every waker.

#[cfg(loom)]
use loom::sync::{Condvar, Mutex};
#[cfg(miri)]
use std::sync::{Condvar, Mutex};

use crate::errno::{Errno, Result};
use crate::os::lock::thread_id;
use crate::os::time::Deadline;
use crate::sync::{AtomicU32, AtomicUsize, Ordering};

/// What can be slept on: the lowest 32 bits count.
pub(crate) trait Word {
    fn low_half(&self) -> u32;
}

impl Word for AtomicU32 {
    fn low_half(&self) -> u32 {
        self.load(Ordering::Relaxed)
    }
}

impl Word for AtomicUsize {
    fn low_half(&self) -> u32 {
        self.load(Ordering::Relaxed) as u32
    }
}

/// Who sleeps where: address of the word, thread.
type Beds = Mutex<Vec<(usize, usize)>>;

#[cfg(loom)]
loom::lazy_static! {
    static ref BEDS: Beds = Mutex::new(Vec::new());
    static ref WOKEN: Condvar = Condvar::new();
}

#[cfg(miri)]
static BEDS: Beds = Mutex::new(Vec::new());
#[cfg(miri)]
static WOKEN: Condvar = Condvar::new();

/// As the real one. A sleep with a deadline ends at once: whatever the time is, the protocol must hold.
pub(crate) fn wait(word: &impl Word, expected: u32, deadline: Deadline) -> Result<()> {
    if !deadline.is_never() {
        crate::model::yield_now();
        return Err(Errno::ETIMEDOUT);
    }
    let mut beds = BEDS.lock().unwrap();
    if word.low_half() != expected {
        return Err(Errno::EAGAIN);
    }
    let bed = (core::ptr::from_ref(word).addr(), thread_id());
    beds.push(bed);
    while beds.contains(&bed) {
        beds = WOKEN.wait(beds).unwrap();
    }
    Ok(())
}

/// As the real one: the first `count` of those that sleep there.
pub(crate) fn wake<W: Word>(word: &W, count: i32) {
    let here = core::ptr::from_ref(word).addr();
    let mut beds = BEDS.lock().unwrap();
    let before = beds.len();
    let mut left = count;
    beds.retain(|(at, _)| {
        let wake = *at == here && left > 0;
        left -= i32::from(wake);
        !wake
    });
    if beds.len() < before {
        WOKEN.notify_all();
    }
}
