//! The two mappings of a ring: the program's and ours.

use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use super::{EVENT, HEADER, PAGE, Shared};
use crate::errno::Result;
use crate::os::{mem, probe};

const _: () = assert!(size_of::<Shared>() == HEADER);

/// Where a ring is. Changes only while no context uses the ring, but for `user`.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Our mapping.
    private: AtomicPtr<u8>,
    /// The program's mapping: the context id.
    user: AtomicUsize,
    /// Events that there is room for, one always unused.
    nr: AtomicU32,
}

impl Memory {
    /// Bytes of each mapping.
    pub(crate) fn bytes(&self) -> usize {
        HEADER + EVENT * self.nr() as usize
    }

    pub(crate) fn nr(&self) -> u32 {
        self.nr.load(Ordering::Relaxed)
    }

    pub(crate) fn user(&self) -> usize {
        self.user.load(Ordering::Relaxed)
    }

    pub(crate) fn set_user(&self, address: usize) {
        self.user.store(address, Ordering::Relaxed);
    }

    pub(crate) fn is_attached(&self) -> bool {
        !self.private.load(Ordering::Relaxed).is_null()
    }

    /// Maps memory for `nr` events where there is none. ENOMEM.
    pub(crate) fn attach(&self, nr: u32) -> Result<()> {
        let bytes = HEADER + EVENT * nr as usize;
        let private = mem::map_shared(bytes)?;
        // The child of a fork sees the program's mapping only, as with the kernel.
        mem::dont_fork(private, bytes);
        self.nr.store(nr, Ordering::Relaxed);
        self.private.store(private, Ordering::Relaxed);
        Ok(())
    }

    /// Unmaps both mappings. Nobody uses the ring any more.
    pub(crate) fn detach(&self) {
        self.unmap_user();
        let private = self.private.swap(core::ptr::null_mut(), Ordering::Relaxed);
        mem::unmap(private as usize, self.bytes());
    }

    /// Makes sure that the program has the ring `id`, where it had the last one if possible. ENOMEM.
    pub(crate) fn show(&self, _id: u32) -> Result<()> {
        if !self.is_whole_at(self.user()) {
            self.unmap_user();
            let user = mem::alias(self.private.load(Ordering::Relaxed), self.bytes())? as usize;
            self.user.store(user, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Whether the last page is there as well: the program may have shrunk its mapping. Of a dead ring only.
    pub(super) fn is_whole_at(&self, address: usize) -> bool {
        self.is_mapped_at(address) && self.is_seen_at(address, self.nr() - 1)
    }

    /// Whether the program has the first and the last page of a ring without events where they should be.
    pub(super) fn is_empty_and_whole(&self) -> bool {
        let user = self.user();
        user.is_multiple_of(PAGE) && self.is_seen_at(user, 0) && self.is_seen_at(user, self.nr() - 1)
    }

    /// Whether the place of event `index`, which nobody uses now, is mapped where it should be if the ring is at `address`.
    fn is_seen_at(&self, address: usize, index: u32) -> bool {
        let word = address + HEADER + EVENT * index as usize + 3 * size_of::<u64>();
        if !probe::readable(word, size_of::<u64>()) {
            return false;
        }
        // SAFETY: readable a moment ago, aligned; read atomically.
        let seen = unsafe { &*(word as *const AtomicU64) };
        let ours = &self.event(index)[3];
        let before = ours.load(Ordering::SeqCst);
        let same = seen.load(Ordering::SeqCst) == before;
        ours.store(!before, Ordering::SeqCst);
        same && seen.load(Ordering::SeqCst) == !before
    }

    /// Unmaps what the program still has of the mapping. Behind a shrunk one there may be memory of the program's.
    fn unmap_user(&self) {
        let user = self.user();
        if self.is_whole_at(user) {
            mem::unmap(user, self.bytes());
        } else if self.is_mapped_at(user) {
            mem::unmap(user, PAGE);
        }
        // Whatever lies there from now on is not looked at again: others come and go.
        self.set_user(0);
    }

    pub(crate) fn shared(&self) -> &Shared {
        // SAFETY: `private` is attached while a context is alive, page-aligned, at least a header long, and
        // all access to it is atomic.
        unsafe { &*self.private.load(Ordering::Relaxed).cast::<Shared>() }
    }

    pub(crate) fn event(&self, index: u32) -> &[AtomicU64; 4] {
        debug_assert!(index < self.nr());
        let at = HEADER + EVENT * index as usize;
        // SAFETY: `index` < nr, so the event lies inside the mapping; aligned; all access is atomic.
        unsafe { &*self.private.load(Ordering::Relaxed).add(at).cast() }
    }

    /// Whether `address` is a mapping of this ring: a change that we make is seen there.
    pub(crate) fn is_mapped_at(&self, address: usize) -> bool {
        // Our own mapping is no name of the context: it would be unmapped as the program's.
        let own = self.private.load(Ordering::Relaxed) as usize == address;
        if own || !address.is_multiple_of(PAGE) || !probe::readable(address, HEADER) {
            return false;
        }
        // SAFETY: readable a moment ago, aligned; read atomically, as everything there is.
        let seen = unsafe { &*(address as *const Shared) };
        // A word that no call looks at: other threads may be inside calls with this context.
        let own = &self.shared().compat_features;
        let value = own.load(Ordering::Relaxed);
        let before = seen.id.load(Ordering::Relaxed) == self.shared().id.load(Ordering::Relaxed)
            && seen.compat_features.load(Ordering::Relaxed) == value;
        // Orders the change between the two looks; one thread, so the compiler is all there is to stop.
        own.store(!value, Ordering::SeqCst);
        let after = seen.compat_features.load(Ordering::SeqCst) == !value;
        own.store(value, Ordering::SeqCst);
        before && after
    }

    /// As `is_mapped_at`, of an address that may be anybody's.
    pub(crate) fn is_alias_at(&self, address: usize) -> bool {
        const WORD: usize = core::mem::offset_of!(Shared, compat_features);
        let id = self.shared().id.load(Ordering::Relaxed);
        if self.private.load(Ordering::Relaxed) as usize == address || id_at(address) != Some(id) {
            return false;
        }
        let own = &self.shared().compat_features;
        let value = own.load(Ordering::Relaxed);
        let seen = || probe::word_at(address + WORD);
        let before = seen() == Some(value);
        own.store(!value, Ordering::SeqCst);
        let after = seen() == Some(!value);
        own.store(value, Ordering::SeqCst);
        before && after
    }
}

/// The index that the ring at `address` claims to have. None: nothing can be read there. Another thread may be unmapping what
/// lies there.
pub(crate) fn id_at(address: usize) -> Option<u32> {
    if address.is_multiple_of(PAGE) { probe::word_at(address) } else { None }
}

/// Whether the program can read the ring at `address`.
pub(crate) fn is_readable(address: usize) -> bool {
    probe::readable(address, 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_programs_mapping_is_one() {
        let memory = Memory::default();
        memory.attach(127).unwrap();
        memory.show(0).unwrap();
        assert!(memory.is_mapped_at(memory.user()));
        assert!(!memory.is_mapped_at(memory.private.load(Ordering::Relaxed) as usize));
        memory.detach();
    }
}
