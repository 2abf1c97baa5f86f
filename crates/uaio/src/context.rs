//! A context: how many requests it may have, how they end, and who waits for them.

mod cold_reads;
mod sleepers;
mod telling;

use core::sync::atomic::AtomicPtr;

use crate::abi::IoEvent;
use crate::counters;
use crate::engine::scripted::Scripted;
use crate::errno::{Errno, Result};
use crate::os::lock::Owned;
use crate::os::{eventfd, futex, mem, time};
use crate::request::{Op, Request};
use crate::ring::Ring;
use crate::slot::{Slot, Slots};
use crate::stats::EngineId;
use crate::sync::{AtomicU32, Ordering};
use crate::timers::Side;

use cold_reads::ColdReads;
pub(crate) use sleepers::Bed;
use sleepers::Sleepers;
use telling::Telling;

/// In [`Context::users`]: the context is in the table; without it no call gets in.
const ALIVE: u32 = 1 << 31;
/// In [`Context::wishes`]: io_cancel ends whatever it can, as with `UAIO_CANCEL=extended`.
const CANCELS_ANY: u32 = 1 << 8;
/// A context. Its memory is never unmapped and never becomes anything else; zeroed memory is a dead one.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub(crate) struct Context {
    /// [`ALIVE`], and how many threads are inside a call with it.
    users: AtomicU32,
    /// Changes when the context dies, so that a sleeper can tell its context from a later one.
    generation: AtomicU32,
    /// Index in the table.
    pub(crate) id: AtomicU32,
    /// As io_setup was asked; counted against the quota.
    pub(crate) nr_events: AtomicU32,
    capacity: AtomicU32,
    /// Requests accepted whose event is not in the ring yet.
    in_flight: AtomicU32,
    /// Requests with an engine that may still touch memory, files or this context.
    running: AtomicU32,
    tickets: AtomicU32,
    cold_reads: ColdReads,
    /// What the Rust API asks of its own contexts: 1 + [`EngineId`], or 0, plus [`CANCELS_ANY`].
    wishes: AtomicU32,
    /// The script of a context of the Rust API that has one of its own. Valid until io_destroy has returned.
    script: AtomicPtr<Scripted>,
    /// The last io_submit was short (1), and no other followed.
    pub(crate) short: AtomicU32,
    pub(crate) ring: Ring,
    pub(crate) slots: Slots,
    sleepers: Sleepers,
    telling: Telling,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Context>() <= 256);

// SAFETY: atomics only, and locks, of which zero is the free one.
unsafe impl mem::Zeroed for Context {
    #[cfg(any(loom, miri))]
    fn zeroed() -> Self {
        Context::default()
    }
}

/// A thread inside a call with the context: the context is alive or waits for it.
#[derive(Debug)]
pub(crate) struct Call(pub(crate) &'static Context);

impl Drop for Call {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `wait_until_unused`.
        if self.0.users.fetch_sub(1, Ordering::Release) == 1 {
            futex::wake_all(&self.0.users);
        }
    }
}

impl Context {
    /// Gives a dead context its identity. The ring and the slots are attached.
    pub(crate) fn prepare(&self, id: u32, nr_events: u32, capacity: u32) {
        for (word, value) in [
            (&self.id, id),
            (&self.nr_events, nr_events),
            (&self.capacity, capacity),
            (&self.in_flight, 0),
            (&self.short, 0),
            (&self.wishes, 0),
        ] {
            word.store(value, Ordering::Relaxed);
        }
        self.script.store(core::ptr::null_mut(), Ordering::Relaxed);
        self.sleepers.clear();
    }

    /// Sets what the Rust API asks of this context, before anything is submitted.
    pub(crate) fn wish(&self, engine: Option<EngineId>) {
        self.wishes.store(engine.map_or(0, |id| 1 + id as u32) | CANCELS_ANY, Ordering::Relaxed);
    }

    /// Gives the context a script of its own, before anything is submitted.
    ///
    /// # Safety
    /// It stays where it is until io_destroy has returned.
    pub(crate) unsafe fn follow(&self, script: *const Scripted) {
        self.script.store(script.cast_mut(), Ordering::Relaxed);
    }

