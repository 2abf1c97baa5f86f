//! A context: how many requests it may have, how they end, and who waits for them.

mod cold_reads;
mod ending;
mod lane;
mod sleepers;
mod telling;

use core::sync::atomic::{AtomicPtr, compiler_fence};

use crate::abi::IoEvent;
use crate::engine::scripted::Scripted;
use crate::errno::{Errno, Result};
use crate::os::{futex, kernel_aio, mem, time};
use crate::request::Request;
use crate::ring::Ring;
use crate::slot::{Slot, Slots};
use crate::stats::EngineId;
use crate::sync::{AtomicU32, Ordering};
use crate::timers::Side;

use cold_reads::ColdReads;
use ending::is_cold_read;
use lane::Lane;
pub(crate) use lane::Wait;
pub(crate) use sleepers::Bed;
use sleepers::Sleepers;
use telling::Telling;

/// In [`Context::users`]: the context is in the table; without it no call gets in.
const ALIVE: u32 = 1 << 31;
/// In [`Context::users`]: one thread more in io_getevents. The bits below count the others.
const REAPER: u32 = 1 << 16;
/// In [`Context::wishes`]: io_destroy has left it to the last thread in io_getevents.
const ORPHAN: u32 = 1 << 9;
/// In [`Context::wishes`]: io_cancel ends whatever it can, as with `UAIO_CANCEL=extended`.
const CANCELS_ANY: u32 = 1 << 8;
/// In [`Context::wishes`]: 1 + [`EngineId`], or 0.
const ENGINE: u32 = CANCELS_ANY - 1;
/// A context. Its memory is never unmapped and never becomes anything else; zeroed memory is a dead one.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub(crate) struct Context {
    /// [`ALIVE`], and how many threads are inside a call with it: in io_getevents and not asleep ([`REAPER`]s), and in others.
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
    /// What the Rust API asks of its own contexts: 1 + [`EngineId`], or 0, plus [`CANCELS_ANY`]; and [`ORPHAN`].
    wishes: AtomicU32,
    /// The script of a context of the Rust API that has one of its own. Valid until io_destroy has returned.
    script: AtomicPtr<Scripted>,
    /// The last io_submit was short (1), and no other followed.
    pub(crate) short: AtomicU32,
    pub(crate) ring: Ring,
    pub(crate) slots: Slots,
    sleepers: Sleepers,
    telling: Telling,
    pub(crate) lane: Lane,
}

#[cfg(not(any(loom, miri)))]
const _: () = assert!(size_of::<Context>() <= 256);

// SAFETY: atomics only, and locks, of which zero is the free one.
unsafe impl mem::Zeroed for Context {
    #[cfg(any(loom, miri))]
    fn zeroed() -> Self {
        Context::default()
    }
}

/// What has come of a request that was executed inside io_submit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) event: IoEvent,
    /// The eventfd, or -1.
    pub(crate) resfd: i32,
}

/// What a thread is inside of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Inside {
    /// A call that io_destroy waits for.
    Call = 1,
    /// io_getevents: it holds nothing of the program's, and may be what a signal handler that calls io_destroy has interrupted.
    Getevents = REAPER,
}

