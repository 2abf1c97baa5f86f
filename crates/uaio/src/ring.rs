//! The completion ring at the context's address: what the program sees, and how events get in and out.
//!
//! The memory is mapped twice: at the address that the program knows, which it may protect, move or unmap,
//! and at one of our own, through which everything here goes. The program may write to it at any time, so
//! `head` is taken modulo `nr`, and `tail` and `nr` that decide anything are private copies.

#[cfg(not(any(loom, miri)))]
mod memory;

#[cfg(any(loom, miri))]
pub(crate) use crate::model::memory::{Memory, id_at, is_readable};
#[cfg(not(any(loom, miri)))]
pub(crate) use memory::{Memory, id_at, is_readable};

use crate::abi::{IoEvent, RING_MAGIC};
use crate::errno::{Errno, Result};
use crate::os::lock::{Owned, OwnerLock};
use crate::os::probe;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// A model has small rings.
const PAGE: usize = if cfg!(any(loom, miri)) { 128 } else { 4096 };
const EVENT: usize = size_of::<IoEvent>();
const HEADER: usize = 32;

/// The header as both sides access it.
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) id: AtomicU32,
    nr: AtomicU32,
    pub(crate) head: AtomicU32,
    pub(crate) tail: AtomicU32,
    magic: AtomicU32,
    pub(crate) compat_features: AtomicU32,
    incompat_features: AtomicU32,
    header_length: AtomicU32,
}

/// A ring.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    pub(crate) memory: Memory,
    /// The true tail. Written by the holder of `producer`.
    tail: AtomicU32,
    /// Events pushed since the ring was made; with the ring's content it tells how many were reaped.
    pushed: AtomicU64,
    /// How many of `pushed` have been counted as reaped.
    counted: AtomicU64,
    /// Guards pushing. A nested caller parks its event instead (`Context::publish`).
    pub(crate) producer: OwnerLock,
    /// Guards taking. A nested caller takes nothing.
    consumer: OwnerLock,
}

/// Events that a ring for `nr_events` requests has room for (spec 1).
pub(crate) const fn ring_nr(nr_events: u32, cpus: u32) -> u32 {
    let bytes = bytes_for(nr_events, cpus);
    ((bytes - HEADER) / EVENT) as u32
}

const fn bytes_for(nr_events: u32, cpus: u32) -> usize {
    let least = 4 * cpus;
    let doubled = (if nr_events > least { nr_events } else { least }) as usize * 2;
    (HEADER + EVENT * (doubled + 2)).div_ceil(PAGE) * PAGE
}

/// Requests that a context takes before EAGAIN: the kernel's number for a submitter on one CPU.
pub(crate) const fn capacity(nr: u32, cpus: u32) -> u32 {
    let usable = nr - 1;
    let batch = if usable / (4 * cpus) > 0 { usable / (4 * cpus) } else { 1 };
    usable / batch * batch
}

impl Ring {
    /// Bytes of the mapping.
    pub(crate) fn bytes(&self) -> usize {
        self.memory.bytes()
    }

    /// Events that there is room for.
    pub(crate) fn nr(&self) -> u32 {
        self.memory.nr()
    }

    /// Where the program sees it.
    pub(crate) fn user(&self) -> usize {
        self.memory.user()
    }

    /// The program has moved it; 0: has it no more.
    pub(crate) fn set_user(&self, address: usize) {
        self.memory.set_user(address);
    }

    /// Whether memory is attached, of the size for `nr` events.
    pub(crate) fn has_room_for(&self, nr: u32) -> bool {
        self.is_attached() && self.nr() == nr
    }

    /// Whether memory is attached.
    pub(crate) fn is_attached(&self) -> bool {
        self.memory.is_attached()
    }

    /// Maps memory for `nr` events. ENOMEM.
    pub(crate) fn attach(&self, nr: u32) -> Result<()> {
        self.detach();
        self.memory.attach(nr)
    }

    /// Unmaps both mappings. Nobody uses the ring any more.
    pub(crate) fn detach(&self) {
        if self.is_attached() {
            self.memory.detach();
        }
    }

