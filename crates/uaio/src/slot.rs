//! Where a request lives while an engine has it.
//!
//! A context has as many slots as requests can be in flight. Their memory is never unmapped while the
//! context may have requests, and a slot is only ever a slot, so a late look at one is harmless.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use crate::context::Context;
use crate::errno::Result;
use crate::os::mem;
use crate::request::{Op, Request};

/// Who has the slot. The values are ordered as a request goes through them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum State {
    Free = 0,
    /// On its way to the library thread; io_submit may be waiting for it to get there.
    Sent = 1,
    /// With the engine; it outlives the process now as far as the engine can promise it.
    Taken = 2,
    /// With the engine, and cancelled, or a POLL about to be given its event.
    Cancelled = 3,
}

impl State {
    /// The state in a slot's word.
    pub(crate) fn of(word: u32) -> State {
        match word & 3 {
            0 => State::Free,
            1 => State::Sent,
            2 => State::Taken,
            _ => State::Cancelled,
        }
    }

    /// The word of request `ticket` in this state.
    pub(crate) fn of_request(self, ticket: u32) -> u32 {
        (ticket << 2) | self as u32
    }
}

/// One slot, 256 bytes.
#[repr(C, align(64))]
pub(crate) struct Slot {
    /// `number of the request << 2 | state`: who changes the state of one request cannot hit a later one. The
    /// number has 30 bits.
    word: AtomicU32,
    _pad: u32,
    next: AtomicU32,
    index: u32,
    context: *const Context,
    /// Which of the descriptors that travelled with the request are its file and its eventfd.
    pub(crate) file: AtomicU32,
    pub(crate) resfd: AtomicU32,
    /// Free for the engine.
    pub(crate) link: AtomicU64,
    /// What io_cancel finds the request by: the address of its iocb, and [`NOT_POLL`].
    name: AtomicU64,
    request: UnsafeCell<Request>,
}

const _: () = assert!(size_of::<Slot>() == 256);

// SAFETY: the request is touched only by who has the slot (`Slot::request`), the index and the context only by
// who takes it; everything else is atomic.
unsafe impl Sync for Slot {}

/// In [`Slot::name`]: the kernel would not cancel it. No address of a program has this bit.
const NOT_POLL: u64 = 1 << 63;

/// `index + 1` of no slot.
const NONE: u32 = 0;

