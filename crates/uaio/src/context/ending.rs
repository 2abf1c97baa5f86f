//! How requests end: the event into the ring, then the eventfd, then whoever waits.

use super::{Context, Ended};
use crate::abi::IoEvent;
use crate::counters;
use crate::os::eventfd;
use crate::os::lock::Owned;
use crate::request::{Op, Request};
use crate::slot::Slot;
use crate::timers::Side;

impl Context {
    /// Ends requests that were executed inside io_submit: events into the ring, eventfds, sleepers, in this order.
    pub(crate) fn finish_inline(&self, all: &[Ended]) {
        let Some(held) = self.ring.producer.acquire() else {
            return all.iter().for_each(|ended| self.park(&ended.event, ended.resfd));
        };
        self.ring.push(&held, all.iter().map(|ended| ended.event));
        self.uncount(all.len() as u32);
        counters::count_reaped(self.ring.newly_reaped(&held));
        let due = self.sleepers.due(&held, self.ring.in_ring());
        drop(held);
        all.iter().filter(|ended| ended.resfd >= 0).for_each(|ended| eventfd::add_one(ended.resfd));
        self.sleepers.wake(&due, Side::Program);
        self.deliver_all_parked();
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
    /// told by [`Context::announce`], which has to follow, after the eventfd. False: [`Context::finish_late`] has to follow.
    pub(crate) fn finish_quietly(&self, slot: &'static Slot, res: i64) -> bool {
        let (event, cold) = Self::conclude(slot, res);
        let held = self.ring.producer.acquire_briefly();
        if let Some(held) = &held {
            self.telling.begin();
            self.push(held, &event, Some(slot));
        } else {
            Self::put_off(slot, &event, -1);
        }
        if cold {
            self.cold_reads.one_less();
        }
        held.is_some()
    }

    /// Wakes who waits for what `finish_quietly` has ended. [`Context::leave`] has to follow for each request.
    pub(crate) fn announce(&self) {
        self.telling.end();
        match self.ring.producer.acquire_briefly() {
            Some(held) => {
                let due = self.sleepers.due(&held, self.ring.in_ring());
                drop(held);
                self.sleepers.wake(&due, Side::Library);
            }
            None => self.sleepers.rouse(Side::Library),
        }
    }

    /// Ends the request in `slot`, exactly once. `resfd`: its eventfd in this thread's descriptor table, which
    /// is the one of `side`, or -1. [`Context::leave`] has to follow, when the engine has let go of the files.
    ///
    /// False, for the library's side only: the thread that holds the ring does not run, because a signal handler has
    /// interrupted it, and the handler may be waiting for another request. [`Context::finish_late`] has to follow.
    pub(crate) fn finish(&self, slot: &'static Slot, res: i64, resfd: i32, side: Side) -> bool {
        let (event, cold) = Self::conclude(slot, res);
        let delivered = self.deliver(&event, Some(slot), resfd, side);
        if !delivered {
            Self::put_off(slot, &event, resfd);
        }
        if cold {
            self.cold_reads.one_less();
        }
        if !delivered && side == Side::Library {
            return false;
        }
        if !delivered {
            // A signal handler that had to execute the request itself.
            self.slots.park(slot);
        }
        true
    }

    /// As [`Context::finish`], for a request of which that could not be done before. `resfd` as there.
    pub(crate) fn finish_late(&self, slot: &'static Slot, resfd: i32) -> bool {
        // SAFETY: the engine that ends the request has the slot.
        let (event, _) = unsafe { slot.request() }.parked_event();
        self.deliver(&event, Some(slot), resfd, Side::Library)
    }

    /// The event waits in the slot.
    fn put_off(slot: &'static Slot, event: &IoEvent, resfd: i32) {
        // SAFETY: the slot is the caller's as long as its event is not delivered.
        *unsafe { slot.request() } = Request::parked(event, resfd);
    }

    /// Event into the ring, then the eventfd, then whoever waits: the kernel's order. False: this thread is
    /// inside this function already, or, for the library, somebody else is and does not run.
    fn deliver(&self, event: &IoEvent, slot: Option<&Slot>, resfd: i32, side: Side) -> bool {
        let held = match side {
            Side::Program => self.ring.producer.acquire(),
            Side::Library => self.ring.producer.acquire_briefly(),
        };
        let Some(held) = held else { return false };
        self.push(&held, event, slot);
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

    /// Puts an event into the ring and takes the request off the books.
    fn push(&self, held: &Owned<'_>, event: &IoEvent, slot: Option<&Slot>) {
        self.ring.push(held, [*event].into_iter());
        if let Some(slot) = slot {
            self.slots.give_back(slot);
        }
        self.uncount(1);
        counters::count_reaped(self.ring.newly_reaped(held));
    }

    /// Delivers what signal handlers have parked while this thread held the producer lock. Every program thread that
    /// has held it calls this afterwards; library threads never do, for the eventfds are numbers of the program's table.
    pub(super) fn deliver_all_parked(&self) {
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
}

pub(super) fn is_cold_read(request: &Request) -> bool {
    request.op == Op::Read && request.cold
}