    /// The script of its own. The caller is inside a call with the context, and uses it no longer than that.
    pub(crate) fn script(&self) -> Option<&'static Scripted> {
        // SAFETY: null, or valid until io_destroy has returned, which waits for the caller.
        unsafe { self.script.load(Ordering::Relaxed).as_ref() }
    }

    /// Whether this context was set up for engine `id`, whatever the settings say.
    pub(crate) fn wants(&self, id: EngineId) -> bool {
        self.wishes.load(Ordering::Relaxed) & !CANCELS_ANY == 1 + id as u32
    }

    /// Whether this context was set up for one engine.
    pub(crate) fn has_wish(&self) -> bool {
        self.wishes.load(Ordering::Relaxed) & !CANCELS_ANY != 0
    }

    /// Whether io_cancel ends whatever it can.
    pub(crate) fn cancels_any(&self) -> bool {
        self.wishes.load(Ordering::Relaxed) & CANCELS_ANY != 0
    }

    /// Lets calls in.
    pub(crate) fn revive(&self) {
        // Release: pairs with the Acquire in `enter`; who gets in sees the context prepared.
        self.users.fetch_or(ALIVE, Ordering::Release);
    }

    /// Gets in, if the context is alive.
    pub(crate) fn enter(&'static self) -> Option<Call> {
        // Acquire: pairs with the Release in `revive`.
        let before = self.users.fetch_add(1, Ordering::Acquire);
        let call = Call(self);
        (before & ALIVE != 0).then_some(call)
    }

    /// Memory of its own, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.ring.bytes() + self.slots.bytes()
    }

    /// Whether io_destroy has begun, or ended.
    pub(crate) fn is_dead(&self) -> bool {
        self.users.load(Ordering::SeqCst) & ALIVE == 0
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Gets in again after a sleep, if it is still the same context.
    pub(crate) fn enter_again(&'static self, generation: u32) -> Option<Call> {
        self.enter().filter(|_| self.generation() == generation)
    }

    /// Shuts calls out. EINVAL when another thread has done so.
    pub(crate) fn die(&self) -> Result<()> {
        // SeqCst: one winner; what calls did before is seen by it. See `leave`.
        if self.users.fetch_and(!ALIVE, Ordering::SeqCst) & ALIVE == 0 {
            return Err(Errno::EINVAL);
        }
        self.generation.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Wakes every sleeper, whatever it waits for. The context is dead, so none comes back in; and who has not
    /// noted down its sleep yet will see that under the lock (`note_sleeper`).
    pub(crate) fn wake_everybody(&self) {
        let Some(held) = self.ring.producer.acquire() else { return };
        let due = self.sleepers.all(&held);
        drop(held);
        self.sleepers.wake(&due, Side::Program);
        self.deliver_all_parked();
    }

    /// Events that the program has taken since this was last asked.
    pub(crate) fn reaped_so_far(&self) -> u64 {
        let reaped = self.ring.producer.acquire().map_or(0, |held| self.ring.newly_reaped(&held));
        self.deliver_all_parked();
        reaped
    }

    /// Whether no other thread is inside a call. The context is dead, so none comes in any more.
    pub(crate) fn is_unused_but_by_caller(&self) -> bool {
        // Acquire: pairs with the Release in `Call::drop`.
        self.users.load(Ordering::Acquire) == 1
    }

    /// Waits until no other thread is inside a call; the caller is still counted.
    pub(crate) fn wait_until_unused(&self) {
        loop {
            // Acquire: pairs with the Release in `Call::drop`.
            let users = self.users.load(Ordering::Acquire);
            if users <= 1 {
                return;
            }
            // `Call::drop` wakes at 0 only: look again after a moment for the callers before us.
            let _ = futex::wait(&self.users, users, time::Deadline::after_ns(200_000));
        }
    }

    /// Waits until no engine can touch anything for this context any more.
    pub(crate) fn wait_until_idle(&self) {
        loop {
            // SeqCst: see `leave`.
            let running = self.running.load(Ordering::SeqCst);
            if running == 0 {
                return;
            }
            let _ = futex::wait(&self.running, running, time::Deadline::NEVER);
        }
    }

    /// Whether engines still have requests of this context.
    pub(crate) fn busy(&self) -> bool {
        self.running.load(Ordering::Acquire) != 0
    }

    /// Counts a request in. EAGAIN when in flight and in the ring are as many as the context takes.
    pub(crate) fn reserve(&self) -> Result<()> {
        self.try_reserve().or_else(|full| {
            // A completion counts down and pushes under the lock: what looks full may be half a change.
            let held = self.ring.producer.acquire().ok_or(full)?;
            let reserved = self.try_reserve();
            drop(held);
            self.deliver_all_parked();
            reserved
        })
    }

    fn try_reserve(&self) -> Result<()> {
        let capacity = self.capacity.load(Ordering::Relaxed);
        let mut flying = self.in_flight.load(Ordering::Relaxed);
        loop {
            if flying + self.ring.in_ring() >= capacity {
                return Err(Errno::EAGAIN);
            }
            // Acquire: pairs with the Release of `uncount`; a slot was given back before.
            match self.in_flight.compare_exchange_weak(flying, flying + 1, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) if flying + 1 + self.ring.in_ring() <= capacity => return Ok(()),
                Ok(_) => {
                    // A completion came between the two looks, and another request took its place.
                    self.uncount();
                    return Err(Errno::EAGAIN);
                }
                Err(now) => flying = now,
            }
        }
    }

    /// The request was refused after all.
    pub(crate) fn unreserve(&self) {
        self.uncount();
    }

    fn uncount(&self) {
        // Release: pairs with the Acquire in `try_reserve`.
        self.in_flight.fetch_sub(1, Ordering::Release);
    }

    /// Puts an accepted request where an engine can have it.
    pub(crate) fn enslot(&self, request: Request) -> &'static Slot {
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        if is_cold_read(&request) {
            self.cold_reads.one_more();
        }
        self.running.fetch_add(1, Ordering::Relaxed);
        self.slots.take(self, request, ticket)
    }

    /// Waits until no buffered read of this context is in flight: a buffered write performed now would
    /// overtake them, which the kernel never lets happen.
    pub(crate) fn wait_for_cold_reads(&self) {
        self.cold_reads.wait_for_none();
    }

    /// Ends a request that was executed inside io_submit.
    pub(crate) fn finish_inline(&self, request: &mut Request, res: i64) {
        request.release();
        counters::count_completion(request, res);
        let event = IoEvent { data: request.data, obj: request.obj, res, res2: 0 };
        if !self.deliver(&event, None, request.resfd, Side::Program) {
            self.park(&event, request.resfd);
        }
    }

    /// What comes of the request in `slot`, and whether it was a cold read. The engine that ends it calls this once.
    fn conclude(slot: &'static Slot, res: i64) -> (IoEvent, bool) {
        // SAFETY: the engine that ends the request has the slot.
        let request = unsafe { slot.request() };
        request.release();
        // What io_cancel has announced as cancelled is, also if it became ready meanwhile.
        let res = if request.op == Op::Poll && !slot.close_to_cancel() { request.cancelled() } else { res };
        counters::count_completion(request, res);
        (IoEvent { data: request.data, obj: request.obj, res, res2: 0 }, is_cold_read(request))
    }

    /// Ends the request in `slot`, exactly once, in a library thread, but for its eventfd and for those who sleep: they are
    /// told by [`Context::announce`], which has to follow, after the eventfd.
    pub(crate) fn finish_quietly(&self, slot: &'static Slot, res: i64) {
        let (event, cold) = Self::conclude(slot, res);
        self.telling.begin();
        let pushed = self.push(&event, Some(slot));
        debug_assert!(pushed.is_some(), "a library thread is never inside twice");
        if cold {
            self.cold_reads.one_less();
        }
    }

    /// Wakes who waits for what `finish_quietly` has ended, `count` requests, of which the engine then has nothing any more.
    pub(crate) fn announce(&self, count: u32) {
        self.telling.end();
        if let Some(held) = self.ring.producer.acquire() {
            let due = self.sleepers.due(&held, self.ring.in_ring());
            drop(held);
            self.sleepers.wake(&due, Side::Library);
        }
        self.leave_by(count);
    }

    /// Ends the request in `slot`, exactly once. `resfd`: its eventfd in this thread's descriptor table, which
    /// is the one of `side`, or -1. Afterwards the engine has nothing of it any more.
    pub(crate) fn finish(&self, slot: &'static Slot, res: i64, resfd: i32, side: Side) {
        let (event, cold) = Self::conclude(slot, res);
        if !self.deliver(&event, Some(slot), resfd, side) {
            // SAFETY: still this caller's: a signal handler that had to execute the request itself.
            *unsafe { slot.request() } = Request::parked(&event, resfd);
            self.slots.park(slot);
        }
        if cold {
            self.cold_reads.one_less();
        }
        self.leave();
    }

    /// An engine is about to get something of this context's besides a request: io_destroy waits for it.
    pub(crate) fn lend(&self) {
        self.running.fetch_add(1, Ordering::Relaxed);
    }

    /// The last touch of an engine. The word itself is never unmapped.
    pub(crate) fn leave(&self) {
        self.leave_by(1);
    }

    fn leave_by(&self, count: u32) {
        // SeqCst, here and in `die` and `wait_until_idle`: either this side sees the context dead and wakes, or the other
        // sees the count.
        if self.running.fetch_sub(count, Ordering::SeqCst) == count && self.is_dead() {
            futex::wake_all(&self.running);
        }
    }

    /// Whether what the caller has lent is all that engines still have.
    pub(crate) fn is_idle_but_for_caller(&self) -> bool {
        self.running.load(Ordering::Acquire) == 1
    }

    /// Event into the ring, then the eventfd, then whoever waits: the kernel's order. False: this thread is
    /// inside this function already.
    fn deliver(&self, event: &IoEvent, slot: Option<&Slot>, resfd: i32, side: Side) -> bool {
        let Some(held) = self.push(event, slot) else { return false };
        let due = self.sleepers.due(&held, self.ring.in_ring());
        drop(held);
        if resfd >= 0 {
            eventfd::add_one(resfd);
        }
        self.sleepers.wake(&due, side);
        if side == Side::Program {
            self.deliver_all_parked();
        }
        true
    }

    /// Puts an event into the ring and takes the request off the books. None: this thread is inside already.
    fn push(&self, event: &IoEvent, slot: Option<&Slot>) -> Option<Owned<'_>> {
        let held = self.ring.producer.acquire()?;
        self.ring.push(&held, event);
        if let Some(slot) = slot {
            self.slots.give_back(slot);
        }
        self.uncount();
        counters::count_reaped(self.ring.newly_reaped(&held));
        Some(held)
    }

    /// Delivers what signal handlers have parked while this thread held the producer lock. Every program thread that
    /// has held it calls this afterwards; library threads never do, for the eventfds are numbers of the program's table.
    fn deliver_all_parked(&self) {
        self.slots.unpark(|slot| self.deliver_parked(slot));
    }

    /// A signal handler's request has ended while its thread was inside `deliver`: the interrupted call
    /// delivers it before it returns.
    fn park(&self, event: &IoEvent, resfd: i32) {
        let slot = self.slots.take(self, Request::parked(event, resfd), 0);
        self.slots.park(slot);
    }

    fn deliver_parked(&self, slot: &'static Slot) {
        // SAFETY: `unpark` gave the slot to this thread alone.
        let (event, resfd) = unsafe { slot.request() }.parked_event();
        if !self.deliver(&event, Some(slot), resfd, Side::Program) {
            self.slots.park(slot);
        }
    }

    /// Notes down that somebody wants `need` events, and says how to sleep for them. None when `enough` are there
    /// to take already. `timer` is fired as well as the word changed.
    ///
    /// EINVAL: io_destroy has begun. EINTR: this is a signal handler that has interrupted its own thread in `deliver`. It cannot sleep
    /// for an event that only the interrupted call can deliver.
    pub(crate) fn note_sleeper(&self, need: u32, enough: u32, timer: Option<usize>) -> Result<Option<Bed<'_>>> {
        let held = self.ring.producer.acquire().ok_or(Errno::EINTR)?;
        if self.is_dead() {
            return Err(Errno::EINVAL);
        }
        if self.ring.in_ring() >= enough {
            return Ok(None);
        }
        let bed = self.sleepers.note(&held, need, timer);
        drop(held);
        // What a handler parks after this finds the lock free; what it parked before changes the word.
        self.deliver_all_parked();
        Ok(Some(bed))
    }

    /// Waits until the eventfds of events that the caller has taken are told.
    pub(crate) fn wait_until_told(&self) {
        self.telling.wait();
    }

    /// Takes a timer back that nobody has fired.
    pub(crate) fn forget_timer(&self, timer: usize) {
        self.sleepers.forget_timer(timer);
    }
}

fn is_cold_read(request: &Request) -> bool {
    request.op == Op::Read && request.cold
}
