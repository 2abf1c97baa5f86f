//! Taking events, and telling who waits for them.

use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::flights::{Landed, State, Token};
use super::shared::Shared;
use crate::abi::{IoEvent, Timespec};
use crate::sys;

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
        loop {
            if let Some(found) = ready(&mut state) {
                return Some(found);
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return None;
            }
            if state.leader {
                state = self.follow(state, left);
            } else {
                state.leader = true;
                drop(state);
                self.lead(1, left);
                state = self.lock();
            }
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
        let mut total = 0;
        loop {
            let mut state = self.lock();
            if state.leader {
                state.look_again = true;
                return total;
            }
            state.leader = true;
            drop(state);
            let got = self.lead(0, None);
            total += got;
            if got < EVENTS {
                return total;
            }
        }
    }

    /// One io_getevents as the leader, which the caller has become; afterwards there is none.
    fn lead(&self, least: usize, left: Option<Duration>) -> usize {
        let mut room = [const { MaybeUninit::uninit() }; EVENTS];
        let mut events = self.get_events(least, left, &mut room);
        // Mostly there is nothing to do: it is made when there is.
        let mut after: Option<[Landed; EVENTS]> = None;
        let mut state = self.lock();
        loop {
            for (place, event) in events.iter().enumerate() {
                let landed = state.land(Token(event.data), event.res);
                if !matches!(landed, Landed::Kept) {
                    after.get_or_insert_with(nothing)[place] = landed;
                }
            }
            if !events.is_empty() || !std::mem::take(&mut state.look_again) {
                break;
            }
            // Somebody came for events while this thread had looked already.
            drop(state);
            events = self.get_events(0, None, &mut room);
            state = self.lock();
        }
        state.leader = false;
        let again = std::mem::take(&mut state.look_again);
        let (tell, got) = (state.followers > 0, events.len());
        drop(state);
        if tell {
            self.news.notify_all();
        }
        self.settle(after.as_mut().map_or(&mut [], |after| &mut after[..got]));
        if again {
            self.reap_now();
        }
        got
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
        let zero = Timespec::default();
        let timeout = match (&time, least) {
            (_, 0) => &raw const zero,
            (Some(time), _) => &raw const *time,
            (None, _) => std::ptr::null(),
        };
        // SAFETY: there is room for EVENTS events.
        let got = unsafe {
            sys::io_getevents(self.id, least as isize, EVENTS as isize, room.as_mut_ptr().cast(), timeout)
        };
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
