//! From `aio_context_t` to the context: found without a lock, and without touching an address that is not
//! known.

use crate::config::Config;
use crate::context::{Call, Context, Inside};
use crate::counters;
use crate::errno::{Errno, Result};
use crate::os::lock::QuietLock;
use crate::os::{kernel_aio, mem};
use crate::ring::{self, capacity, ring_nr};
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Most contexts of a process. Each has two mappings, of which Linux allows 65530.
pub(crate) const CONTEXTS: usize = if cfg!(any(loom, miri)) { 2 } else { 32768 };
/// Places to find them in; a power of two.
const PLACES: usize = 4 * CONTEXTS;
/// Memory of dead contexts that is kept for the next ones, in bytes.
const KEPT_BYTES: usize = 4 << 20;
/// Largest nr_events, before the quota (spec 1: 0x10000000 / 32 / 2).
const MOST_EVENTS: u32 = 0x1000_0000 / 32;

/// Address of no context: the place was never used, or not since its neighbour was.
const EMPTY: usize = 0;
/// Address of no context: look further.
const GONE: usize = 1;

/// Whether every thread that is still to be woken at io_destroy has been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awake {
    /// Yes, and no thread is inside a call any more.
    Yes,
    /// There may be some in the kernel's io_getevents, and others inside a call.
    Perhaps,
}

/// One place of the table.
#[derive(Debug, Default)]
struct Place {
    address: AtomicUsize,
    context: AtomicPtr<Context>,
}

// SAFETY: atomics only.
unsafe impl mem::Zeroed for Place {
    #[cfg(loom)]
    fn zeroed() -> Self {
        Place::default()
    }
}

/// The table. Zeroed memory plus [`Table::open`] is a valid one.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Guards setting up, destroying and moving; finding needs none.
    lock: QuietLock,
    /// [`CONTEXTS`] contexts, by id; pages come as they are used and stay.
    contexts: AtomicPtr<Context>,
    /// [`PLACES`] places.
    places: AtomicPtr<Place>,
    /// Bit set: the id is in use. Guarded by `lock`.
    used: AtomicPtr<AtomicU64>,
    /// Ids below this one are all in use. Guarded by `lock`.
    lowest: AtomicU32,
    /// Bytes of memory that dead contexts keep. Guarded by `lock`.
    kept: AtomicUsize,
    /// Dead contexts with threads in io_getevents. Guarded by `lock`.
    orphans: AtomicU32,
    cpus: AtomicU32,
    max_nr: AtomicU64,
    /// Sum of nr_events over the contexts: aio-nr.
    nr: AtomicU64,
}

impl Table {
    /// Maps the memory; little of it is ever touched. ENOMEM.
    pub(crate) fn open(&self, config: &Config, cpus: u32) -> Result<()> {
        self.contexts.store(mem::map_array(CONTEXTS)?, Ordering::Relaxed);
        self.places.store(mem::map_array(PLACES)?, Ordering::Relaxed);
        self.used.store(mem::map_array(CONTEXTS.div_ceil(64))?, Ordering::Relaxed);
        self.cpus.store(cpus, Ordering::Relaxed);
        self.max_nr.store(config.max_nr, Ordering::Relaxed);
        Ok(())
    }

    /// The quota, in requests.
    pub(crate) fn max_nr(&self) -> u64 {
        self.max_nr.load(Ordering::Relaxed)
    }

    /// How much of it is used.
    pub(crate) fn nr(&self) -> u64 {
        self.nr.load(Ordering::Relaxed)
    }

