//! Cancelling, and io_destroy.

use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use super::flights::{Landed, State, Token};
use super::shared::Shared;
use crate::abi::IoEvent;
use crate::errno::Errno;
use crate::{entry, sys};

/// While closing: how long to wait before operations are cancelled once more.
const CLOSE_ROUND: Duration = Duration::from_millis(100);

/// What became of an io_cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    InProgress,
    Refused,
    Here,
}

impl Shared {
    /// io_cancel of one operation.
    pub(crate) fn cancel(&self, index: usize) -> Asked {
        match self.io_cancel(index) {
            Ok(()) => Asked::InProgress,
            Err(None) => Asked::Refused,
            Err(Some(event)) => {
                let landed = self.lock().land(Token(event.data), event.res);
                self.settle_one(landed);
                Asked::Here
            }
        }
    }

    /// Ok: it will end soon. With an event: an old kernel has ended it, and the event comes no other way.
    fn io_cancel(&self, index: usize) -> std::result::Result<(), Option<IoEvent>> {
        let mut event = IoEvent::default();
        let iocb = self.iocb_of(Token(index as u64));
        // SAFETY: `event` has room for one.
        match unsafe { sys::io_cancel(self.id, iocb, &raw mut event) } {
            Err(Errno::EINPROGRESS) => Ok(()),
            Err(_) => Err(None),
            Ok(()) => Err(Some(event)),
        }
    }

    fn cancel_everything(&self) {
        if self.kernel {
            // It ends the polls among them, and refuses the others.
            self.cancel_each(State::all);
        } else {
            let _ = entry::cancel_all(self.id);
        }
    }

    /// io_cancel of those that `which` names. Under the lock: no place is another operation's meanwhile.
    pub(crate) fn cancel_each(&self, which: impl FnOnce(&State) -> Vec<usize>) {
        let mut state = self.lock();
        let indices = which(&state);
        let events: Vec<IoEvent> =
            indices.into_iter().filter_map(|index| self.io_cancel(index).err().flatten()).collect();
        let landed: Vec<Landed> = events.iter().map(|event| state.land(Token(event.data), event.res)).collect();
        drop(state);
        landed.into_iter().for_each(|one| self.settle_one(one));
    }

    /// io_destroy with everything that the guarantee needs: refuse, cancel, wait, release. In a forked child, nothing.
    /// False: in doubt; then what the operations own must never be freed.
    pub(crate) fn close(&self) -> bool {
        if !self.is_ours() {
            return false;
        }
        let mut state = self.lock();
        state.closed = true;
        drop(state);
        self.asked.notify_all();
        loop {
            self.cancel_everything();
            let last = |state: &mut State| {
                let over = state.in_flight == 0 && !state.leader;
                // Nobody leads any more.
                state.leader |= over;
                over.then_some(())
            };
            if self.wait_until(Some(Instant::now() + CLOSE_ROUND), last).is_some() {
                break;
            }
        }
        if let Some(eventfd) = &self.eventfd {
            crate::os::eventfd::add_one(eventfd.as_raw_fd());
        }
        // SAFETY: no operation is in flight.
        unsafe { sys::io_destroy(self.id) }.is_ok()
    }
}
