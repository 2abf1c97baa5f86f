//! The library threads, and the way to them.
//!
//! One thread (with `threads`, the first of several) leaves the program's descriptor table and listens at a
//! Unix address that only this process may use. Requests travel to it as slot addresses, their files by
//! SCM_RIGHTS beside them: so a file is held from io_submit on whatever the program does with its number,
//! no record lock is ever dropped, and the program's table has one descriptor of ours.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

use crate::config::{Choice, Config, Writes};
use crate::context::Context;
use crate::engine::inline::Inline;
use crate::engine::{Batch, Engine, threads, uring};
use crate::errno::{Errno, Result};
use crate::inbox::Inbox;
use crate::os::lock::QuietLock;
use crate::os::{file, futex, socket, thread, time};
use crate::request::Op;
use crate::slot::{Slot, State};
use crate::stats::EngineId;
use crate::timers;

const DOWN: u32 = 0;
const STARTING: u32 = 1;
const UP: u32 = 2;
const STOPPING: u32 = 3;

/// Where the sending socket goes in the program's table: as high as costs nothing.
const HIGH: u64 = 1000;
/// Descriptors that a library thread needs for itself: its ring, its sockets, the timers of io_pgetevents.
const OWN_FILES: u64 = 40;
/// After a failed start, requests run inline for so long before the next try.
const RETRY_NS: u64 = 1_000_000_000;
/// How long io_submit waits for a free descriptor before it executes by itself.
const ROOM_TRIES: u32 = 100;

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
    /// Descriptors in the private table, and on their way to it.
    pub(crate) held: AtomicU32,
    /// Descriptors sent and not dealt with yet: some will be found to be doubles, and closed.
    in_transit: AtomicU32,
    /// The sending socket, and what tells it from another file of the same number.
    sender: AtomicI32,
    cookie: AtomicU64,
    failed_at_ns: AtomicU64,
    /// Written by the thread before it is UP, read under `lock`.
    address: UnsafeCell<Option<socket::Address>>,
    pid: AtomicI32,
    /// 1: only worker threads are wanted.
    threads_only: AtomicU32,
    /// 1: it wakes no sleepers of io_pgetevents, whose timers only one descriptor table can have.
    timerless: AtomicU32,
    /// 1: O_DIRECT writes are not waited for.
    careless: AtomicU32,
}

