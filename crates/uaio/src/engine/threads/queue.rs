//! Requests that wait for a worker, and workers that wait for requests.
//!
//! Who adds a request takes one sleeper off the count and grants it a turn. So ten requests wake ten workers, and a
//! worker that is about to wake is not woken again.

use crate::errno::Errno;
use crate::os::futex;
use crate::os::time::Deadline;
use crate::slot::Slot;
use crate::sync::{AtomicU32, Ordering};

use super::locked::Locked;

/// Most workers.
const WORKERS: u32 = 32;
/// A worker without work ends after so long.
const IDLE_NS: u64 = 1_000_000_000;
#[derive(Default)]
pub(super) struct Queue {
    state: Locked<State>,
    /// Changes with every turn that is granted: sleepers wait for that.
    turns: AtomicU32,
}

#[derive(Default)]
struct State {
    /// Linked by [`Slot::link`]: a request that is queued allocates nothing, for it may be queued in a signal handler.
    first: Option<&'static Slot>,
    last: Option<&'static Slot>,
    workers: u32,
    sleeping: u32,
    granted: u32,
}

/// What a worker that wakes has to do.
enum Woken {
    Look,
    SleepOn,
    End,
}

impl Queue {
    /// Adds a request, and wakes one worker or none. None: there is no worker, and none is being started.
    pub(super) fn add(&self, slot: &'static Slot) -> Option<u32> {
        let grants = self.state.with(|state| {
            (state.workers > 0).then(|| {
                state.push(slot);
                self.grant(state, 1)
            })
        });
        grants.inspect(|count| self.wake(*count))
    }

    /// Adds requests if each finds a sleeping worker, or there are as many workers as can be; `prepare` sees each
    /// right before it is added. None: not so, or somebody else is at the queue. Gives how many to [`Self::wake`].
    pub(super) fn add_awaited(&self, slots: &[&'static Slot], mut prepare: impl FnMut(&Slot)) -> Option<u32> {
        let count = slots.len() as u32;
        self.state.try_briefly(|state| {
            (state.sleeping >= count || state.workers >= WORKERS).then(|| {
                for slot in slots {
                    prepare(slot);
                    state.push(slot);
                }
                self.grant(state, count)
            })
        })?
    }

    pub(super) fn wake(&self, count: u32) {
        if count > 0 {
            futex::wake(&self.turns, count as i32);
        }
    }

    /// `count` requests were added, each for a sleeper. Gives how many have to be woken.
    fn grant(&self, state: &mut State, count: u32) -> u32 {
        let granted = state.sleeping.min(count);
        state.sleeping -= granted;
        state.granted += granted;
        if granted > 0 {
            // Relaxed: what is queued is found under the lock.
            self.turns.fetch_add(1, Ordering::Relaxed);
        }
        granted
    }

    /// Counts a worker in, if one more is wanted: none sleeps, and there may be more of them.
    pub(super) fn wants_worker(&self) -> bool {
        self.state.with(|state| {
            let wanted = state.sleeping == 0 && state.workers < WORKERS;
            state.workers += u32::from(wanted);
            wanted
        })
    }

    /// It could not be started.
    pub(super) fn no_worker(&self) {
        self.state.with(|state| state.workers -= 1);
    }

    /// The next request for the calling worker. None: it ends.
    pub(super) fn next(&self) -> Option<&'static Slot> {
        loop {
            let mut turn = 0;
            let found = self.state.with(|state| {
                let found = state.pop();
                state.sleeping += u32::from(found.is_none());
                turn = self.turns.load(Ordering::Relaxed);
                found
            });
            if found.is_some() || !self.sleep(turn) {
                return found;
            }
        }
    }

    /// False: the worker has slept long enough to end.
    fn sleep(&self, mut turn: u32) -> bool {
        let until = Deadline::after_ns(IDLE_NS);
        loop {
            let late = futex::wait(&self.turns, turn, until) == Err(Errno::ETIMEDOUT);
            let woken = self.state.with(|state| {
                turn = self.turns.load(Ordering::Relaxed);
                state.wake_up(late)
            });
            match woken {
                Woken::Look => return true,
                Woken::End => return false,
                Woken::SleepOn => {}
            }
        }
    }

    /// Takes those out that `which` says, in their order.
    pub(super) fn take(&self, which: impl Fn(&Slot) -> bool) -> Vec<&'static Slot> {
        self.state.with(|state| {
            let mut taken = Vec::new();
            let mut next = core::mem::take(&mut state.first);
            state.last = None;
            while let Some(slot) = next {
                next = following(slot);
                if which(slot) {
                    taken.push(slot);
                } else {
                    state.push(slot);
                }
            }
            taken
        })
    }
}

/// The request behind `slot` in the queue.
fn following(slot: &Slot) -> Option<&'static Slot> {
    let address = slot.link.load(Ordering::Relaxed) as usize;
    // SAFETY: null, or the address of a slot that `State::push` was given.
    unsafe { (address as *const Slot).as_ref() }
}

impl State {
    fn push(&mut self, slot: &'static Slot) {
        slot.link.store(0, Ordering::Relaxed);
        match self.last.replace(slot) {
            Some(last) => last.link.store(core::ptr::from_ref(slot) as u64, Ordering::Relaxed),
            None => self.first = Some(slot),
        }
    }

    fn pop(&mut self) -> Option<&'static Slot> {
        let slot = self.first?;
        self.first = following(slot);
        if self.first.is_none() {
            self.last = None;
        }
        Some(slot)
    }

    fn wake_up(&mut self, late: bool) -> Woken {
        if self.granted > 0 {
            self.granted -= 1;
            return Woken::Look;
        }
        if !late {
            return Woken::SleepOn;
        }
        self.sleeping -= 1;
        if self.first.is_some() {
            return Woken::Look;
        }
        self.workers -= 1;
        Woken::End
    }
}