/// A thread inside a call with the context: the context is alive or waits for it, or at least its memory does.
#[derive(Debug)]
pub(crate) struct Call(pub(crate) &'static Context, Inside);

impl Drop for Call {
    fn drop(&mut self) {
        // Release: pairs with the Acquires in `wait_until_unused` and `is_being_reaped`.
        let before = self.0.users.fetch_sub(self.1 as u32, Ordering::Release);
        // The last but who destroys.
        if before & ALIVE == 0 && self.1 == Inside::Call && before & (REAPER - 1) == 2 {
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
        self.lane.clear();
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
        self.wishes.load(Ordering::Relaxed) & ENGINE == 1 + id as u32
    }

    /// Whether this context was set up for one engine.
    pub(crate) fn has_wish(&self) -> bool {
        self.wishes.load(Ordering::Relaxed) & ENGINE != 0
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
    pub(crate) fn enter(&'static self, inside: Inside) -> Option<Call> {
        // Acquire: pairs with the Release in `revive`.
        let before = self.users.fetch_add(inside as u32, Ordering::Acquire);
        let call = Call(self, inside);
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

    /// Gets in again after a sleep in io_getevents, if it is still the same context.
    pub(crate) fn enter_again(&'static self, generation: u32) -> Option<Call> {
        self.enter(Inside::Getevents).filter(|_| self.generation() == generation)
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
        let Some(held) = self.ring.producer.acquire() else { return self.sleepers.rouse(Side::Program) };
        let due = self.sleepers.all(&held);
        drop(held);
        self.sleepers.wake(&due, Side::Program);
        self.deliver_all_parked();
    }

    /// Kernel context `kernel_id` lies under this one from now on. Who sleeps for events sleeps in the wrong place.
    pub(crate) fn give_to_kernel(&self, kernel_id: u32, tail: u32, patience_ns: u32) {
        let held = self.ring.producer.acquire();
        self.lane.give(kernel_id, tail, patience_ns);
        let due = held.as_ref().map(|held| self.sleepers.all(held));
        drop(held);
        due.inspect(|due| self.sleepers.wake(due, Side::Program));
    }

    /// Whether the program has the ring where it should be.
    pub(crate) fn ring_is_there(&self) -> bool {
        let at = self.ring.user();
        if self.lane.is_kernels() { kernel_aio::is_context(at) } else { self.ring.is_mapped_at(at) }
    }

    /// Whether the ring, one of our own, is at `address`. The context may be any, dead too.
    pub(crate) fn ring_is_at(&self, address: usize) -> bool {
        !self.is_dead() && !self.lane.is_kernels() && self.ring.is_alias_at(address)
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

    /// Waits until no other thread is inside a call but io_getevents; the caller is still counted.
    pub(crate) fn wait_until_unused(&self) {
        loop {
            // Acquire: pairs with the Release in `Call::drop`.
            let users = self.users.load(Ordering::Acquire);
            if users & (REAPER - 1) <= 1 {
                return;
            }
            // A second destroyer is counted for a moment, too: look again.
            let _ = futex::wait(&self.users, users, time::Deadline::after_ns(200_000));
        }
    }

    /// Whether a thread is in io_getevents. The context is dead, so none of those that count comes in any more.
    pub(crate) fn is_being_reaped(&self) -> bool {
        // Acquire: pairs with the Release in `Call::drop`.
        self.users.load(Ordering::Acquire) >= REAPER
    }

    /// Dead and done with, but for threads in io_getevents.
    pub(crate) fn orphan(&self) {
        self.wishes.fetch_or(ORPHAN, Ordering::Relaxed);
    }

    pub(crate) fn is_orphan(&self) -> bool {
        self.wishes.load(Ordering::Relaxed) & ORPHAN != 0
    }

    /// The last of them has left, and its memory is used again.
    pub(crate) fn adopt_orphan(&self) {
        self.wishes.fetch_and(!ORPHAN, Ordering::Relaxed);
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

    /// Counts up to `most` requests in, at least one; returns how many. EAGAIN when in flight and in the ring are as many
    /// as the context takes.
    pub(crate) fn reserve(&self, most: u32) -> Result<u32> {
        self.try_reserve(most).or_else(|full| {
            // A completion counts down and pushes under the lock: what looks full may be half a change.
            let held = self.ring.producer.acquire().ok_or(full)?;
            let reserved = self.try_reserve(1);
            drop(held);
            self.deliver_all_parked();
            reserved
        })
    }

    fn try_reserve(&self, most: u32) -> Result<u32> {
        let capacity = self.capacity.load(Ordering::Relaxed);
        let mut most = most;
        let mut flying = self.in_flight.load(Ordering::Relaxed);
        loop {
            let room = capacity.saturating_sub(flying + self.ring.in_ring()).min(most);
            if room == 0 {
                return Err(Errno::EAGAIN);
            }
            // Acquire: pairs with the Release of `uncount`; a slot was given back before.
            let counted =
                self.in_flight.compare_exchange_weak(flying, flying + room, Ordering::Acquire, Ordering::Relaxed);
            match counted {
                Ok(_) if flying + room + self.ring.in_ring() <= capacity => return Ok(room),
                Ok(_) => {
                    // A completion came between the two looks, and another request took its place.
                    self.uncount(room);
                    if room == 1 {
                        return Err(Errno::EAGAIN);
                    }
                    (most, flying) = (1, self.in_flight.load(Ordering::Relaxed));
                }
                Err(now) => flying = now,
            }
        }
    }

    /// So many requests will not come after all.
    pub(crate) fn unreserve(&self, count: u32) {
        self.uncount(count);
    }

    fn uncount(&self, count: u32) {
        // Release: pairs with the Acquire in `try_reserve`.
        self.in_flight.fetch_sub(count, Ordering::Release);
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

    /// An engine is about to get something of this context's besides a request: io_destroy waits for it.
    pub(crate) fn lend(&self) {
        self.running.fetch_add(1, Ordering::Relaxed);
    }

    /// The last touch of an engine, which holds nothing for the request any more, no file either. The word itself is never
    /// unmapped.
    pub(crate) fn leave(&self) {
        // SeqCst, here and in `die` and `wait_until_idle`: either this side sees the context dead and wakes, or the other
        // sees the count.
        if self.running.fetch_sub(1, Ordering::SeqCst) == 1 && self.is_dead() {
            futex::wake_all(&self.running);
        }
    }

    /// Whether what the caller has lent is all that engines still have.
    pub(crate) fn is_idle_but_for_caller(&self) -> bool {
        self.running.load(Ordering::Acquire) == 1
    }

    /// Notes down that somebody wants `need` events, and says how to sleep for them. None when `enough` are there
    /// to take already. `timer` is fired as well as the word changed.
    ///
    /// EINVAL: io_destroy has begun. EINTR: this is a signal handler that has interrupted its own thread in `deliver`. It cannot sleep
    /// for an event that only the interrupted call can deliver.
    pub(crate) fn note_sleeper(&self, need: u32, enough: u32, timer: Option<usize>) -> Result<Option<Bed<'_>>> {
        let held = self.ring.producer.acquire().ok_or(Errno::EINTR)?;
        let bed = if self.is_dead() {
            Err(Errno::EINVAL)
        } else if self.ring.in_ring() >= enough || self.lane.is_kernels() {
            Ok(None)
        } else {
            let bed = self.sleepers.note(&held, need, timer);
            // A handler on this thread that calls io_destroy changes the word that has been read, or has killed the context.
            compiler_fence(Ordering::SeqCst);
            if self.is_dead() { Err(Errno::EINVAL) } else { Ok(Some(bed)) }
        };
        drop(held);
        // What a handler parks after this finds the lock free; what it parked before changes the word.
        self.deliver_all_parked();
        bed
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
