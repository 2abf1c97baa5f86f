//! io_getevents and io_pgetevents, and the account of what they must give.

use std::time::{Duration, Instant};

use uaio::abi::{AioSigset, IoEvent, Timespec};

use super::World;
use super::memory::EVENTS;
use crate::differences;
use crate::plan::{Bad, Count, Ctx, Mask, Reap, Time};
use crate::sys;

/// How long what must end may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a timeout that would be too long, or endless, is replaced with.
const SHORT: Time = Time::Of(0, 300_000);

impl World {
    /// Waits until every request that ends by itself has its event in the ring.
    pub(super) fn settle(&mut self) {
        if self.quiet {
            return;
        }
        for n in 0..self.contexts.len() {
            if self.contexts[n].is_readable() {
                self.settle_one(n);
            }
        }
    }

    fn settle_one(&mut self, n: usize) {
        let started = Instant::now();
        while self.contexts[n].in_ring() < self.contexts[n].due && started.elapsed() < PATIENCE {
            sys::nap(50);
        }
        let context = &mut self.contexts[n];
        context.pending.clear();
        let (there, due) = (context.in_ring(), context.due);
        context.due = there;
        if there != due {
            self.line(&format!("UNEXPECTED: context {n} has {there} events, not {due}"));
        }
    }

    /// Takes everything that is there or must come.
    pub(super) fn drain(&mut self, n: usize) {
        self.settle();
        let zero = self.memory.word(1);
        sys::poke(zero, Timespec::default());
        loop {
            let (id, events) = (self.contexts[n].id, self.memory.events());
            let got = self.side.io_getevents(id, 0, EVENTS as i64, events, zero, None);
            if got <= 0 {
                break;
            }
            self.take(n, events, got as usize);
        }
        self.contexts[n].due = 0;
        self.contexts[n].mixed = false;
    }

    /// Notes `count` events at an address.
    pub(super) fn take(&mut self, n: usize, address: usize, count: usize) {
        for i in 0..count {
            let event = sys::peek::<IoEvent>(address + i * size_of::<IoEvent>());
            self.note(n, event);
        }
        let context = &mut self.contexts[n];
        context.due = context.due.saturating_sub(count);
        context.mixed = context.due > 0 && !context.simple;
    }

    pub(super) fn note(&mut self, n: usize, event: IoEvent) {
        let mask = self.masks.get(&event.data);
        let res = mask.map_or(event.res, |mask| differences::poll_result(event.res, *mask));
        let object = self.memory.object(event.obj);
        let text = format!("data {} of {object}: res {res}, res2 {}", event.data, event.res2);
        self.contexts[n].events.push(text);
    }

    pub(super) fn reap(&mut self, reap: &Reap) {
        let n = if let Ctx::N(n) = reap.ctx { n as usize % self.contexts.len() } else { 0 };
        if !reap.early {
            self.settle();
        }
        let there = self.account(reap.ctx).map(|c| c.due);
        let (min, nr) = self.counts(reap, there.unwrap_or(0));
        let waits = there.is_some_and(|there| min > there as i64) && min <= nr;
        let lets_through = reap.mask == Mask::LetsPendingThrough;
        let time = match reap.time {
            _ if reap.early => Time::Null,
            long if waits && !lets_through && !is_short(long) => SHORT,
            time => time,
        };
        let time = self.time(time);
        let into = reap.into.map_or(self.memory.events(), |bad| self.memory.bad(bad, 64));
        let set = self.sigset(reap.mask);
        let id = self.id(reap.ctx);
        if lets_through {
            sys::block(libc::SIGUSR1, libc::SIG_BLOCK);
            sys::raise(libc::SIGUSR1);
        }
        let got = self.side.io_getevents(id, min, nr, into, time, set);
        if lets_through {
            sys::block(libc::SIGUSR1, libc::SIG_UNBLOCK);
        }
        self.line(&format!("io_getevents({min}, {nr}) = {got}"));
        if got > 0 && there.is_some() {
            self.take(n, into, got as usize);
        }
    }

    fn counts(&self, reap: &Reap, there: usize) -> (i64, i64) {
        let count = |c: Count| match c {
            Count::Exactly(n) => n,
            Count::There(more) => there as i64 + i64::from(more),
        };
        let nr = count(reap.nr);
        if reap.early {
            let both = nr.clamp(0, there.min(EVENTS) as i64);
            return (both, both);
        }
        // There may be more events than room for them.
        let nr = if there > EVENTS { nr.min(EVENTS as i64) } else { nr };
        (count(reap.min), nr)
    }

    fn time(&self, time: Time) -> usize {
        match time {
            Time::Null => 0,
            Time::Of(sec, nsec) => {
                let place = self.memory.word(1);
                sys::poke(place, Timespec { sec, nsec });
                place
            }
            Time::Bad(bad) => self.memory.bad(bad, 16),
        }
    }

    fn sigset(&self, mask: Mask) -> Option<usize> {
        let (block, bits) = (self.memory.word(2), self.memory.word(3));
        sys::poke(bits, 0u64);
        let mut set = AioSigset { sigmask: bits, sigsetsize: 8 };
        match mask {
            Mask::Without => return None,
            Mask::Null => return Some(0),
            Mask::NoMask => (set.sigmask, set.sigsetsize) = (0, 77),
            Mask::Empty | Mask::LetsPendingThrough => {}
            Mask::WrongSize => set.sigsetsize = 4,
            Mask::BadSet(bad) => return Some(self.memory.bad(bad, 16)),
            Mask::BadMask(bad) => set.sigmask = self.memory.bad(bad, 8),
        }
        sys::poke(block, set);
        Some(block)
    }
}

/// Ends within two milliseconds.
fn is_short(time: Time) -> bool {
    match time {
        Time::Null | Time::Bad(Bad::ReadOnly | Bad::Null) => false,
        Time::Bad(_) => true,
        Time::Of(sec, nsec) => {
            let total = i128::from(sec) * 1_000_000_000 + i128::from(nsec);
            (0..=2_000_000).contains(&total)
        }
    }
}