    /// Makes an empty ring with index `id`, which the program has where it had the last one. ENOMEM.
    pub(crate) fn open(&self, id: u32) -> Result<usize> {
        self.memory.show(id)?;
        self.tail.store(0, Ordering::Relaxed);
        self.pushed.store(0, Ordering::Relaxed);
        self.counted.store(0, Ordering::Relaxed);
        let shared = self.shared();
        let words = [
            (&shared.id, id),
            (&shared.nr, self.nr()),
            (&shared.head, 0),
            (&shared.tail, 0),
            (&shared.magic, RING_MAGIC),
            (&shared.compat_features, 1),
            (&shared.incompat_features, 0),
            (&shared.header_length, HEADER as u32),
        ];
        for (word, value) in words {
            word.store(value, Ordering::Relaxed);
        }
        Ok(self.user())
    }

    /// Makes the ring one that nobody takes for a live one. It stays mapped for the next context: mapping
    /// and unmapping cost more than all the rest of io_setup and io_destroy.
    pub(crate) fn close(&self) {
        self.shared().magic.store(0, Ordering::Relaxed);
    }

    fn shared(&self) -> &Shared {
        self.memory.shared()
    }

    fn event(&self, index: u32) -> &[AtomicU64; 4] {
        self.memory.event(index)
    }

    /// The header's `id`, which the program can overwrite: calls with such a context are EINVAL.
    pub(crate) fn shared_id(&self) -> u32 {
        self.shared().id.load(Ordering::Relaxed)
    }

    /// Whether the program has all of it where it should be. Nothing is in flight, and nobody takes events.
    pub(crate) fn is_whole(&self) -> bool {
        self.memory.is_empty_and_whole()
    }

    /// Whether `address` is a mapping of this ring: a change that we make is seen there.
    pub(crate) fn is_mapped_at(&self, address: usize) -> bool {
        self.memory.is_mapped_at(address)
    }

    /// The same of an address that may be anybody's, where another thread may unmap what lies there meanwhile.
    pub(crate) fn is_alias_at(&self, address: usize) -> bool {
        self.memory.is_alias_at(address)
    }

    /// Events in the ring, by the program's `head`.
    pub(crate) fn in_ring(&self) -> u32 {
        let nr = self.nr();
        let head = self.shared().head.load(Ordering::Relaxed) % nr;
        // Acquire: pairs with the Release in `push`; who sees the tail sees the events.
        let tail = self.tail.load(Ordering::Acquire);
        (tail + nr - head) % nr
    }

    /// Stores events and publishes them. The caller holds `producer`; the capacity of the context keeps the
    /// ring from overflowing, unless the program has written rubbish to `head`: then old events are lost.
    pub(crate) fn push(&self, _held: &Owned<'_>, events: impl ExactSizeIterator<Item = IoEvent>) {
        let count = events.len() as u64;
        let mut tail = self.tail.load(Ordering::Relaxed);
        for event in events {
            let words = [event.data, event.obj, event.res as u64, event.res2 as u64];
            for (place, word) in self.event(tail).iter().zip(words) {
                place.store(word, Ordering::Relaxed);
            }
            tail = if tail + 1 == self.nr() { 0 } else { tail + 1 };
        }
        // Release, twice: the first pairs with `in_ring` and `take`, the second with a program that reaps by
        // hand: it loads tail (acquire) and then copies the events.
        self.tail.store(tail, Ordering::Release);
        self.shared().tail.store(tail, Ordering::Release);
        self.pushed.store(self.pushed.load(Ordering::Relaxed) + count, Ordering::Relaxed);
    }

    /// How many events have left the ring since the last time this was asked. The caller holds `producer`.
    pub(crate) fn newly_reaped(&self, _held: &Owned<'_>) -> u64 {
        let reaped = self.pushed.load(Ordering::Relaxed).saturating_sub(u64::from(self.in_ring()));
        let new = reaped.saturating_sub(self.counted.load(Ordering::Relaxed));
        self.counted.store(reaped, Ordering::Relaxed);
        new
    }

    /// Moves up to `max` events to `dest`, piece by contiguous piece of a ring page, as the kernel does.
    ///
    /// EFAULT when a piece has no place, unless there certainly is one (`ours`): then nothing was moved. None: this very thread
    /// is inside this function already (a signal handler).
    pub(crate) fn take(&self, max: usize, dest: usize, ours: bool) -> Option<Result<usize>> {
        let _held = self.consumer.acquire()?;
        let nr = self.nr();
        let mut head = self.shared().head.load(Ordering::Relaxed) % nr;
        let mut got = 0;
        while got < max {
            // Acquire: pairs with the Release in `push`.
            let tail = self.tail.load(Ordering::Acquire);
            let piece = piece(head, tail, nr).min(max - got);
            if piece == 0 {
                break;
            }
            let good = |place: &usize| ours || probe::writable(*place, piece * EVENT);
            let Some(place) = dest.checked_add(got * EVENT).filter(good) else {
                return Some(Err(Errno::EFAULT));
            };
            self.copy_out(head, piece, place);
            head = (head + piece as u32) % nr;
            got += piece;
        }
        if got > 0 {
            // Release: the copies come before the room is given back; pairs with `in_ring`'s user, who
            // reuses the place only after it has seen the new head.
            self.shared().head.store(head, Ordering::Release);
        }
        Some(Ok(got))
    }

