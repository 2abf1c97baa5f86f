//! What a context and everything that came out of it share: the six calls, and the book of operations.
//!
//! Whoever waits reaps: one thread at a time is in io_getevents (the leader) and tells every other one what has
//! come. Foreign code (wakers, buffers' drops) runs only while no lock and no leadership is held.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::flights::{State, Token};
use super::operation::{Finish, nothing_read};
use super::payload::Payload;
use crate::abi::{ContextId, IoEvent, Iocb, Iovec, Timespec};
use crate::engine::scripted::Scripted;
use crate::errno::Result;
use crate::fault::Script;
use crate::{entry, process, sys};

/// Pieces that an operation describes without a heap allocation.
pub(super) const OWN_PIECES: usize = 8;

/// What the library or the kernel reads while an operation is submitted, and what the operation owns.
pub(super) struct Cell {
    pub(super) iocb: Iocb,
    pub(super) payload: Payload,
    pub(super) finish: Finish,
    /// Bytes counted against the limit.
    pub(super) bytes: u64,
    pub(super) pieces: [Iovec; OWN_PIECES],
    pub(super) more_pieces: Vec<Iovec>,
}

/// See the module.
pub(crate) struct Shared {
    pub(super) id: ContextId,
    /// The state of the process that made it: another one in a forked child.
    home: *const process::Process,
    /// The context is the kernel's.
    pub(super) kernel: bool,
    state: Mutex<State>,
    /// The leader has news, or leaves.
    pub(super) news: Condvar,
    /// Tasks wait: for the reactor.
    pub(crate) asked: Condvar,
    pub(super) cells: Box<[UnsafeCell<Cell>]>,
    pub(super) bytes: AtomicU64,
    pub(super) bytes_max: u64,
    pub(crate) eventfd: Option<OwnedFd>,
    /// Somebody dispatches whenever the eventfd counts.
    driven: AtomicBool,
    pub(crate) name: Option<Box<str>>,
    /// What the context follows. Only the context knows it, until it is destroyed.
    _script: Option<Arc<Scripted>>,
}

// SAFETY: a cell is touched by one thread at a time: by who reserved it until io_submit, by the engines until the
// event, and then by who took the event or by the owner of the ticket, under the lock. `home` is only compared.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

/// How a context is made.
pub(crate) struct Plan {
    pub(crate) capacity: u32,
    pub(crate) engine: Option<crate::stats::EngineId>,
    pub(crate) bytes_max: u64,
    pub(crate) eventfd: Option<OwnedFd>,
    pub(crate) name: Option<Box<str>>,
    pub(crate) script: Option<Script>,
}

impl Shared {
    /// Makes the context. Errors as io_setup.
    pub(crate) fn open(plan: Plan) -> Result<Arc<Shared>> {
        let kernel = plan.engine.is_none() && process::is_off();
        let home = std::ptr::from_ref(process::get_or_make()?);
        let script = plan.script.map(Scripted::for_one).map(Arc::new);
        let id = if kernel {
            let mut id = 0;
            // SAFETY: `id` is a local.
            unsafe { sys::io_setup(plan.capacity, &raw mut id) }?;
            id
        } else {
            // SAFETY: it is kept until io_destroy has returned, or leaked (`Context::drop`).
            unsafe { entry::set_up_wishing(plan.capacity, plan.engine, script.as_deref()) }?
        };
        let cell = |_| {
            UnsafeCell::new(Cell {
                iocb: Iocb::default(),
                payload: Payload::EMPTY,
                finish: nothing_read,
                bytes: 0,
                pieces: [Iovec::default(); OWN_PIECES],
                more_pieces: Vec::new(),
            })
        };
        let shared = Arc::new(Shared {
            id,
            home,
            kernel,
            state: Mutex::new(State::new(plan.capacity)),
            news: Condvar::new(),
            asked: Condvar::new(),
            cells: (0..plan.capacity).map(cell).collect(),
            bytes: AtomicU64::new(0),
            bytes_max: plan.bytes_max,
            driven: AtomicBool::new(plan.eventfd.is_some()),
            eventfd: plan.eventfd,
            name: plan.name,
            _script: script,
        });
        // The addresses of iocbs travel as numbers.
        shared.cells.as_ptr().expose_provenance();
        Ok(shared)
    }

    /// # Safety
    /// As `sys::io_submit`.
    pub(super) unsafe fn io_submit(&self, list: &mut [*mut Iocb]) -> Result<usize> {
        if self.kernel {
            // SAFETY: the caller's promise.
            return unsafe { sys::io_submit(self.id, list.len() as isize, list.as_mut_ptr()) };
        }
        // SAFETY: the iocbs are in their cells; the caller's promise.
        unsafe { entry::own::submit(self.id, list) }
    }

    pub(super) fn io_getevents(
        &self,
        least: usize,
        room: &mut [MaybeUninit<IoEvent>],
        timeout: Option<Timespec>,
    ) -> Result<usize> {
        if self.kernel {
            let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
            let (most, events) = (room.len() as isize, room.as_mut_ptr().cast());
            // SAFETY: there is room for so many.
            return unsafe { sys::io_getevents(self.id, least as isize, most, events, timeout) };
        }
        entry::own::getevents(self.id, least, room, timeout)
    }

    /// Whether this is the process that made the context: a forked child touches nothing of it, not even locks.
    pub(crate) fn is_ours(&self) -> bool {
        process::get().is_some_and(|process| std::ptr::eq(process, self.home))
    }

    /// Whether tasks are woken without a thread of ours.
    pub(crate) fn is_driven(&self) -> bool {
        // Relaxed: nothing else is passed along.
        self.driven.load(Ordering::Relaxed)
    }

    /// Whoever has dispatched does so no more.
    #[cfg(feature = "tokio")]
    pub(crate) fn not_driven(self: &Arc<Self>) {
        self.driven.store(false, Ordering::Relaxed);
        if self.lock().wakers > 0 {
            super::reactor::start(self);
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn limits_bytes(&self) -> bool {
        self.bytes_max != u64::MAX
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.cells.len() as u32
    }

    pub(super) fn cell(&self, token: Token) -> *mut Cell {
        self.cells[token.index()].get()
    }

    /// What the operation owned, out of its place.
    ///
    /// # Safety
    /// The operation owns a `B`, has ended (or was never accepted), and the caller alone asks for it.
    pub(crate) unsafe fn take<B>(&self, token: Token) -> (B, Finish) {
        // SAFETY: the caller's promise; nobody else touches the cell.
        let cell = unsafe { &mut *self.cell(token) };
        self.uncount(cell);
        // SAFETY: the caller's promise.
        (unsafe { cell.payload.take() }, cell.finish)
    }

    pub(super) fn uncount(&self, cell: &mut Cell) {
        if cell.bytes > 0 {
            self.bytes.fetch_sub(std::mem::take(&mut cell.bytes), Ordering::Relaxed);
        }
    }
}
