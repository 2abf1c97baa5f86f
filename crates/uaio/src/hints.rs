//! What descriptors were when they were last looked at.
//!
//! Only a hint: the number may be another file's by now. Who acts on it must do the right thing for any file; it may take
//! longer, or make the caller wait for a disk, [`USES`] times at most.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// After so many uses the descriptor is looked at again.
const USES: u64 = 32;
/// The same where reads are not tried. One that is tried and misses makes its caller send the request to the disk, so it is
/// to be less than one in a hundred.
const COLD_USES: u64 = 200;
/// After so many misses in a row the next reads are not tried.
const MISSES: u64 = 3;
const DESCRIPTORS: usize = 64;

/// What a descriptor was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Was {
    /// Not known.
    Unknown,
    /// Not O_DIRECT, with positions.
    Buffered,
    /// O_DIRECT on a file without NOWAIT, which is executed on the caller's thread.
    Direct,
    /// As `Buffered`, and what was read last was not in the page cache.
    Cold,
}

/// By the last bits of the number: `number << 32 | misses in a row << 16 | uses left << 8 | what`. Relaxed throughout: a hint
/// guards nothing.
static DESCRIPTOR: [AtomicU64; DESCRIPTORS] = [const { AtomicU64::new(0) }; DESCRIPTORS];

fn place(fd: i32) -> &'static AtomicU64 {
    &DESCRIPTOR[fd as usize % DESCRIPTORS]
}

/// What `fd` was; that counts as one use.
pub(crate) fn recall(fd: i32) -> Was {
    let word = place(fd).load(Relaxed);
    if word >> 32 != u64::from(fd as u32) || word & 0xff00 == 0 {
        return Was::Unknown;
    }
    place(fd).store(word - 0x100, Relaxed);
    [Was::Unknown, Was::Buffered, Was::Direct, Was::Cold][word as usize & 3]
}

/// `fd` was looked at a moment ago.
pub(crate) fn note(fd: i32, was: Was) {
    let uses = if was == Was::Unknown { 0 } else { USES };
    set(fd, 0, uses, was);
}

/// A read of `fd` that was tried found what it wanted in the page cache.
pub(crate) fn note_hit(fd: i32) {
    if place(fd).load(Relaxed) & 0xff_0000 != 0 {
        note(fd, Was::Buffered);
    }
}

/// A read of `fd` that was tried has to wait for the disk.
pub(crate) fn note_miss(fd: i32) {
    let word = place(fd).load(Relaxed);
    let before = if word >> 32 == u64::from(fd as u32) { word >> 16 & 0xff } else { 0 };
    let misses = (before + 1).min(MISSES);
    if misses == MISSES { set(fd, misses, COLD_USES, Was::Cold) } else { set(fd, misses, 0, Was::Unknown) }
}

fn set(fd: i32, misses: u64, uses: u64, was: Was) {
    place(fd).store(u64::from(fd as u32) << 32 | misses << 16 | uses << 8 | was as u64, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_wears_out_and_is_for_one_number() {
        assert_eq!(recall(-5), Was::Unknown);
        note(-5, Was::Direct);
        assert_eq!(recall(59), Was::Unknown);
        for _ in 0..USES {
            assert_eq!(recall(-5), Was::Direct);
        }
        assert_eq!(recall(-5), Was::Unknown);
        note(-5, Was::Buffered);
        assert_eq!(recall(-5), Was::Buffered);
        note(-5, Was::Unknown);
        assert_eq!(recall(-5), Was::Unknown);
    }

    #[test]
    fn reads_that_miss_are_not_tried_for_a_while() {
        note_miss(-6);
        note_miss(-6);
        assert_eq!(recall(-6), Was::Unknown);
        note_hit(-6);
        assert_eq!(recall(-6), Was::Buffered);
        (0..MISSES).for_each(|_| note_miss(-6));
        for _ in 0..COLD_USES {
            assert_eq!(recall(-6), Was::Cold);
        }
        // One is tried, and decides about the next ones.
        assert_eq!(recall(-6), Was::Unknown);
        note_miss(-6);
        assert_eq!(recall(-6), Was::Cold);
        note(-6, Was::Buffered);
        assert_eq!(recall(-6), Was::Buffered);
    }
}
