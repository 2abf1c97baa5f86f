//! What a model can do: what the entry functions and the engines do, by the same functions.

use crate::abi::IoEvent;
use crate::config::{Choice, Config, Writes};
use crate::context::{self, Call, Ended};
use crate::errno::{Errno, Result};
use crate::model::look;
use crate::os::lock::{OwnerLock, QuietLock};
use crate::os::time::Deadline;
use crate::request::{self, Op};
use crate::ring::ring_nr;
use crate::service::Service;
use crate::slot::{Slot, Slots};
use crate::sync::{Ordering, UnsafeCell};
use crate::table;
use crate::timers::Side;
use crate::wait::{self, Wanted};

/// A value behind an [`OwnerLock`].
#[derive(Debug)]
pub struct Exclusive {
    lock: OwnerLock,
    value: UnsafeCell<u32>,
}

/// A value behind a [`QuietLock`].
#[derive(Debug)]
pub struct Quiet {
    lock: QuietLock,
    value: UnsafeCell<u32>,
}

// SAFETY: the lock guards the value, which is what the model is to show: loom checks each access.
unsafe impl Sync for Exclusive {}
// SAFETY: as above.
unsafe impl Sync for Quiet {}

fn one_more(value: &UnsafeCell<u32>) -> u32 {
    // SAFETY: loom checks that nobody else has it.
    unsafe { *value.get() += 1 };
    // SAFETY: as above.
    unsafe { *look(value) }
}

impl Exclusive {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Exclusive { lock: OwnerLock::default(), value: UnsafeCell::new(0) }
    }

    /// Adds one under the lock, and shows there that a second try of the same thread is refused.
    pub fn add(&self) -> u32 {
        let _held = self.lock.acquire().expect("this thread does not hold it");
        assert!(self.lock.acquire().is_none());
        one_more(&self.value)
    }
}

impl Quiet {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Quiet { lock: QuietLock::default(), value: UnsafeCell::new(0) }
    }

    /// Adds one under the lock.
    pub fn add(&self) -> u32 {
        let _quiet = self.lock.acquire();
        one_more(&self.value)
    }
}

/// A request in its slot.
#[derive(Clone, Copy)]
pub struct Request(&'static Slot);

impl Request {
    pub fn data(self) -> u64 {
        // SAFETY: the model has the slot; loom checks.
        unsafe { self.0.request() }.data
    }

    /// As io_cancel does it, in two steps.
    pub fn look(self) -> u32 {
        self.0.word()
    }

    pub fn mark_cancelled(self, word: u32) -> bool {
        self.0.mark_cancelled(word)
    }

    pub fn set_taken(self) {
        self.0.set_state(crate::slot::State::Taken);
    }

    pub fn is_cancelled(self, ticket: u32) -> bool {
        self.0.is_cancelled(ticket)
    }
}

fn event(data: u64) -> IoEvent {
    IoEvent { data, obj: !data, res: data as i64, res2: 0 }
}

fn request(data: u64) -> request::Request {
    request::Request::parked(&event(data), -1)
}

/// Slots by themselves.
pub struct Stack {
    slots: Slots,
    context: Context,
}

impl Stack {
    pub fn new(count: u32) -> Self {
        let stack = Stack { slots: Slots::default(), context: Context::new(2, 1) };
        stack.slots.attach(count).unwrap();
        stack
    }

    pub fn take(&self, data: u64) -> Request {
        Request(self.slots.take(self.context.0.get(), request(data), data as u32))
    }

    pub fn give_back(&self, request: Request) {
        self.slots.give_back(request.0);
    }

    pub fn park(&self, request: Request) {
        self.slots.park(request.0);
    }

    pub fn unpark(&self) -> Vec<Request> {
        let mut all = Vec::new();
        self.slots.unpark(|slot| all.push(Request(slot)));
        all
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.slots.detach();
        }
    }
}

/// A value that the code takes for an eternal one, until the model is over.
#[derive(Debug)]
struct Eternal<T: 'static>(*mut T);

// SAFETY: an address of a value that threads share.
unsafe impl<T: Sync> Send for Eternal<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Eternal<T> {}