impl Slot {
    /// The request. Whoever has the slot has the request: `Slots::take` gives it to the submitter, who
    /// hands it on with the slot's address.
    ///
    /// # Safety
    /// The caller has the slot.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn request(&self) -> &mut Request {
        // SAFETY: the caller's promise: nobody else looks at it.
        unsafe { &mut *self.request.get() }
    }

    /// The context that the slot belongs to.
    pub(crate) fn context(&self) -> &'static Context {
        // SAFETY: contexts are never unmapped (`table.rs`), and the pointer was set with the slot.
        unsafe { &*self.context }
    }

    /// The word: request and state.
    pub(crate) fn word(&self) -> u32 {
        // Acquire: pairs with the Release of `set_state`, `shift_state` and `mark_cancelled`.
        self.word.load(Ordering::Acquire)
    }

    /// Where the word can be waited on.
    pub(crate) fn futex(&self) -> &AtomicU32 {
        &self.word
    }

    /// Whether io_cancel of `iocb` means this request: a POLL, or any if the caller says so.
    pub(crate) fn is_named(&self, iocb: u64, any: bool) -> bool {
        let name = self.name.load(Ordering::Relaxed);
        name == iocb || (any && name == iocb | NOT_POLL)
    }

    pub(crate) fn state(&self) -> State {
        State::of(self.word())
    }

    /// Number of the request.
    pub(crate) fn ticket(&self) -> u32 {
        self.word() >> 2
    }

    /// Whether request `ticket` is still here and io_cancel has asked for its end.
    pub(crate) fn is_cancelled(&self, ticket: u32) -> bool {
        self.word() == State::Cancelled.of_request(ticket)
    }

    /// Who has the slot changes its state.
    pub(crate) fn set_state(&self, state: State) {
        let ticket = self.word.load(Ordering::Relaxed) >> 2;
        // Release: what was done to the request before is seen by who sees the state.
        self.word.store(state.of_request(ticket), Ordering::Release);
    }

    /// Changes the state if it is `from`.
    pub(crate) fn shift_state(&self, from: State, to: State) -> bool {
        let word = self.word.load(Ordering::Relaxed);
        // AcqRel: both sides of `word` and `set_state`.
        State::of(word) == from
            && self
                .word
                .compare_exchange(word, to.of_request(word >> 2), Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }

    /// From now on io_cancel does not find the request. False: it was here before.
    pub(crate) fn close_to_cancel(&self) -> bool {
        let ticket = self.word.load(Ordering::Relaxed) >> 2;
        // AcqRel: as in `shift_state`.
        State::of(self.word.swap(State::Cancelled.of_request(ticket), Ordering::AcqRel)) != State::Cancelled
    }

    /// Marks the request of `word`, seen before, as cancelled, if neither it nor its state has changed since.
    pub(crate) fn mark_cancelled(&self, word: u32) -> bool {
        let cancelled = State::Cancelled.of_request(word >> 2);
        // AcqRel: as in `shift_state`.
        self.word.compare_exchange(word, cancelled, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

/// The slots of a context.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    base: AtomicPtr<Slot>,
    count: AtomicU32,
    /// Slots from here on have never been used.
    fresh: AtomicU32,
    /// Stack of free slots: `changes << 32 | index + 1`. The change count keeps a popped and pushed slot
    /// from being taken for one that never moved.
    free: AtomicU64,
    /// Stack of parked completions, as `free`; emptied at once, so it needs no change count.
    parked: AtomicU32,
}

impl Slots {
    /// Maps `count` slots. ENOMEM.
    pub(crate) fn attach(&self, count: u32) -> Result<()> {
        self.detach();
        let base = mem::map_private(count as usize * size_of::<Slot>())?;
        self.count.store(count, Ordering::Relaxed);
        self.fresh.store(0, Ordering::Relaxed);
        self.free.store(0, Ordering::Relaxed);
        self.base.store(base.cast(), Ordering::Relaxed);
        Ok(())
    }

    /// Unmaps them. No request is in flight and no thread is inside a call with the context.
    pub(crate) fn detach(&self) {
        let base = self.base.swap(core::ptr::null_mut(), Ordering::Relaxed);
        if !base.is_null() {
            mem::unmap(base as usize, self.bytes());
        }
    }

    /// Bytes of the mapping.
    pub(crate) fn bytes(&self) -> usize {
        self.count.load(Ordering::Relaxed) as usize * size_of::<Slot>()
    }

    fn at(&self, index: u32) -> &'static Slot {
        debug_assert!(index < self.count.load(Ordering::Relaxed));
        // SAFETY: `index` < count, inside the mapping; zeroed memory is a valid free slot, and the mapping
        // stays until no request and no call is left (`detach`).
        unsafe { &*self.base.load(Ordering::Relaxed).add(index as usize) }
    }

    /// Puts `request` into a free slot. There is one: the context has counted the request in.
    pub(crate) fn take(&self, context: &Context, request: Request, ticket: u32) -> &'static Slot {
        let index = self.pop().unwrap_or_else(|| self.fresh.fetch_add(1, Ordering::Relaxed));
        assert!(index < self.count.load(Ordering::Relaxed), "more requests in flight than slots");
        let slot = self.at(index);
        let name = if request.op == Op::Poll { request.obj } else { request.obj | NOT_POLL };
        // SAFETY: the slot is free, so this thread alone knows it: it was popped, or never used.
        unsafe {
            let raw = core::ptr::from_ref(slot).cast_mut();
            (&raw mut (*raw).index).write(index);
            (&raw mut (*raw).context).write(context);
            slot.request.get().write(request);
        }
        slot.word.store(State::Free.of_request(ticket), Ordering::Relaxed);
        slot.name.store(name, Ordering::Relaxed);
        slot
    }

    fn pop(&self) -> Option<u32> {
        // Acquire: pairs with the Release in `give_back`.
        let mut head = self.free.load(Ordering::Acquire);
        loop {
            let index = (head as u32).checked_sub(1)?;
            let next = self.at(index).next.load(Ordering::Relaxed);
            let new = (head >> 32).wrapping_add(1) << 32 | u64::from(next);
            match self.free.compare_exchange_weak(head, new, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return Some(index),
                Err(now) => head = now,
            }
        }
    }

    /// The request in `slot` is over.
    pub(crate) fn give_back(&self, slot: &Slot) {
        slot.set_state(State::Free);
        let mut head = self.free.load(Ordering::Relaxed);
        loop {
            slot.next.store(head as u32, Ordering::Relaxed);
            let new = (head >> 32).wrapping_add(1) << 32 | u64::from(slot.index + 1);
            // Release: the slot's content is done with before it can be popped.
            match self.free.compare_exchange_weak(head, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Leaves a completed request for the holder of the ring's lock, who is this thread, interrupted.
    pub(crate) fn park(&self, slot: &Slot) {
        let mut head = self.parked.load(Ordering::Relaxed);
        loop {
            slot.next.store(head, Ordering::Relaxed);
            // Release: pairs with the Acquire in `unpark`.
            match self.parked.compare_exchange_weak(head, slot.index + 1, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Hands every parked request to `each`, latest first.
    pub(crate) fn unpark(&self, mut each: impl FnMut(&'static Slot)) {
        if self.parked.load(Ordering::Relaxed) == NONE {
            return;
        }
        // Acquire: pairs with the Release in `park`. The whole stack is taken, so nobody else walks it.
        let mut head = self.parked.swap(NONE, Ordering::Acquire);
        while head != NONE {
            let slot = self.at(head - 1);
            head = slot.next.load(Ordering::Relaxed);
            each(slot);
        }
    }

    /// All slots that were ever used.
    pub(crate) fn used(&self) -> impl Iterator<Item = &'static Slot> {
        let used = self.fresh.load(Ordering::Acquire).min(self.count.load(Ordering::Relaxed));
        (0..used).map(|index| self.at(index))
    }
}
