//! io_submit: the batch is written to memory, what must not be in it is left out, and what was accepted is accounted for.

use uaio::abi::*;

use super::World;
use super::context::{Pending, Waiting};
use super::fds::Fd;
use super::guard::meet;
use crate::plan::{Ctx, Entry};
use crate::sys;

/// An entry of the array, ready to be submitted.
#[derive(Clone, Default)]
pub(super) struct Prepared {
    pub(super) pointer: usize,
    /// What an accepted one may touch while it is in flight.
    pub(super) touches: Pending,
    pub(super) waits: Option<Waiting>,
    pub(super) resfd: Option<usize>,
    /// What it names, and whether it needs somebody at the other end.
    pub(super) file: Option<Fd>,
    pub(super) op: u16,
    pub(super) len: u64,
    pub(super) feed: bool,
    /// Its event comes before io_submit returns, on both sides.
    pub(super) simple: bool,
    /// It may send a signal to this thread.
    pub(super) signals: bool,
}

pub(super) fn reads(op: u16) -> bool {
    matches!(op, IOCB_CMD_PREAD | IOCB_CMD_PREADV)
}

pub(super) fn writes(op: u16) -> bool {
    matches!(op, IOCB_CMD_PWRITE | IOCB_CMD_PWRITEV)
}

pub(super) fn same_pair(a: Fd, b: Fd) -> bool {
    a == b || a.peer() == Some(b)
}

impl World {
    pub(super) fn submit(&mut self, ctx: Ctx, entries: &[Entry], nr: Option<i64>) {
        let n = if let Ctx::N(n) = ctx { n as usize % self.contexts.len() } else { 0 };
        let batch = self.prepare(n, entries);
        let pointers: Vec<usize> = batch.iter().map(|p| p.pointer).collect();
        let array = self.memory.pointer_array(&pointers);
        let nr = nr.unwrap_or(batch.len() as i64);
        let id = self.id(ctx);
        let feeder = self.feeder_of(&batch);
        if !feeder.is_needed() {
            return self.submit_prepared(n, id, nr, array, batch);
        }
        feeder.run(|| {
            self.submit_prepared(n, id, nr, array, batch);
            self.settle();
        });
    }

    fn submit_prepared(&mut self, n: usize, id: usize, nr: i64, array: usize, batch: Vec<Prepared>) {
        let answer = self.side.io_submit(id, nr, array);
        let keys: Vec<u32> = batch.iter().filter_map(|p| self.key(p.pointer)).collect();
        self.line(&format!("io_submit of {} = {answer}; keys {keys:?}", batch.len()));
        self.memory.clobber_arrays();
        let accepted = usize::try_from(answer).unwrap_or(0).min(batch.len());
        for one in batch.into_iter().take(accepted) {
            self.accept(n, one);
        }
    }

    fn key(&self, pointer: usize) -> Option<u32> {
        const KEY: usize = std::mem::offset_of!(Iocb, key);
        let own = self.memory.object(pointer as u64).strip_prefix("iocb").is_some_and(|i| i.parse::<u8>().is_ok());
        own.then(|| sys::peek::<u32>(pointer + KEY))
    }

    fn prepare(&mut self, n: usize, entries: &[Entry]) -> Vec<Prepared> {
        let mut batch: Vec<Prepared> = Vec::new();
        for entry in entries {
            let one = match entry {
                Entry::Req(req) => self.request(req),
                Entry::Again => batch.last().cloned(),
                Entry::Bad(bad) => Some(self.bad_pointer(*bad)),
            };
            let Some(one) = one else { continue };
            if self.fits(&batch, &one) {
                self.make_way(n, &one.touches);
                batch.push(one);
            }
        }
        batch
    }

    fn bad_pointer(&mut self, bad: crate::plan::Bad) -> Prepared {
        let pointer = if bad == crate::plan::Bad::ReadOnly {
            let fildes = self.number(Fd::Null) as u32;
            self.memory.read_only_iocb(Iocb { fildes, ..Iocb::default() })
        } else {
            self.memory.bad(bad, 64)
        };
        Prepared { pointer, simple: true, ..Prepared::default() }
    }

    /// Whether the outcome stays defined with `one` behind `batch`.
    fn fits(&self, batch: &[Prepared], one: &Prepared) -> bool {
        if one.feed && (self.quiet || batch.iter().any(|p| p.feed)) {
            return false;
        }
        // On the kernel the signal is pending until io_submit returns, and cuts short what follows.
        if batch.last().is_some_and(|earlier| earlier.signals) {
            return false;
        }
        batch.iter().all(|earlier| {
            let on_one_stream = match (earlier.file, one.file) {
                (Some(a), Some(b)) => a.stream() && same_pair(a, b) && !(is_poll(earlier) && is_poll(one)),
                _ => false,
            };
            !on_one_stream && !meet(&earlier.touches, &one.touches, true)
        })
    }

    fn accept(&mut self, n: usize, one: Prepared) {
        if let (Some(inode), true) = (one.touches.inode, one.touches.writes) {
            self.cold[inode] |= one.touches.direct;
            self.dirty |= inode == 1 && !one.touches.direct;
        }
        let resfd = one.resfd;
        let context = &mut self.contexts[n];
        context.simple &= one.simple;
        if let Some(waits) = one.waits {
            context.waiting.push(waits);
            return;
        }
        context.due += 1;
        context.pending.push(one.touches);
        self.signal(resfd);
    }

    pub(super) fn submit_bad_array(&mut self, ctx: Ctx, nr: i64, at: crate::plan::Bad) {
        let array = self.memory.bad(at, 8);
        // What can be read there is zeros: NULL pointers.
        let answer = self.side.io_submit(self.id(ctx), nr, array);
        self.line(&format!("io_submit of a bad array = {answer}"));
    }

    /// Empty reads until there is no more room.
    pub(super) fn fill(&mut self, n: u8) {
        let n = n as usize % self.contexts.len();
        if !self.contexts[n].answers() || self.name(Fd::Null) != Some(Fd::Null) {
            return self.line("skipped: nothing to fill");
        }
        self.settle();
        let iocb = self.memory.iocb(self.next_place);
        sys::poke(iocb, Iocb { data: 7, fildes: self.number(Fd::Null) as u32, ..Iocb::default() });
        let array = self.memory.pointer_array(&[iocb; 7]);
        let context = &self.contexts[n];
        let used = context.due + context.waiting.len();
        // How much more than was asked for there is room for, depends on the CPUs on which requests ended.
        let most = if context.simple { usize::MAX } else { (context.nr_events as usize).saturating_sub(used) };
        let (mut room, mut last) = (0, 0);
        while room < most {
            last = self.side.io_submit(context.id, (most - room).min(7) as i64, array);
            if last <= 0 {
                break;
            }
            room += last as usize;
        }
        self.contexts[n].due += room;
        self.line(&format!("filled with {room}, then {last}"));
    }
}

fn is_poll(p: &Prepared) -> bool {
    p.op == IOCB_CMD_POLL
}