// SAFETY: `address` is written while STARTING, by the one thread being started, and read under `lock` only
// when UP; everything else is atomic.
unsafe impl Sync for Service {}

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
        self.sender.store(-1, Ordering::Relaxed);
        self.pid.store(pid, Ordering::Relaxed);
        let threads_only = [EngineId::Threads, EngineId::Scripted].map(Choice::Forced).contains(&config.choice);
        self.threads_only.store(u32::from(threads_only), Ordering::Relaxed);
        self.careless.store(u32::from(config.writes == Writes::Async), Ordering::Relaxed);
    }

    /// As `first`, but of the other kind.
    pub(crate) fn configure_as_other(&self, first: &Service) {
        self.sender.store(-1, Ordering::Relaxed);
        self.pid.store(first.pid.load(Ordering::Relaxed), Ordering::Relaxed);
        self.threads_only.store(1 - first.threads_only.load(Ordering::Relaxed), Ordering::Relaxed);
        self.careless.store(first.careless.load(Ordering::Relaxed), Ordering::Relaxed);
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
        self.close_sender();
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

    /// Lets go of a sending socket, if it is still ours.
    fn close_sender(&self) {
        let fd = self.sender.swap(-1, Ordering::Relaxed);
        if fd >= 0 && socket::cookie(fd) == Ok(self.cookie.load(Ordering::Relaxed)) {
            file::close(fd);
        }
    }

    /// Connects anew: the program has closed our socket, or the thread is another one, or the caller has a
    /// descriptor table of its own. The caller holds the lock, and the thread is UP.
    fn reconnect(&self) -> Result<i32> {
        if thread::pid() != self.pid.load(Ordering::Relaxed) {
            return Err(Errno::EPERM);
        }
        // SAFETY: the thread is UP, so the address is written and stays.
        let address = unsafe { *self.address.get() }.ok_or(Errno::EPERM)?;
        let former = self.sender.load(Ordering::Relaxed);
        self.close_sender();
        if former >= 0 && socket::is_connected_to(former, &address) {
            // An older connection of this very table, under the same number.
            file::close(former);
        }
        let floor = thread::descriptor_limit().min(HIGH + 24).saturating_sub(24).max(3) as i32;
        let fd = file::move_up(socket::connect(&address)?, floor);
        self.cookie.store(socket::cookie(fd)?, Ordering::Relaxed);
        self.sender.store(fd, Ordering::Relaxed);
        Ok(fd)
    }

    /// The sending socket, if the number still means it in this thread's descriptor table.
    fn own_sender(&self) -> Option<i32> {
        let fd = self.sender.load(Ordering::Relaxed);
        (fd >= 0 && socket::cookie(fd) == Ok(self.cookie.load(Ordering::Relaxed))).then_some(fd)
    }

    /// Sends one message, over a new connection where the old one is gone. The caller holds the thread.
    fn send(&self, words: &[u64], fds: &[i32]) -> Result<()> {
        let sent = self.own_sender().ok_or(Errno::EPIPE).and_then(|fd| send_patiently(fd, words, fds));
        if !matches!(sent, Err(Errno::EPIPE | Errno::ENOTCONN | Errno::ENOTSOCK | Errno::EBADF)) {
            return sent;
        }
        // One at a time: threads with tables of their own would take the connection from each other.
        let _quiet = self.lock.acquire();
        let sent = self.own_sender().ok_or(Errno::EPIPE).and_then(|fd| send_patiently(fd, words, fds));
        match sent {
            Err(Errno::EPIPE | Errno::ENOTCONN | Errno::ENOTSOCK) => send_patiently(self.reconnect()?, words, fds),
            other => other,
        }
    }

    /// Keeps room for `fds` more descriptors in the private table, if there is.
    pub(crate) fn reserve_files(&self, fds: u32) -> bool {
        let held = self.held.fetch_add(fds, Ordering::Relaxed);
        let limit = thread::descriptor_limit();
        let fits = u64::from(held + fds) + OWN_FILES.min(limit / 2) <= limit;
        if !fits {
            self.unreserve_files(fds);
        }
        fits
    }

    fn unreserve_files(&self, fds: u32) {
        self.held.fetch_sub(fds, Ordering::Relaxed);
    }

    /// Keeps room, if there is any or some may still appear.
    pub(crate) fn reserve_patiently(&self, fds: u32) -> bool {
        for _ in 0..ROOM_TRIES {
            // Looked at first: what settles meanwhile makes room.
            let in_transit = self.in_transit.load(Ordering::Acquire);
            if self.reserve_files(fds) {
                return true;
            }
            if in_transit == 0 {
                return false;
            }
            nap();
        }
        false
    }

    /// A message with so many files has been dealt with.
    pub(crate) fn settled(&self, files: u32) {
        self.in_transit.fetch_sub(files, Ordering::Release);
    }

    /// Whether the library threads can be reached from this thread's descriptor table. The caller holds them.
    pub(crate) fn is_reachable(&self) -> bool {
        self.own_sender().is_some() || {
            let _quiet = self.lock.acquire();
            self.own_sender().is_some() || self.reconnect().is_ok()
        }
    }

    /// Whether there is room for a whole batch at this moment.
    pub(crate) fn is_roomy(&self) -> bool {
        let held = self.held.load(Ordering::Relaxed);
        u64::from(held) + socket::MAX_FDS as u64 + OWN_FILES <= thread::descriptor_limit()
    }

    /// Waits for room for the files of a batch. It may have some already.
    fn make_room(&self, files: u32, room: u32) -> bool {
        let missing = files.saturating_sub(room);
        let found = missing == 0
            || (0..ROOM_TRIES).any(|_| {
                self.reserve_files(missing) || {
                    nap();
                    false
                }
            });
        self.unreserve_files(if found { room.saturating_sub(files) } else { room });
        found
    }

    fn hand_over(&self, batch: &Batch) -> Result<()> {
        let slots = batch.slots();
        let words: &[u64] = {
            // SAFETY: a reference to a slot is one aligned address, which is what a word of kind REQUEST is.
            unsafe { core::slice::from_raw_parts(slots.as_ptr().cast(), slots.len()) }
        };
        let files = batch.fds().len() as u32;
        if !self.make_room(files, batch.room) {
            return Err(Errno::EMFILE);
        }
        self.in_transit.fetch_add(files, Ordering::Relaxed);
        self.send(words, batch.fds()).inspect_err(|_| {
            self.settled(files);
            self.unreserve_files(files);
        })
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
        // SAFETY: STARTING: nobody reads the address yet.
        unsafe { *self.address.get() = Some(address) };
        self.held.store(0, Ordering::Relaxed);
        self.in_transit.store(0, Ordering::Relaxed);
        let inbox = Inbox::new(self, listener, self.pid.load(Ordering::Relaxed));
        let wants_uring = self.threads_only.load(Ordering::Relaxed) == 0;
        match wants_uring.then(uring::open_ring).flatten() {
            Some(ring) => {
                self.kind.store(EngineId::Uring as u32, Ordering::Relaxed);
                self.set_state(UP);
                uring::run(ring, inbox);
            }
            None => {
                self.kind.store(EngineId::Threads as u32, Ordering::Relaxed);
                let pool = threads::open(inbox)?;
                self.set_state(UP);
                threads::run(pool);
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
        while self.send(&[address | word::CANCEL_ALL], &[]).is_err() {
            if context.is_idle_but_for_caller() {
                return self.order_done(context);
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

/// Sends; too many files on their way (ETOOMANYREFS) is a matter of moments.
fn send_patiently(fd: i32, words: &[u64], fds: &[i32]) -> Result<()> {
    for _ in 0..ROOM_TRIES {
        match socket::send(fd, words, fds) {
            Err(Errno::ETOOMANYREFS) => nap(),
            other => return other,
        }
    }
    Err(Errno::ETOOMANYREFS)
}

fn nap() {
    static NOBODY: AtomicU32 = AtomicU32::new(0);
    let _ = futex::wait(&NOBODY, 0, time::Deadline::after_ns(1_000_000));
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
