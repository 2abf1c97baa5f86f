//! The engine over worker threads, for where io_uring is forbidden.
//!
//! One thread receives requests and watches whatever may wait for somebody else (`poller.rs`); files wait
//! for workers, of which there are as many as requests, up to a bound.

mod door;
mod late;
mod locked;
mod poller;
mod queue;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::context::Context;
use crate::engine::bells::{Bell, Bells};
use crate::engine::{NO_FILE, inline};
use crate::errno::Result;
use crate::files::{Files, Handle};
use crate::inbox::Inbox;
use crate::os::lock::thread_id;
use crate::os::{file, thread};
use crate::request::Op;
use crate::slot::Slot;
use crate::timers::Side;

use late::Late;
use locked::Locked;
use queue::Queue;

pub(crate) use door::Door;
pub(crate) use poller::{open, run};

/// What the poller and the workers share.
pub(crate) struct Pool {
    inbox: Inbox,
    /// Never held while a file is closed, which may take long.
    files: Locked<Files>,
    late: Late,
    queue: Queue,
    /// The thread that receives: it never waits for a thread of the program's.
    poller: usize,
    /// What it could not end, because the context's ring is held by a thread that does not run.
    undelivered: Mutex<Vec<(&'static Slot, Op)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// Queues a request for the workers, and starts one where none is idle. False: there is no worker and
    /// none can be had.
    fn queue(self: &Arc<Self>, slot: &'static Slot) -> bool {
        let started = self.start_wanted();
        let Some(woken) = self.queue.add(slot) else { return false };
        if woken == 0 && !started {
            // The one that slept has got another request meanwhile, or has ended.
            self.start_wanted();
        }
        true
    }

    /// Starts a worker, if one more is wanted. False: none was started.
    fn start_wanted(self: &Arc<Self>) -> bool {
        if !self.queue.wants_worker() {
            return false;
        }
        let pool = Arc::into_raw(Arc::clone(self)) as usize;
        let started = thread::spawn(worker, pool).is_ok();
        if !started {
            self.queue.no_worker();
            // SAFETY: no thread has got it.
            drop(unsafe { Arc::from_raw(pool as *const Pool) });
        }
        started
    }

    /// Executes a request of the queue.
    fn execute(&self, slot: &'static Slot) {
        let fd = self.fd(slot.file.load(Ordering::Relaxed));
        // SAFETY: the slot came out of the queue, so this worker has it.
        let res = inline::run_to_end(unsafe { slot.request() }, fd);
        self.finish(slot, res);
    }

    /// Ends a request, or notes it down if its event shall come late.
    fn finish(&self, slot: &'static Slot, res: i64) {
        // SAFETY: the caller has the slot.
        let request = unsafe { slot.request() };
        request.spoil(res);
        if request.delay_us == 0 || slot.context().is_dead() {
            return self.deliver(slot, res);
        }
        request.perform(res);
        self.late.add(slot, core::mem::take(&mut request.delay_us));
        // io_destroy may have come meanwhile, and looked too early.
        if slot.context().is_dead() {
            self.deliver_late(|late| core::ptr::eq(late.context(), slot.context()));
        }
    }

    /// Delivers the late ones that `which` says.
    fn deliver_late(&self, which: impl Fn(&Slot) -> bool) {
        for slot in self.late.take(which) {
            // SAFETY: taken out of the list.
            let res = unsafe { slot.request() }.performed().unwrap_or_default();
            self.deliver(slot, res);
        }
    }

    /// Ends a request and lets go of its files.
    fn deliver(&self, slot: &'static Slot, res: i64) {
        // SAFETY: the caller has the slot.
        let op = unsafe { slot.request() }.op;
        let (file, resfd) = files_of(slot);
        let context = slot.context();
        if context.finish(slot, res, self.eventfd(resfd), Side::Library) {
            self.let_go(file, resfd, op, context);
        } else {
            self.deliver_when_possible(slot, op);
        }
    }

    /// As `deliver`, for one that could not be ended at once. A worker waits; the poller comes back to it.
    fn deliver_when_possible(&self, slot: &'static Slot, op: Op) {
        if thread_id() == self.poller {
            return lock(&self.undelivered).push((slot, op));
        }
        while !self.deliver_again(slot, op) {}
    }

    /// False: still not possible.
    fn deliver_again(&self, slot: &'static Slot, op: Op) -> bool {
        let (file, resfd) = files_of(slot);
        let context = slot.context();
        let done = context.finish_late(slot, self.eventfd(resfd));
        if done {
            self.let_go(file, resfd, op, context);
        }
        done
    }

    /// Tries again to end what the poller could not end. True: there is still something.
    fn deliver_undelivered(&self) -> bool {
        let waiting = core::mem::take(&mut *lock(&self.undelivered));
        for (slot, op) in waiting {
            if !self.deliver_again(slot, op) {
                lock(&self.undelivered).push((slot, op));
            }
        }
        !lock(&self.undelivered).is_empty()
    }

    /// A request has ended.
    fn let_go(&self, file: Handle, resfd: Handle, op: Op, context: &Context) {
        self.release(file);
        if resfd != NO_FILE {
            self.release(resfd);
        }
        self.inbox.ended(op);
        context.leave();
    }

    fn eventfd(&self, resfd: Handle) -> i32 {
        if resfd == NO_FILE { -1 } else { self.fd(resfd) }
    }

    /// As `deliver`, but for its eventfd, which `bells` will tell.
    fn deliver_quietly(&self, slot: &'static Slot, res: i64, bells: &mut Bells) {
        let (file, eventfd) = files_of(slot);
        if eventfd == NO_FILE {
            return self.deliver(slot, res);
        }
        // SAFETY: the caller has the slot.
        let request = unsafe { slot.request() };
        let (op, number) = (request.op, request.resfd);
        let (context, fd) = (slot.context(), self.fd(eventfd));
        if !context.finish_quietly(slot, res) {
            return self.deliver_when_possible(slot, op);
        }
        bells.note(Bell { context, number, eventfd, fd, op });
        self.release(file);
    }

    /// Tells the eventfds of what has ended quietly, and lets go of them.
    fn ring(&self, bells: &mut Bells) {
        bells.ring();
        while let Some(bell) = bells.next_rung() {
            self.release(bell.eventfd);
            self.inbox.ended(bell.op);
            bell.context.leave();
        }
    }

    /// The descriptor.
    fn fd(&self, handle: Handle) -> i32 {
        self.files.with(|files| files.fd(handle))
    }

    fn keep(&self, handle: Handle) {
        self.files.with(|files| files.keep(handle));
    }

    fn release(&self, handle: Handle) {
        if let Some(fd) = self.files.with(|files| files.let_go(handle)) {
            file::close(fd);
            self.inbox.files_closed(1);
        }
    }

    /// Ends the queued reads of `context`.
    fn cancel_queued(&self, context: &'static Context) {
        // SAFETY: a queued slot is with this engine, and the lock keeps workers from it.
        let lasting = |slot: &Slot| unsafe { slot.request() }.is_lasting();
        self.end_queued(|slot| core::ptr::eq(slot.context(), context) && !lasting(slot));
    }

    /// Ends those queued requests that `which` says, under the queue's lock.
    fn end_queued(&self, which: impl Fn(&Slot) -> bool) {
        for slot in self.queue.take(which) {
            // SAFETY: taken out of the queue.
            let res = unsafe { slot.request() }.cancelled();
            self.finish(slot, res);
        }
    }
}

/// The handles of its file and its eventfd.
fn files_of(slot: &Slot) -> (Handle, Handle) {
    (slot.file.load(Ordering::Relaxed), slot.resfd.load(Ordering::Relaxed))
}

extern "C" fn worker(argument: *mut libc::c_void) -> *mut libc::c_void {
    thread::settle(b"uaio-worker\0\0\0\0\0");
    // SAFETY: `queue` passes one reference count along.
    let pool = unsafe { Arc::from_raw(argument.cast_const().cast::<Pool>()) };
    while let Some(slot) = pool.queue.next() {
        pool.execute(slot);
    }
    core::ptr::null_mut()
}

/// Makes the pool. The first thread is the caller.
fn pool(inbox: Inbox) -> Result<Arc<Pool>> {
    let undelivered = Mutex::default();
    let (files, late, queue) = (Locked::default(), Late::default(), Queue::default());
    Ok(Arc::new(Pool { inbox, files, late, queue, poller: thread_id(), undelivered }))
}
