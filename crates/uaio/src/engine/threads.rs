//! The engine over worker threads, for where io_uring is forbidden.
//!
//! One thread receives requests and watches whatever may wait for somebody else (`poller.rs`); files wait
//! for workers, of which there are as many as requests, up to a bound.

mod late;
mod poller;

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::context::Context;
use crate::engine::{NO_FILE, inline};
use crate::errno::Result;
use crate::files::{Files, Handle};
use crate::inbox::Inbox;
use crate::os::thread;
use crate::slot::Slot;
use crate::timers::Side;

use late::Late;

pub(crate) use poller::{open, run};

/// Most workers.
const WORKERS: usize = 32;
/// A worker without work ends after so long.
const IDLE: Duration = Duration::from_secs(1);

/// What the poller and the workers share.
struct Pool {
    inbox: Inbox,
    files: Mutex<Files>,
    late: Late,
    work: Mutex<Work>,
    more: Condvar,
}

#[derive(Default)]
struct Work {
    queue: VecDeque<&'static Slot>,
    workers: usize,
    idle: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// Queues a request for the workers, and starts one where none is idle. False: there is no worker and
    /// none can be had.
    fn queue(self: &Arc<Self>, slot: &'static Slot) -> bool {
        let mut work = lock(&self.work);
        if work.idle <= work.queue.len() && work.workers < WORKERS {
            work.workers += 1;
            let pool = Arc::into_raw(Arc::clone(self)) as usize;
            if thread::spawn(worker, pool).is_err() {
                work.workers -= 1;
                // SAFETY: no thread has got it.
                drop(unsafe { Arc::from_raw(pool as *const Pool) });
            }
        }
        if work.workers == 0 {
            return false;
        }
        work.queue.push_back(slot);
        drop(work);
        self.more.notify_one();
        true
    }

    /// The next request for this worker. None: it ends.
    fn next(&self) -> Option<&'static Slot> {
        let mut work = lock(&self.work);
        loop {
            if let Some(slot) = work.queue.pop_front() {
                return Some(slot);
            }
            work.idle += 1;
            let (back, waited) = self.more.wait_timeout(work, IDLE).unwrap_or_else(PoisonError::into_inner);
            work = back;
            work.idle -= 1;
            if waited.timed_out() && work.queue.is_empty() {
                work.workers -= 1;
                return None;
            }
        }
    }

    /// Executes a request of the queue.
    fn execute(&self, slot: &'static Slot) {
        let fd = lock(&self.files).fd(slot.file.load(Ordering::Relaxed));
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
        let (file, resfd) = (slot.file.load(Ordering::Relaxed), slot.resfd.load(Ordering::Relaxed));
        // SAFETY: the caller has the slot.
        let op = unsafe { slot.request() }.op;
        let eventfd = if resfd == NO_FILE { -1 } else { lock(&self.files).fd(resfd) };
        slot.context().finish(slot, res, eventfd, Side::Library);
        for handle in [file, resfd].into_iter().filter(|handle| *handle != NO_FILE) {
            self.release(handle);
        }
        self.inbox.ended(op);
    }

    fn release(&self, handle: Handle) {
        if lock(&self.files).release(handle) {
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
        let ended: Vec<_> = {
            let mut work = lock(&self.work);
            let (ended, left) = work.queue.drain(..).partition(|slot| which(slot));
            work.queue = left;
            Vec::from(ended)
        };
        for slot in ended {
            // SAFETY: taken out of the queue.
            let res = unsafe { slot.request() }.cancelled();
            self.finish(slot, res);
        }
    }
}

extern "C" fn worker(argument: *mut libc::c_void) -> *mut libc::c_void {
    thread::settle(b"uaio-worker\0\0\0\0\0");
    // SAFETY: `queue` passes one reference count along.
    let pool = unsafe { Arc::from_raw(argument.cast_const().cast::<Pool>()) };
    while let Some(slot) = pool.next() {
        pool.execute(slot);
    }
    core::ptr::null_mut()
}

/// Makes the pool. The first thread is the caller.
fn pool(inbox: Inbox) -> Result<Arc<Pool>> {
    Ok(Arc::new(Pool {
        inbox,
        files: Mutex::default(),
        late: Late::default(),
        work: Mutex::default(),
        more: Condvar::new(),
    }))
}
