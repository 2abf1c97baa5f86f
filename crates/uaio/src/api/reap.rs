//! Taking events, and telling who waits for them.

use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::flights::{Landed, State, Token};
use super::shared::Shared;
use crate::abi::{IoEvent, Timespec};

/// Events taken at once.
const EVENTS: usize = 64;

impl Shared {
    /// Waits until `ready` finds what it looks for, reaping meanwhile. `None`: `deadline` has passed.
    pub(crate) fn wait_until<T>(
        &self,
        deadline: Option<Instant>,
        mut ready: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let mut state = self.lock();
        // Mostly it is there already. The kernel's look is a system call, which the wait is as well.
        let mut looked = self.kernel;
        loop {
            if let Some(found) = ready(&mut state) {
                return Some(found);
            }
            if !looked && !state.leader {
                looked = true;
                state = self.look(state).0;
                continue;
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return None;
            }
            state = if state.leader { self.follow(state, left) } else { self.lead(state, left) };
        }
    }

    fn follow<'a>(&self, mut state: MutexGuard<'a, State>, left: Option<Duration>) -> MutexGuard<'a, State> {
        state.followers += 1;
        let mut state = match left {
            None => self.news.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(left) => self.news.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
        };
        state.followers -= 1;
        state
    }

    /// Takes the events that are there, without waiting; returns how many operations ended by it.
    pub(crate) fn reap_now(&self) -> usize {
        self.reap(self.lock()).1
    }

    fn reap<'a>(&'a self, mut state: MutexGuard<'a, State>) -> (MutexGuard<'a, State>, usize) {
        let mut total = 0;
        loop {
            if state.leader {
                // It may have looked before the last event came.
                state.look_again = true;
                return (state, total);
            }
            let got;
            (state, got) = self.look(state);
            total += got;
            if got < EVENTS {
                return (state, total);
            }
        }
    }

    /// One io_getevents that does not wait. There is no leader, and none begins meanwhile.
    fn look<'a>(&'a self, state: MutexGuard<'a, State>) -> (MutexGuard<'a, State>, usize) {
        let mut room = [const { MaybeUninit::uninit() }; EVENTS];
        let events = self.get_events(0, None, &mut room);
        (self.land(state, events), events.len())
    }

    /// One io_getevents that waits, as the leader.
    fn lead<'a>(&'a self, mut state: MutexGuard<'a, State>, left: Option<Duration>) -> MutexGuard<'a, State> {
        state.leader = true;
        drop(state);
        let mut room = [const { MaybeUninit::uninit() }; EVENTS];
        let events = self.get_events(1, left, &mut room);
        let mut state = self.lock();
        state.leader = false;
        let again = std::mem::take(&mut state.look_again);
        let state = self.land(state, events);
        if again { self.reap(state).0 } else { state }
    }

    /// Notes down what has ended, and tells everybody whom it concerns: without the lock, if there is anybody.
    fn land<'a>(&'a self, mut state: MutexGuard<'a, State>, events: &[IoEvent]) -> MutexGuard<'a, State> {
        let mut after: Option<[Landed; EVENTS]> = None;
        for (place, event) in events.iter().enumerate() {
            let landed = state.land(Token(event.data), event.res);
            if !matches!(landed, Landed::Kept) {
                after.get_or_insert_with(nothing)[place] = landed;
            }
        }
        // Also without events: one of them may have to lead.
        let tell = state.followers > 0;
        if after.is_none() && !tell {
            return state;
        }
        drop(state);
        if tell {
            self.news.notify_all();
        }
        self.settle(after.as_mut().map_or(&mut [], |after| &mut after[..events.len()]));
        self.lock()
    }

    fn get_events<'a>(
        &self,
        least: usize,
        left: Option<Duration>,
        room: &'a mut [MaybeUninit<IoEvent>; EVENTS],
    ) -> &'a [IoEvent] {
        let time = left.map(|left| Timespec {
            sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            nsec: i64::from(left.subsec_nanos()),
        });
        let time = if least == 0 { Some(Timespec::default()) } else { time };
        let got = self.io_getevents(least, room, time);
        // EINTR: the caller's loop looks again. Nothing else can happen to a live context.
        let got = got.unwrap_or(0);
        // SAFETY: so many were written.
        unsafe { room[..got].assume_init_ref() }
    }

    /// Runs the foreign code that the end of operations calls for.
    fn settle(&self, landed: &mut [Landed]) {
        for one in landed {
            match std::mem::replace(one, Landed::Kept) {
                Landed::Kept => {}
                Landed::Wake(waker) => guarded(|| waker.wake()),
                Landed::Discard(token) => self.discard(token),
            }
        }
    }

    /// Drops what a detached operation owned.
    fn discard(&self, token: Token) {
        // SAFETY: the operation has ended, and its owner has let go of it.
        let cell = unsafe { &mut *self.cell(token) };
        self.uncount(cell);
        // SAFETY: as above.
        let payload = unsafe { cell.payload.move_out() };
        guarded(|| payload.discard());
        let mut state = self.lock();
        state.dropped(token);
        let tell = state.followers > 0;
        drop(state);
        if tell {
            self.news.notify_all();
        }
    }

    /// Lets go of an operation whose result nobody wants.
    pub(crate) fn detach<B>(&self, token: Token) {
        if !self.is_ours() {
            return;
        }
        let mut state = self.lock();
        let (ended, waker) = state.detach(token);
        // SAFETY: it has ended, and the owner is the caller.
        let value: Option<B> = ended.then(|| unsafe { self.take(token) }.0);
        if ended {
            state.finish(token);
        }
        drop(state);
        drop((value, waker));
    }

    /// What one queue or ticket was told must be told to a task.
    pub(crate) fn settle_one(&self, landed: Landed) {
        self.settle(&mut [landed]);
    }
}

fn nothing() -> [Landed; EVENTS] {
    [const { Landed::Kept }; EVENTS]
}

/// Runs foreign code. Its panic must not keep others from being told; it was reported where it arose. Its payload may be
/// foreign too, and panic when it is dropped; what that throws is leaked.
fn guarded(foreign: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(foreign))
        && let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload)))
    {
        std::mem::forget(again);
    }
}
