//! Who sleeps for events of a context, and when to wake them. What changes here changes under the ring's producer
//! lock, so that no event comes between a look and a sleep.

use crate::os::futex;
use crate::os::lock::Owned;
use crate::sync::{AtomicI32, AtomicU32, Ordering};
use crate::timers::{self, Side};

/// Nobody sleeps.
const NOBODY: u32 = u32::MAX;
/// Sleepers of io_pgetevents per context that are woken one by one; more look every 10 ms.
const POLLERS: usize = 8;

/// The sleepers of a context.
#[derive(Debug, Default)]
pub(super) struct Sleepers {
    /// They sleep on this word; it changes when they must look.
    calls: AtomicU32,
    /// Events that the most modest of them waits for, or [`NOBODY`].
    need: AtomicU32,
    /// `index + 1` of the timers of io_pgetevents' sleepers.
    pollers: [AtomicI32; POLLERS],
}

/// How to sleep: on `word` while it holds `value`.
#[derive(Debug)]
pub(crate) struct Bed<'a> {
    pub(crate) word: &'a AtomicU32,
    pub(crate) value: u32,
    /// The sleeper's timer will be fired.
    pub(crate) placed: bool,
}

/// What has to be woken.
pub(super) struct Due {
    sleepers: bool,
    pollers: [i32; POLLERS],
}

impl Sleepers {
    pub(super) fn clear(&self) {
        self.need.store(NOBODY, Ordering::Relaxed);
        self.pollers.iter().for_each(|timer| timer.store(0, Ordering::Relaxed));
    }

    /// Who is to be woken when `events` are there, if anybody.
    pub(super) fn due(&self, held: &Owned<'_>, events: u32) -> Due {
        if events < self.need.load(Ordering::Relaxed) {
            return Due { sleepers: false, pollers: [0; POLLERS] };
        }
        self.all(held)
    }

    /// Everybody, if there is anybody.
    pub(super) fn all(&self, _held: &Owned<'_>) -> Due {
        let sleepers = self.need.swap(NOBODY, Ordering::Relaxed) != NOBODY;
        if sleepers {
            self.calls.fetch_add(1, Ordering::Release);
        }
        let pollers = core::array::from_fn(|i| self.pollers[i].swap(0, Ordering::Relaxed));
        Due { sleepers, pollers }
    }

    /// Notes down that somebody wants `need` events. `timer` is fired as well as the word changed.
    pub(super) fn note(&self, _held: &Owned<'_>, need: u32, timer: Option<usize>) -> Bed<'_> {
        self.need.fetch_min(need, Ordering::Relaxed);
        let free = || self.pollers.iter().find(|p| p.load(Ordering::Relaxed) == 0);
        let placed = timer.is_some_and(|t| free().inspect(|p| p.store(t as i32 + 1, Ordering::Relaxed)).is_some());
        Bed { word: &self.calls, value: self.calls.load(Ordering::Relaxed), placed }
    }

    /// Wakes them. The lock has been given back.
    pub(super) fn wake(&self, due: &Due, side: Side) {
        if due.sleepers {
            futex::wake_all(&self.calls);
            let timers = due.pollers.iter().filter(|timer| **timer > 0);
            timers.for_each(|timer| timers::fire(*timer as usize - 1, side));
        }
    }

    /// Everybody is to look, for whatever it waits, where the lock cannot be had. Who is just noting down its sleep has seen the
    /// events that are there; a needless look does no harm.
    pub(super) fn rouse(&self, side: Side) {
        self.calls.fetch_add(1, Ordering::Release);
        futex::wake_all(&self.calls);
        let timers = self.pollers.iter().map(|timer| timer.load(Ordering::Relaxed)).filter(|timer| *timer > 0);
        timers.for_each(|timer| timers::fire(timer as usize - 1, side));
    }

    /// Takes a timer back that nobody has fired.
    pub(super) fn forget_timer(&self, timer: usize) {
        for poller in &self.pollers {
            let _ = poller.compare_exchange(timer as i32 + 1, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}
