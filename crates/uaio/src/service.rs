//! The library threads, and the way to them.
//!
//! One thread (with `threads`, the first of several) leaves the program's descriptor table and listens at a
//! Unix address that only this process may use. Requests travel to it as slot addresses, their files by
//! SCM_RIGHTS beside them: so a file is held from io_submit on whatever the program does with its number,
//! no record lock is ever dropped, and the program's table has one descriptor of ours.

mod room;
mod sender;

use crate::config::{Choice, Config, Writes};
use crate::context::Context;
use crate::engine::inline::Inline;
use crate::engine::{Batch, Engine, threads, uring};
use crate::errno::{Errno, Result};
use crate::inbox::Inbox;
use crate::os::lock::QuietLock;
use crate::os::{futex, socket, thread, time};
use crate::request::Op;
use crate::slot::{Slot, State};
use crate::stats::EngineId;
use crate::sync::{AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use crate::timers;

use room::Room;
use sender::Sender;

const DOWN: u32 = 0;
const STARTING: u32 = 1;
const UP: u32 = 2;
const STOPPING: u32 = 3;

/// After a failed start, requests run inline for so long before the next try.
const RETRY_NS: u64 = 1_000_000_000;

/// How often a message without files is tried, a millisecond apart, before its order is posted.
const TRIES: u32 = 100;

/// Lowest bits of a word of a message: what it is. Slots and contexts are 64-byte aligned.
pub(crate) mod word {
    pub(crate) const KIND: u64 = 63;
    pub(crate) const REQUEST: u64 = 0;
    pub(crate) const CANCEL_ALL: u64 = 1;
    /// The ticket follows in a word of its own.
    pub(crate) const CANCEL_ONE: u64 = 2;
    /// The number above is the index of the timer that comes along.
    pub(crate) const TIMER: u64 = 3;

    /// The word for timer `index`.
    pub(crate) fn timer(index: usize) -> u64 {
        ((index as u64) * (KIND + 1)) | TIMER
    }
}

/// The program's side of the library threads. Zeroed memory is a valid one that is down.
#[derive(Debug, Default)]
pub(crate) struct Service {
    lock: QuietLock,
    state: AtomicU32,
    /// The [`EngineId`] of the running thread.
    kind: AtomicU32,
    /// Requests handed over and not ended, and callers about to hand some over: the thread stays.
    pending: AtomicU32,
    /// Those of them that are writes or fsyncs.
    writes: AtomicU32,
    pub(crate) room: Room,
    sender: Sender,
    door: threads::Door,
    failed_at_ns: AtomicU64,
    /// The address of a context for [`Service::posted`], or 0.
    board: AtomicUsize,
    pid: AtomicI32,
    /// 1: only worker threads are wanted.
    threads_only: AtomicU32,
    /// 1: it wakes no sleepers of io_pgetevents, whose timers only one descriptor table can have.
    timerless: AtomicU32,
    /// 1: O_DIRECT writes are not waited for.
    careless: AtomicU32,
    /// A [`uring::Mask`].
    uring_mask: AtomicU32,
}

/// Somebody who needs the thread: it does not stop meanwhile.
#[derive(Debug)]
pub(crate) struct Hold(&'static Service);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Service {
    /// Takes note of the settings; starts nothing.
    pub(crate) fn configure(&self, config: &Config, pid: i32) {
        self.sender.clear();
        self.pid.store(pid, Ordering::Relaxed);
        let threads_only = [EngineId::Threads, EngineId::Scripted].map(Choice::Forced).contains(&config.choice);
        self.threads_only.store(u32::from(threads_only), Ordering::Relaxed);
        self.careless.store(u32::from(config.writes == Writes::Async), Ordering::Relaxed);
        self.uring_mask.store(config.uring_mask.0, Ordering::Relaxed);
    }

    /// As `first`, but of the other kind.
    pub(crate) fn configure_as_other(&self, first: &Service) {
        self.sender.clear();
        self.pid.store(first.pid.load(Ordering::Relaxed), Ordering::Relaxed);
        self.threads_only.store(1 - first.threads_only.load(Ordering::Relaxed), Ordering::Relaxed);
        self.careless.store(first.careless.load(Ordering::Relaxed), Ordering::Relaxed);
        self.uring_mask.store(first.uring_mask.load(Ordering::Relaxed), Ordering::Relaxed);
        self.timerless.store(1, Ordering::Relaxed);
    }

    /// Which engine it has, or tries to have first.
    pub(crate) fn forced_kind(&self) -> EngineId {
        if self.threads_only.load(Ordering::Relaxed) == 0 { EngineId::Uring } else { EngineId::Threads }
    }

    fn has_timers(&self) -> bool {
        self.timerless.load(Ordering::Relaxed) == 0
    }

    /// Makes sure that the thread runs. None: it cannot be had, and the caller must do without.
    pub(crate) fn hold(&'static self) -> Option<Hold> {
        // SeqCst, here and in `try_stop`: each side writes its word and then reads the other's, and one of
        // the two must see the other.
        self.pending.fetch_add(1, Ordering::SeqCst);
        let hold = Hold(self);
        loop {
            match self.state.load(Ordering::SeqCst) {
                UP => return Some(hold),
                STOPPING => futex::wait_while(&self.state, STOPPING),
                _ => {
                    self.start()?;
                    self.introduce_all();
                }
            }
        }
    }

    fn start(&'static self) -> Option<()> {
        let _quiet = self.lock.acquire();
        if self.state.load(Ordering::SeqCst) != DOWN {
            return Some(());
        }
        let failed = self.failed_at_ns.load(Ordering::Relaxed);
        let too_soon = failed != 0 && time::now_ns() - failed < RETRY_NS;
        // A CLONE_VM child never owns threads: they would end with it.
        if too_soon || thread::pid() != self.pid.load(Ordering::Relaxed) {
            return None;
        }
        self.sender.close();
        self.state.store(STARTING, Ordering::SeqCst);
        if thread::spawn(body, core::ptr::from_ref(self) as usize).is_err() {
            self.state.store(DOWN, Ordering::SeqCst);
        }
        futex::wait_while(&self.state, STARTING);
        if self.state.load(Ordering::SeqCst) == DOWN {
            self.failed_at_ns.store(time::now_ns(), Ordering::Relaxed);
            return None;
        }
        self.failed_at_ns.store(0, Ordering::Relaxed);
        Some(())
    }

    /// Makes the timers of sleepers known to the library threads, before any request that they could have to
    /// be woken for.
    fn introduce_all(&self) {
        if !self.has_timers() {
            return;
        }
        for (index, fd) in timers::to_introduce() {
            let _ = self.send(&[word::timer(index)], &[fd]);
        }
    }

    /// Makes one timer known, if there are library threads.
    pub(crate) fn introduce(&'static self, timer: &timers::Timer) {
        self.pending.fetch_add(1, Ordering::SeqCst);
        let _hold = Hold(self);
        if self.state.load(Ordering::SeqCst) == UP {
            let _ = self.send(&[word::timer(timer.index())], &[timer.fd()]);
        }
    }

    /// Sends one message, over a new connection where the old one is gone. The caller holds the thread.
    fn send(&self, words: &[u64], fds: &[i32]) -> Result<()> {
        let owner = self.pid.load(Ordering::Relaxed);
        self.sender.send(words, fds, owner)
    }

    /// Whether the library threads can be reached from this thread's descriptor table. The caller holds them.
    pub(crate) fn is_reachable(&self) -> bool {
        self.sender.is_connected_from_here(self.pid.load(Ordering::Relaxed))
    }

    fn hand_over(&self, batch: &Batch) -> Result<()> {
        let slots = batch.slots();
        let words: &[u64] = {
            // SAFETY: a reference to a slot is one aligned address, which is what a word of kind REQUEST is.
            unsafe { core::slice::from_raw_parts(slots.as_ptr().cast(), slots.len()) }
        };
        let files = batch.fds().len() as u32;
        if !self.room.find(files, batch.room) {
            return Err(Errno::EMFILE);
        }
        self.send(words, batch.fds()).inspect_err(|_| self.room.unsent(files))
    }

    /// Counts the requests in before they are sent.
    fn count_in(&self, slots: &[&'static Slot]) {
        self.pending.fetch_add(slots.len() as u32, Ordering::SeqCst);
        for slot in slots {
            // SAFETY: the submitter has the slots of its batch.
            let op = unsafe { slot.request() }.op;
            slot.set_state(State::Sent);
            if is_write(op) {
                self.writes.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Waits until the writes of the batch can no longer be lost. Each of them: one may be with the kernel long before
    /// another, which a worker of the kernel's performs.
    fn see_taken(&self, batch: &Batch) {
        if self.careless.load(Ordering::Relaxed) != 0 {
            return;
        }
        for (slot, ticket) in batch.writes() {
            let sent = State::Sent.of_request(ticket);
            while slot.word() == sent {
                let _ = futex::wait(slot.futex(), sent, time::Deadline::after_ns(10_000_000));
            }
        }
    }

    fn count_out(&self, slots: &[&'static Slot]) {
        for slot in slots {
            // SAFETY: nothing was sent, so the submitter still has the slots.
            self.ended(unsafe { slot.request() }.op);
        }
    }

    /// An engine has ended a request.
    pub(crate) fn ended(&self, op: Op) {
        if is_write(op) && self.writes.fetch_sub(1, Ordering::Release) == 1 {
            futex::wake_all(&self.writes);
        }
        self.pending.fetch_sub(1, Ordering::SeqCst);
    }

    /// A message that names memory of `context` is about to be sent: the thread stays until it has dealt with it,
    /// and io_destroy waits for that.
    fn lend(&self, context: &Context) {
        self.pending.fetch_add(1, Ordering::SeqCst);
        context.lend();
    }

    /// The message has been dealt with.
    pub(crate) fn order_done(&self, context: &Context) {
        context.leave();
        self.pending.fetch_sub(1, Ordering::SeqCst);
    }

    /// Where no message gets through, by a filter of the program's: the thread finds it when it looks next, which is
    /// within its idle time. False: another one is there.
    fn post(&self, context: usize) -> bool {
        // Release: pairs with the Acquire in `posted`, so that the thread sees the context dead.
        self.board.compare_exchange(0, context, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// The context on the board, whose requests shall end.
    pub(crate) fn posted(&self) -> Option<&'static Context> {
        if self.board.load(Ordering::Relaxed) == 0 {
            return None;
        }
        // Acquire: pairs with the Release in `post`.
        let address = self.board.swap(0, Ordering::Acquire);
        // SAFETY: null, or a context, which is never unmapped.
        unsafe { (address as *const Context).as_ref() }
    }

    /// Waits until every accepted write and fsync is performed.
    pub(crate) fn drain(&self) {
        if thread::pid() != self.pid.load(Ordering::Relaxed) {
            return;
        }
        loop {
            let writes = self.writes.load(Ordering::Acquire);
            if writes == 0 {
                return;
            }
            let _ = futex::wait(&self.writes, writes, time::Deadline::after_ns(100_000_000));
        }
    }

    /// The engine's thread has nothing to do. True: it ends.
    pub(crate) fn try_stop(&self) -> bool {
        self.state.store(STOPPING, Ordering::SeqCst);
        let stop = self.pending.load(Ordering::SeqCst) == 0;
        if !stop {
            self.set_state(UP);
        }
        stop
    }

    fn set_state(&self, state: u32) {
        self.state.store(state, Ordering::SeqCst);
        futex::wake_all(&self.state);
    }

    fn run(&'static self) -> Result<()> {
        thread::leave_descriptor_table()?;
        let (listener, address) = socket::listen()?;
        self.sender.aim(address);
        self.room.clear();
        let inbox = Inbox::new(self, listener, self.pid.load(Ordering::Relaxed));
        let wants_uring = self.threads_only.load(Ordering::Relaxed) == 0;
        let masked = uring::Mask(self.uring_mask.load(Ordering::Relaxed));
        match wants_uring.then(|| uring::open_ring(masked)).flatten() {
            Some(ring) => {
                self.kind.store(EngineId::Uring as u32, Ordering::Relaxed);
                self.set_state(UP);
                uring::run(ring, masked, inbox);
            }
            None => {
                self.kind.store(EngineId::Threads as u32, Ordering::Relaxed);
                let pool = threads::open(inbox, &self.door)?;
                self.set_state(UP);
                threads::run(pool);
                self.door.close();
            }
        }
        Ok(())
    }
}

impl Engine for &'static Service {
    fn id(&self) -> EngineId {
        match self.kind.load(Ordering::Relaxed) {
            k if k == EngineId::Uring as u32 => EngineId::Uring,
            _ => EngineId::Threads,
        }
    }

    fn submit(&self, batch: &mut Batch) {
        self.count_in(batch.slots());
        if self.door.submit(batch) {
            return batch.clear();
        }
        if self.hand_over(batch).is_err() {
            self.count_out(batch.slots());
            return Inline.submit(batch);
        }
        self.see_taken(batch);
        batch.clear();
    }

    fn cancel_all(&self, context: &'static Context) {
        let address = core::ptr::from_ref(context) as u64;
        self.lend(context);
        // io_destroy waits for what this ends: it must get there, also where for now no descriptor is to be had.
        let mut tries = 0;
        while self.send(&[address | word::CANCEL_ALL], &[]).is_err() {
            if context.is_idle_but_for_caller() {
                return self.order_done(context);
            }
            tries += 1;
            if tries > TRIES && self.post(address as usize) {
                return;
            }
            nap();
        }
    }

    fn cancel_one(&self, slot: &'static Slot, ticket: u32) {
        let address = core::ptr::from_ref(slot) as u64;
        self.lend(slot.context());
        if self.send(&[address | word::CANCEL_ONE, u64::from(ticket)], &[]).is_err() {
            self.order_done(slot.context());
        }
    }
}

fn is_write(op: Op) -> bool {
    matches!(op, Op::Write | Op::Fsync | Op::Fdatasync)
}

/// A millisecond's sleep, by nothing but a futex.
pub(crate) fn nap() {
    let nobody = AtomicU32::new(0);
    let _ = futex::wait(&nobody, 0, time::Deadline::after_ns(1_000_000));
}

/// A library thread's whole life.
extern "C" fn body(argument: *mut libc::c_void) -> *mut libc::c_void {
    thread::settle(b"uaio\0\0\0\0\0\0\0\0\0\0\0\0");
    // SAFETY: `start` passes its own address; a service is never unmapped.
    let service: &'static Service = unsafe { &*argument.cast_const().cast() };
    let _ = service.run();
    if service.has_timers() {
        timers::library_gone();
    }
    service.set_state(DOWN);
    core::ptr::null_mut()
}
