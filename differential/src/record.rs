//! What a sequence did, line by line, in memory that outlives the process that wrote it.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::sys;

/// Bytes of one record.
const ROOM: usize = 1 << 18;

/// A record that a forked child writes and its parent reads. One process writes at a time.
#[derive(Clone, Copy)]
pub struct Record {
    base: usize,
}

impl Record {
    pub fn new() -> Record {
        Record { base: sys::map_shared(ROOM) }
    }

    fn used(&self) -> &AtomicUsize {
        // SAFETY: the first word of a mapping that is never unmapped; always accessed atomically.
        unsafe { &*(self.base as *const AtomicUsize) }
    }

    pub fn clear(&self) {
        self.used().store(0, Ordering::SeqCst);
    }

    /// Adds a line. What does not fit is dropped: both sides drop the same.
    pub fn line(&self, text: &str) {
        let used = self.used().load(Ordering::SeqCst);
        if used + text.len() + 1 + size_of::<usize>() > ROOM {
            return;
        }
        let at = self.base + size_of::<usize>() + used;
        sys::fill(at, text.as_bytes());
        sys::fill(at + text.len(), b"\n");
        self.used().store(used + text.len() + 1, Ordering::SeqCst);
    }

    pub fn text(&self) -> String {
        let used = self.used().load(Ordering::SeqCst);
        String::from_utf8_lossy(&sys::bytes(self.base + size_of::<usize>(), used)).into_owned()
    }
}

impl Default for Record {
    fn default() -> Record {
        Record::new()
    }
}

/// The first line in which two records differ, with the lines before it that tell where it is.
pub fn first_difference(kernel: &str, ours: &str) -> Option<String> {
    let (mut left, mut right) = (kernel.lines(), ours.lines());
    let mut step = "";
    loop {
        let pair = (left.next(), right.next());
        match pair {
            (None, None) => return None,
            (Some(a), Some(b)) if a == b => {
                if a.starts_with('#') {
                    step = a;
                }
            }
            (a, b) => {
                let end = "(the record ends)";
                return Some(format!(
                    "after {step}\n  kernel: {}\n  ours:   {}",
                    a.unwrap_or(end),
                    b.unwrap_or(end)
                ));
            }
        }
    }
}

/// FNV-1a over words: contents are compared by it.
pub fn hash(bytes: &[u8]) -> u64 {
    let word = |chunk: &[u8]| {
        let mut word = [0xff; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    };
    bytes
        .chunks(8)
        .fold(0xcbf2_9ce4_8422_2325, |h, c| (h ^ word(c)).wrapping_mul(0x0100_0000_01b3).rotate_left(23))
}