    fn context(&self, id: u32) -> &'static Context {
        debug_assert!((id as usize) < CONTEXTS);
        // SAFETY: `id` < CONTEXTS; zeroed memory is a valid dead context; never unmapped.
        unsafe { &*self.contexts.load(Ordering::Relaxed).add(id as usize) }
    }

    fn place(&self, index: usize) -> &'static Place {
        // SAFETY: the index is cut to the mapping; zeroed memory is a valid empty place; never unmapped.
        unsafe { &*self.places.load(Ordering::Relaxed).add(index % PLACES) }
    }

    fn used_word(&self, index: usize) -> &'static AtomicU64 {
        debug_assert!(index < CONTEXTS.div_ceil(64));
        // SAFETY: inside the mapping; never unmapped.
        unsafe { &*self.used.load(Ordering::Relaxed).add(index) }
    }

    /// Steps 3, 4 and 6 of spec 1: what is wrong with `nr_events`.
    fn check_quota(&self, nr_events: u32) -> Result<()> {
        let doubled = nr_events.max(4 * self.cpus.load(Ordering::Relaxed)).wrapping_mul(2);
        if doubled > MOST_EVENTS {
            return Err(Errno::EINVAL);
        }
        let over = u64::from(nr_events) > self.max_nr() || self.nr() + u64::from(nr_events) > self.max_nr();
        if doubled == 0 || over { Err(Errno::EAGAIN) } else { Ok(()) }
    }

    /// Makes a context for `nr_events` requests, with the caller inside; its address. EINVAL, EAGAIN, ENOMEM as spec 1, and
    /// what `furnish` says, which sees the context first.
    ///
    /// First and inside: threads with an address of old may submit to it, and destroy it, as soon as it can be found.
    pub(crate) fn set_up(
        &self,
        nr_events: u32,
        furnish: impl FnOnce(&'static Context) -> Result<()>,
    ) -> Result<(usize, Call)> {
        let _quiet = self.lock.acquire();
        self.check_quota(nr_events)?;
        if self.orphans.load(Ordering::Relaxed) > 0 {
            self.take_orphans();
        }
        let id = self.free_id()?;
        let context = self.context(id);
        let cpus = self.cpus.load(Ordering::Relaxed);
        let nr = ring_nr(nr_events, cpus);
        let capacity = capacity(nr, cpus);
        if context.ring.has_room_for(nr) {
            self.kept.fetch_sub(context.bytes(), Ordering::Relaxed);
        } else {
            self.forget_memory(context);
            context.slots.attach(capacity)?;
            context.ring.attach(nr)?;
        }
        let address = context.ring.open(id).inspect_err(|_| {
            // Not counted as kept any more.
            context.ring.detach();
            context.slots.detach();
        })?;
        context.prepare(id, nr_events, capacity);
        if let Err(why) = furnish(context) {
            context.ring.close();
            self.keep_or_free(context);
            return Err(why);
        }
        self.mark(id, true);
        self.nr.fetch_add(u64::from(nr_events), Ordering::Relaxed);
        context.revive();
        let call = context.enter(Inside::Call).ok_or(Errno::EINVAL)?;
        self.insert(address, context);
        Ok((address, call))
    }

    fn forget_memory(&self, context: &Context) {
        if context.ring.is_attached() {
            self.kept.fetch_sub(context.bytes(), Ordering::Relaxed);
        }
        context.ring.detach();
        context.slots.detach();
    }

    /// The lowest free id, as the kernel gives it.
    fn free_id(&self) -> Result<u32> {
        let first = self.lowest.load(Ordering::Relaxed) as usize / 64;
        for index in first..CONTEXTS.div_ceil(64) {
            let word = self.used_word(index).load(Ordering::Relaxed);
            if word != u64::MAX {
                return Ok((index * 64) as u32 + word.trailing_ones());
            }
        }
        Err(Errno::ENOMEM)
    }

    fn mark(&self, id: u32, used: bool) {
        let word = self.used_word(id as usize / 64);
        let bit = 1 << (id % 64);
        if used {
            word.fetch_or(bit, Ordering::Relaxed);
            self.lowest.store(id + 1, Ordering::Relaxed);
        } else {
            word.fetch_and(!bit, Ordering::Relaxed);
            self.lowest.fetch_min(id, Ordering::Relaxed);
        }
    }

    /// Where the search for `address` begins: neighbours in memory are neighbours in the table.
    fn first_index(address: usize) -> usize {
        address >> 12
    }

    fn insert(&self, address: usize, context: &'static Context) {
        if let Some((index, _)) = self.search(address) {
            // The program has unmapped the ring that was there, so the kernel gave its address again.
            let place = core::ptr::from_ref(context).cast_mut();
            return self.place(index).context.store(place, Ordering::Release);
        }
        let mut index = Table::first_index(address);
        while self.place(index).address.load(Ordering::Relaxed) > GONE {
            index += 1;
        }
        let place = self.place(index);
        place.context.store(core::ptr::from_ref(context).cast_mut(), Ordering::Relaxed);
        // Release: pairs with the Acquire in `search`.
        place.address.store(address, Ordering::Release);
    }

    /// Forgets `context` at `address`, where another may be by now.
    fn remove(&self, address: usize, context: &Context) {
        let found = self.search(address).filter(|(_, found)| core::ptr::eq(*found, context));
        let Some((mut index, _)) = found else { return };
        let last = self.place(index + 1).address.load(Ordering::Relaxed) == EMPTY;
        self.place(index).address.store(if last { EMPTY } else { GONE }, Ordering::Release);
        // Places that were only kept for the sake of those behind them are free now.
        while last && {
            index = index.wrapping_add(PLACES - 1);
            self.place(index).address.load(Ordering::Relaxed) == GONE
        } {
            self.place(index).address.store(EMPTY, Ordering::Release);
        }
    }

    fn search(&self, address: usize) -> Option<(usize, &'static Context)> {
        if address <= GONE {
            return None;
        }
        let first = Table::first_index(address);
        for index in first..first + PLACES {
            // Acquire: pairs with the Release in `insert`.
            match self.place(index).address.load(Ordering::Acquire) {
                EMPTY => return None,
                found if found == address => {
                    let context = self.place(index).context.load(Ordering::Relaxed);
                    debug_assert!(!context.is_null(), "an address without its context");
                    // SAFETY: contexts are never unmapped; the pointer was stored before the address.
                    return Some((index, unsafe { &*context }));
                }
                _ => {}
            }
        }
        None
    }

    /// What the table has for `address`, dead or alive. The caller is not inside of it.
    pub(crate) fn peek(&self, address: usize) -> Option<&'static Context> {
        self.search(address).map(|(_, context)| context)
    }

    /// Gets into the context at `address`. EINVAL: there is none, or its ring was moved away or has another id
    /// written into it.
    pub(crate) fn find(&self, address: usize) -> Result<Call> {
        self.find_for(Inside::Call, address)
    }

    /// As `find`, for io_getevents.
    pub(crate) fn find_to_reap(&self, address: usize) -> Result<Call> {
        self.find_for(Inside::Getevents, address)
    }

    fn find_for(&self, inside: Inside, address: usize) -> Result<Call> {
        let call = match self.search(address) {
            Some((_, context)) => context.enter(inside),
            None => self.enter_moved(inside, address),
        };
        let call = call.ok_or(Errno::EINVAL)?;
        let context = call.0;
        let id = context.id.load(Ordering::Relaxed);
        let same = context.ring.user() == address && context.ring.shared_id() == id;
        if same { Ok(call) } else { Err(Errno::EINVAL) }
    }

    /// Whether the program can read the ring of the context in `call` where it should be. EINVAL.
    pub(crate) fn look_at_ring(&self, call: &Call) -> Result<()> {
        if ring::is_readable(call.0.ring.user()) { Ok(()) } else { Err(Errno::EINVAL) }
    }

    /// Does `act`, which unmaps a ring, while nobody looks at what lies at an address.
    pub(crate) fn alone<T>(&self, act: impl FnOnce() -> T) -> T {
        let _quiet = self.lock.acquire();
        act()
    }

    /// The program may have moved a ring with mremap: then its new address is its name.
    #[cold]
    fn enter_moved(&self, inside: Inside, address: usize) -> Option<Call> {
        let _quiet = self.lock.acquire();
        let id = ring::id_at(address)?;
        let ours = (id as usize) < CONTEXTS && self.context(id).ring_is_at(address);
        let context = if ours { self.context(id) } else { self.moved_kernels(id, address)? };
        let call = context.enter(inside)?;
        self.remove(context.ring.user(), context);
        context.ring.set_user(address);
        self.insert(address, context);
        Some(call)
    }

    /// The context over kernel context `kernel_id`, whose ring the program has moved to `address`. The caller holds the lock.
    fn moved_kernels(&self, kernel_id: u32, address: usize) -> Option<&'static Context> {
        let is_it = |context: &&Context| {
            !context.is_dead() && context.lane.is_kernels() && context.lane.kernel_id() == kernel_id
        };
        self.used_contexts().find(is_it).filter(|_| kernel_aio::is_context(address))
    }

    /// io_destroy from the caller inside `call` on. `end_requests` returns when no engine has any; it is
    /// not called when none had.
    ///
    /// EINVAL: another thread was faster, or the ring is not where it should be.
    pub(crate) fn destroy(&self, call: Call, end_requests: impl FnOnce(&'static Context, Awake)) -> Result<()> {
        let context = call.0;
        let Some(call) = self.bury(call)? else { return Ok(()) };
        // A thread may be waiting inside io_submit of a kernel context: who sleeps in io_getevents is not to wait for that.
        let awake = if context.lane.has_sleepers() { Awake::Perhaps } else { Awake::Yes };
        if awake == Awake::Yes {
            context.wait_until_unused();
        }
        if context.busy() || context.lane.is_kernels() {
            end_requests(context, awake);
        }
        context.wait_until_unused();
        drop(call);
        self.recycle(context);
        Ok(())
    }

    /// First part of io_destroy: no later call finds the context, and its share of the quota is free. None: nothing is left of
    /// it that anybody could wait for.
    ///
    /// EINVAL: another thread was faster, or the ring is not where it should be.
    fn bury(&self, call: Call) -> Result<Option<Call>> {
        let quiet = self.lock.acquire();
        let ring = &call.0.ring;
        if !call.0.ring_is_there() {
            return Err(Errno::EINVAL);
        }
        call.0.die()?;
        self.remove(ring.user(), call.0);
        self.nr.fetch_sub(u64::from(call.0.nr_events.load(Ordering::Relaxed)), Ordering::Relaxed);
        ring.close();
        // Not under the table's lock: who holds the context's may be waiting for it, in a signal handler.
        drop(quiet);
        counters::count_reaped(call.0.reaped_so_far());
        call.0.wake_everybody();
        let context = call.0;
        if !context.is_unused_but_by_caller() || context.busy() || context.lane.is_kernels() {
            return Ok(Some(call));
        }
        // First: a signal handler may come when its memory is another context's already, and wait for this call to end.
        drop(call);
        self.recycle(context);
        Ok(None)
    }

    /// Last part, when there was something to wait for: nothing refers to the context any more, but perhaps threads in
    /// io_getevents. A signal handler that calls io_destroy may have interrupted one, so they are not waited for: the next
    /// io_setup finds what they leave.
    fn recycle(&self, context: &'static Context) {
        let _quiet = self.lock.acquire();
        if context.is_being_reaped() {
            context.orphan();
            self.orphans.fetch_add(1, Ordering::Relaxed);
        } else {
            self.keep_or_free(context);
        }
    }

    /// Memory of contexts that threads in io_getevents have left since. The caller holds the lock.
    #[cold]
    fn take_orphans(&self) {
        let left = |context: &&Context| context.is_orphan() && !context.is_being_reaped();
        self.used_contexts().filter(left).for_each(|context| {
            context.adopt_orphan();
            self.orphans.fetch_sub(1, Ordering::Relaxed);
            self.keep_or_free(context);
        });
    }

    /// The contexts of words with used ones.
    fn used_contexts(&self) -> impl Iterator<Item = &'static Context> {
        let words = (0..CONTEXTS.div_ceil(64)).filter(|index| self.used_word(*index).load(Ordering::Relaxed) != 0);
        words.flat_map(|index| index * 64..CONTEXTS.min(index * 64 + 64)).map(|id| self.context(id as u32))
    }

    /// Frees everything. Nobody uses the table any more.
    #[cfg(any(loom, miri))]
    pub(crate) fn close(&self) {
        for id in 0..CONTEXTS as u32 {
            self.forget_memory(self.context(id));
        }
        mem::unmap_array(self.contexts.load(Ordering::Relaxed), CONTEXTS);
        mem::unmap_array(self.places.load(Ordering::Relaxed), PLACES);
        mem::unmap_array(self.used.load(Ordering::Relaxed), CONTEXTS.div_ceil(64));
    }

    fn keep_or_free(&self, context: &'static Context) {
        if self.kept.load(Ordering::Relaxed) + context.bytes() <= KEPT_BYTES {
            self.kept.fetch_add(context.bytes(), Ordering::Relaxed);
        } else {
            context.ring.detach();
            context.slots.detach();
        }
        self.mark(context.id.load(Ordering::Relaxed), false);
    }
}
