//! Mapped memory. It is checked: who makes or unmaps it must come after everybody who used it.

use crate::errno::Result;
use crate::model::look;
use crate::os::mem::Zeroed;
use crate::ring::Shared;
use crate::sync::{AtomicU64, AtomicUsize, Ordering, UnsafeCell};

/// As the real one.
pub(crate) fn map_array<T: Zeroed>(count: usize) -> Result<*mut T> {
    let values: Box<[T]> = (0..count).map(|_| T::zeroed()).collect();
    let base: *mut T = Box::into_raw(values).cast();
    // Its parts' addresses travel as numbers.
    base.expose_provenance();
    Ok(base)
}

/// As the real one.
pub(crate) fn unmap_array<T: Zeroed>(base: *mut T, count: usize) {
    // SAFETY: from `map_array`, with the same count; unmapped once.
    drop(unsafe { Box::from_raw(core::ptr::slice_from_raw_parts_mut(base, count)) });
}

#[derive(Debug)]
struct Room {
    shared: Shared,
    events: Vec<[AtomicU64; 4]>,
    shown: bool,
}

/// Where the program sees ring `id`. The search for each begins at the same place of the table.
pub(crate) const fn address_of(id: u32) -> usize {
    (16 + 8 * id as usize) << 12
}

/// A ring's memory, as `ring/memory.rs` has it.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    room: UnsafeCell<Option<Room>>,
    user: AtomicUsize,
}

// SAFETY: loom or Miri ends the model at the first access that would need more than this promise.
unsafe impl Sync for Memory {}

impl Memory {
    #[track_caller]
    fn room(&self) -> Option<&Room> {
        // SAFETY: loom checks that nobody changes it meanwhile.
        unsafe { &*look(&self.room) }.as_ref()
    }

    #[track_caller]
    #[allow(clippy::mut_from_ref)]
    fn own_room(&self) -> &mut Option<Room> {
        // SAFETY: loom checks that nobody else has it.
        unsafe { &mut *self.room.get() }
    }

    pub(crate) fn bytes(&self) -> usize {
        32 + 32 * self.nr() as usize
    }

    pub(crate) fn nr(&self) -> u32 {
        self.room().map_or(0, |room| room.events.len() as u32)
    }

    pub(crate) fn user(&self) -> usize {
        self.user.load(Ordering::Relaxed)
    }

    pub(crate) fn set_user(&self, address: usize) {
        self.user.store(address, Ordering::Relaxed);
    }

    pub(crate) fn is_attached(&self) -> bool {
        self.room().is_some()
    }

    pub(crate) fn attach(&self, nr: u32) -> Result<()> {
        let events = (0..nr).map(|_| Default::default()).collect();
        *self.own_room() = Some(Room { shared: Shared::default(), events, shown: false });
        Ok(())
    }

    /// A model has no kernel contexts to take a ring's place.
    pub(crate) fn is_empty_and_whole(&self) -> bool {
        false
    }

    pub(crate) fn detach(&self) {
        *self.own_room() = None;
    }

    pub(crate) fn show(&self, id: u32) -> Result<()> {
        if let Some(room) = self.own_room().as_mut().filter(|room| !room.shown) {
            room.shown = true;
            self.user.store(address_of(id), Ordering::Relaxed);
        }
        Ok(())
    }

    #[track_caller]
    pub(crate) fn shared(&self) -> &Shared {
        &self.room().expect("no memory attached").shared
    }

    #[track_caller]
    pub(crate) fn event(&self, index: u32) -> &[AtomicU64; 4] {
        &self.room().expect("no memory attached").events[index as usize]
    }

    pub(crate) fn is_alias_at(&self, address: usize) -> bool {
        self.is_mapped_at(address)
    }

    pub(crate) fn is_mapped_at(&self, address: usize) -> bool {
        address == self.user() && self.room().is_some_and(|room| room.shown)
    }
}

/// No program moves its ring in a model.
pub(crate) fn id_at(_address: usize) -> Option<u32> {
    None
}

/// What the table knows can be read.
pub(crate) fn is_readable(_address: usize) -> bool {
    true
}