impl<T: Default> Eternal<T> {
    fn new() -> Self {
        Eternal(Box::into_raw(Box::default()))
    }
}

impl<T> Eternal<T> {
    fn get(&self) -> &'static T {
        // SAFETY: it lives as long as this does, and the threads of the model end before.
        unsafe { &*self.0 }
    }
}

impl<T> Drop for Eternal<T> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: from `new`; the threads of the model have ended.
            drop(unsafe { Box::from_raw(self.0) });
        }
    }
}

/// A context without a table.
#[derive(Debug)]
pub struct Context(Eternal<context::Context>, Eternal<Service>);

impl Context {
    /// A ring for `nr` - 1 events, and as many requests as `capacity`.
    pub fn new(nr: u32, capacity: u32) -> Self {
        let eternal = Eternal::<context::Context>::new();
        let context = eternal.get();
        context.slots.attach(capacity).unwrap();
        context.ring.attach(nr).unwrap();
        context.ring.open(0).unwrap();
        context.prepare(0, capacity, capacity);
        context.revive();
        Context(eternal, Eternal::new())
    }

    /// io_submit's first half. False: EAGAIN.
    pub fn reserve(&self) -> bool {
        self.0.get().reserve(1).is_ok()
    }

    /// io_submit's second half, for an engine.
    pub fn enslot(&self, data: u64) -> Request {
        Request(self.0.get().enslot(request(data)))
    }

    /// As `enslot`, a buffered read that waits for the disk.
    pub fn enslot_cold_read(&self, data: u64) -> Request {
        let mut request = request(data);
        (request.op, request.cold) = (Op::Read, true);
        Request(self.0.get().enslot(request))
    }

    /// What a buffered write does first.
    pub fn wait_for_cold_reads(&self) {
        self.0.get().wait_for_cold_reads();
    }

    /// An engine ends a request.
    pub fn finish(&self, request: Request) {
        let data = request.data();
        assert!(self.0.get().finish(request.0, data as i64, -1, Side::Library));
        self.0.get().leave();
    }

    /// An engine ends a request of a round, but for its eventfd.
    pub fn finish_quietly(&self, request: Request) {
        let data = request.data();
        assert!(self.0.get().finish_quietly(request.0, data as i64));
    }

    /// The eventfds of a round of `count` requests are told.
    pub fn announce(&self, count: u32) {
        self.0.get().announce();
        (0..count).for_each(|_| self.0.get().leave());
    }

    /// io_submit ends a request itself.
    pub fn finish_inline(&self, data: u64) {
        self.0.get().finish_inline(&[Ended { event: event(data), resfd: -1 }]);
    }

    /// One look of io_getevents.
    pub fn take(&self, most: usize) -> Vec<u64> {
        self.collect(most, None, 0).unwrap()
    }

    /// io_getevents without a time-out. An error is EINVAL.
    pub fn wait(&self, least: usize, most: usize) -> Result<Vec<u64>> {
        self.collect(most, Some(Deadline::NEVER), least)
    }

    fn collect(&self, most: usize, deadline: Option<Deadline>, least: usize) -> Result<Vec<u64>> {
        let call = self.0.get().enter(context::Inside::Getevents).ok_or(Errno::EINVAL)?;
        collect(call, self.1.get(), most, deadline, least)
    }

    /// Events in the ring.
    pub fn in_ring(&self) -> u32 {
        self.0.get().ring.in_ring()
    }

    /// A program that reaps without a call, as libaio's users do: `tail`, the event, `head`.
    pub fn reap_by_hand(&self) -> Option<u64> {
        let shared = self.0.get().ring.memory.shared();
        let head = shared.head.load(Ordering::Relaxed);
        // Acquire and Release: what such a program must use on its side.
        if head == shared.tail.load(Ordering::Acquire) {
            return None;
        }
        let [data, obj, res, res2] =
            self.0.get().ring.memory.event(head).each_ref().map(|w| w.load(Ordering::Relaxed));
        shared.head.store((head + 1) % self.0.get().ring.nr(), Ordering::Release);
        Some(whole(&IoEvent { data, obj, res: res as i64, res2: res2 as i64 }))
    }