    fn copy_out(&self, first: u32, count: usize, place: usize) {
        for i in 0..count {
            let event: [u64; 4] =
                core::array::from_fn(|w| self.event(first + i as u32)[w].load(Ordering::Relaxed));
            // SAFETY: the place was writable a moment ago for `count` events; it need not be aligned.
            unsafe { ((place + i * EVENT) as *mut [u64; 4]).write_unaligned(event) };
        }
    }
}

/// Events from `head` that lie in one page of the ring: the first page holds 127, the others 128.
fn piece(head: u32, tail: u32, nr: u32) -> usize {
    const PER_PAGE: u32 = (PAGE / EVENT) as u32;
    let until = if head <= tail { tail } else { nr };
    let page_end = (head + 1) / PER_PAGE * PER_PAGE + PER_PAGE - 1;
    (until.min(page_end) - head) as usize
}

#[cfg(all(test, not(any(loom, miri))))]
mod tests {
    use super::*;
    use crate::os::mem;

    #[test]
    fn sizes_are_the_kernels() {
        let table = [
            (1, 127, 120),
            (32, 127, 120),
            (63, 255, 248),
            (100, 255, 248),
            (128, 383, 376),
            (256, 639, 632),
            (500, 1023, 1016),
            (512, 1151, 1144),
            (1000, 2047, 2040),
            (1024, 2175, 2168),
            (8192, 16511, 16504),
        ];
        for (nr_events, nr, cap) in table {
            assert_eq!((ring_nr(nr_events, 2), capacity(ring_nr(nr_events, 2), 2)), (nr, cap), "{nr_events}");
        }
    }

    #[test]
    fn events_come_out_in_order_over_the_wrap() {
        let ring = Ring::default();
        ring.attach(ring_nr(1, 2)).unwrap();
        ring.open(7).unwrap();
        let mut out = [IoEvent::default(); 200];
        for round in 0..5u64 {
            for i in 0..100 {
                let held = ring.producer.acquire().unwrap();
                let event = IoEvent { data: round * 100 + i, obj: 1, res: -5, res2: 0 };
                ring.push(&held, [event].into_iter());
            }
            assert_eq!(ring.in_ring(), 100);
            assert_eq!(ring.take(200, out.as_mut_ptr() as usize, false), Some(Ok(100)));
            assert!(out[..100].iter().enumerate().all(|(i, e)| e.data == round * 100 + i as u64 && e.res == -5));
        }
        assert!(ring.is_mapped_at(ring.user()) && !ring.is_mapped_at(out.as_ptr() as usize & !4095));
        ring.close();
        assert_eq!(ring.open(9), Ok(ring.user()));
        mem::protect_none(ring.user(), ring.bytes());
        assert!(!ring.is_mapped_at(ring.user()));
        ring.detach();
    }

    #[test]
    fn memory_behind_a_shrunk_ring_is_left_alone() {
        let ring = Ring::default();
        ring.attach(ring_nr(100, 2)).unwrap();
        let user = ring.open(1).unwrap();
        assert!(ring.memory.is_whole_at(user) && ring.bytes() == 2 * PAGE);
        // What a program may do: give the second page back, and get other memory there.
        let (all, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: replaces a page of the ring's second mapping, which nobody uses.
        let other = unsafe {
            let at = (user + PAGE) as *mut libc::c_void;
            libc::mmap(at, PAGE, all, flags | libc::MAP_FIXED, -1, 0).cast::<u32>()
        };
        // SAFETY: the page just mapped.
        unsafe { other.write(5) };
        assert!(ring.is_mapped_at(user) && !ring.memory.is_whole_at(user));
        ring.close();
        assert_ne!(ring.open(2), Ok(user));
        assert!(ring.memory.is_whole_at(ring.user()));
        ring.detach();
        assert!(!probe::readable(ring.user(), HEADER));
        // SAFETY: the page is mapped, or this is the failure that the test is for.
        assert_eq!(unsafe { other.read() }, 5);
    }
}
