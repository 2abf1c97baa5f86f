//! Events of a round are in the ring a moment before their eventfds are told. Who takes them meanwhile waits for that: a
//! program that counts its eventfd after io_getevents finds what the kernel would have put there.

use crate::os::{futex, time};
use crate::sync::{AtomicU32, Ordering};

#[derive(Debug, Default)]
pub(super) struct Telling {
    /// Odd while events wait to be told of. Changed by the one library thread that ends this context's requests quietly.
    rounds: AtomicU32,
    listeners: AtomicU32,
}

impl Telling {
    /// An event is about to get into the ring whose eventfd will be told later.
    pub(super) fn begin(&self) {
        let rounds = self.rounds.load(Ordering::Relaxed);
        if rounds.is_multiple_of(2) {
            // Relaxed: who sees the event, by the Release in `Ring::push`, sees this.
            self.rounds.store(rounds + 1, Ordering::Relaxed);
        }
    }

    /// All eventfds have been told.
    pub(super) fn end(&self) {
        let rounds = self.rounds.load(Ordering::Relaxed);
        if rounds.is_multiple_of(2) {
            return;
        }
        // SeqCst, here and in `wait`: each side writes its word and then reads the other's.
        self.rounds.store(rounds.wrapping_add(1), Ordering::SeqCst);
        if self.listeners.load(Ordering::SeqCst) > 0 {
            futex::wake_all(&self.rounds);
        }
    }

    /// Waits for the end of the round, if there is one.
    pub(super) fn wait(&self) {
        // Acquire: pairs with the store in `end`; what was done before that is done.
        let round = self.rounds.load(Ordering::Acquire);
        if round.is_multiple_of(2) {
            return;
        }
        self.listeners.fetch_add(1, Ordering::SeqCst);
        while self.rounds.load(Ordering::SeqCst) == round {
            let _ = futex::wait(&self.rounds, round, time::Deadline::NEVER);
        }
        self.listeners.fetch_sub(1, Ordering::SeqCst);
    }
}