    /// io_destroy without the table: its steps 2 and 4 to 8.
    pub fn destroy(&self) -> bool {
        let Some(call) = self.0.get().enter(context::Inside::Call) else { return false };
        if self.0.get().die().is_err() {
            return false;
        }
        self.0.get().wake_everybody();
        self.0.get().wait_until_unused();
        self.0.get().wait_until_idle();
        drop(call);
        // Else the memory stays until the next io_setup.
        if !self.0.get().is_being_reaped() {
            self.0.get().ring.detach();
        }
        true
    }
}

fn collect(
    call: Call,
    service: &'static Service,
    most: usize,
    deadline: Option<Deadline>,
    least: usize,
) -> Result<Vec<u64>> {
    let mut events = vec![IoEvent::default(); most];
    let place = events.as_mut_ptr() as usize;
    let wanted = Wanted { least, most, events: place, ours: false, deadline, mask: None, service };
    let got = wait::collect(call, &wanted)?;
    Ok(events[..got].iter().map(whole).collect())
}

/// The event's data; the event is one that was pushed, whole.
fn whole(seen: &IoEvent) -> u64 {
    let pushed = event(seen.data);
    assert_eq!((seen.obj, seen.res, seen.res2), (pushed.obj, pushed.res, pushed.res2), "a torn event");
    seen.data
}

impl Drop for Context {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.0.get().ring.detach();
            self.0.get().slots.detach();
        }
    }
}

/// A table for two contexts.
#[derive(Debug)]
pub struct Table(table::Table, Eternal<Service>);

/// A thread inside a call.
#[derive(Debug)]
pub struct Inside(Call);

impl Table {
    /// Address of the first context.
    pub const FIRST: usize = super::memory::address_of(0);

    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let table = table::Table::default();
        let config = Config {
            choice: Choice::Auto,
            writes: Writes::Safe,
            cancel_extended: false,
            max_nr: 1000,
            stats_dir: [0; _],
            uring_mask: crate::engine::uring::Mask::default(),
        };
        table.open(&config, 1).unwrap();
        Table(table, Eternal::new())
    }

    pub fn set_up(&self) -> usize {
        self.0.set_up(1, |_| Ok(())).unwrap().0
    }

    pub fn enter(&self, address: usize) -> Option<Inside> {
        self.0.find(address).ok().map(Inside)
    }

    /// False: EINVAL.
    pub fn destroy(&self, address: usize) -> bool {
        let Ok(call) = self.0.find(address) else { return false };
        self.0.destroy(call, |context, _| context.wait_until_idle()).is_ok()
    }

    /// One look of io_getevents, for one event.
    pub fn look(&self, address: usize) -> Result<Vec<u64>> {
        collect(self.0.find(address)?, self.1.get(), 1, None, 0)
    }

    pub fn nr(&self) -> u64 {
        self.0.nr()
    }
}

impl Inside {
    /// The context's own address, by its ring, which is in order.
    pub fn address(&self) -> usize {
        let ring = &self.0.0.ring;
        assert_eq!(ring.nr(), ring_nr(1, 1));
        assert_eq!(ring.shared_id(), self.0.0.id.load(Ordering::Relaxed));
        ring.user()
    }

    /// io_getevents for one event, without a time-out.
    pub fn wait(self, table: &Table) -> Result<Vec<u64>> {
        collect(self.0, table.1.get(), 1, Some(Deadline::NEVER), 1)
    }

    /// A request to an engine.
    pub fn submit(&self, data: u64) -> InFlight {
        self.0.0.reserve(1).unwrap();
        InFlight(self.0.0.enslot(request(data)))
    }
}

/// A request that an engine has.
pub struct InFlight(&'static Slot);

impl InFlight {
    pub fn finish(self) {
        // SAFETY: the model has the slot.
        let data = unsafe { self.0.request() }.data;
        let context = self.0.context();
        assert!(context.finish(self.0, data as i64, -1, Side::Library));
        context.leave();
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.0.close();
        }
    }
}
