//! Who executes requests.
//!
//! An engine knows no ring and no eventfd number of the program's: it gets slots, and ends each of them
//! exactly once through [`Context::finish`], on any thread, maybe before `submit` returns. Then it lets go of the files, and
//! [leaves](Context::leave): what io_destroy waits for.

pub(crate) mod bells;
pub(crate) mod inline;
pub(crate) mod kernel;
pub(crate) mod lent;
pub(crate) mod scripted;
pub(crate) mod threads;
pub(crate) mod uring;

use core::mem::MaybeUninit;

use crate::context::Context;
use crate::os::socket::MAX_FDS;
use crate::request::Op;
use crate::slot::Slot;
use crate::stats::EngineId;

/// Requests in one batch: each brings two descriptors at most.
const MAX_REQUESTS: usize = MAX_FDS / 2;

/// The contract of every engine.
pub(crate) trait Engine {
    /// Which one it is, for the counters.
    fn id(&self) -> EngineId;

    /// Takes every request of `batch`, in order, and leaves it empty. When this returns, the files and
    /// eventfds of the requests may be closed by the program.
    fn submit(&self, batch: &mut Batch);

    /// Ends the polls, the waiting streams and the reads not yet started of `context`; writes to files and
    /// fsyncs go on. Says nothing about when.
    fn cancel_all(&self, context: &'static Context);

    /// Ends the request `ticket` in `slot`, which is marked as cancelled, if it is still there.
    fn cancel_one(&self, slot: &'static Slot, ticket: u32);
}

/// Requests of one io_submit on their way to an engine, with the program's descriptors that they need.
pub(crate) struct Batch {
    slots: [MaybeUninit<&'static Slot>; MAX_REQUESTS],
    /// Numbers of the requests that are writes to files, else [`NO_WRITE`].
    writes: [MaybeUninit<u64>; MAX_REQUESTS],
    count: usize,
    fds: [MaybeUninit<i32>; MAX_FDS],
    fd_count: usize,
    /// Room in the library's descriptor table that is kept for it already.
    pub(crate) room: u32,
}

/// [`Slot::resfd`] of a request without eventfd.
pub(crate) const NO_FILE: u32 = u32::MAX;
const NO_WRITE: u64 = u64::MAX;

impl Batch {
    /// An empty batch.
    pub(crate) fn new() -> Batch {
        Batch {
            slots: [const { MaybeUninit::uninit() }; MAX_REQUESTS],
            writes: [const { MaybeUninit::uninit() }; MAX_REQUESTS],
            count: 0,
            fds: [const { MaybeUninit::uninit() }; MAX_FDS],
            fd_count: 0,
            room: 0,
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.count == MAX_REQUESTS
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds the request in `slot`, with its descriptors. There is room.
    pub(crate) fn add(&mut self, slot: &'static Slot, fd: i32, resfd: i32) {
        let ticket = u64::from(slot.ticket());
        // SAFETY: the caller has the slot.
        let request = unsafe { slot.request() };
        let is_write = request.op == Op::Write && !request.stream;
        self.writes[self.count].write(if is_write { ticket } else { NO_WRITE });
        slot.file.store(self.place(fd), core::sync::atomic::Ordering::Relaxed);
        let resfd = if resfd < 0 { NO_FILE } else { self.place(resfd) };
        slot.resfd.store(resfd, core::sync::atomic::Ordering::Relaxed);
        self.slots[self.count].write(slot);
        self.count += 1;
    }

    /// Index of `fd` among the descriptors.
    fn place(&mut self, fd: i32) -> u32 {
        let known = self.fds().iter().position(|known| *known == fd);
        known.unwrap_or_else(|| {
            self.fds[self.fd_count].write(fd);
            self.fd_count += 1;
            self.fd_count - 1
        }) as u32
    }

    /// The requests.
    pub(crate) fn slots(&self) -> &[&'static Slot] {
        // SAFETY: the first `count` are written.
        unsafe { self.slots[..self.count].assume_init_ref() }
    }

    /// The writes to files among them, with their numbers: a slot may be another request's by now.
    pub(crate) fn writes(&self) -> impl Iterator<Item = (&'static Slot, u32)> {
        // SAFETY: the first `count` are written.
        let writes = unsafe { self.writes[..self.count].assume_init_ref() };
        let numbered = self.slots().iter().zip(writes);
        numbered.filter(|(_, number)| **number != NO_WRITE).map(|(slot, number)| (*slot, *number as u32))
    }

    /// The program's descriptors.
    pub(crate) fn fds(&self) -> &[i32] {
        // SAFETY: the first `fd_count` are written.
        unsafe { self.fds[..self.fd_count].assume_init_ref() }
    }

    /// Empties it.
    pub(crate) fn clear(&mut self) {
        self.count = 0;
        self.fd_count = 0;
        self.room = 0;
    }
}
