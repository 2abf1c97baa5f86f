//! Requests that one io_submit has executed, until their events are delivered together.

use core::mem::MaybeUninit;

use crate::context::{Context, Ended};
use crate::counters::Tally;
use crate::stats::EngineId;

/// Events come no later than after so many requests.
const MOST: usize = 32;

/// The requests.
pub(super) struct Row {
    ended: [MaybeUninit<Ended>; MOST],
    count: usize,
    tally: Tally,
}

impl Row {
    pub(super) fn new() -> Row {
        Row { ended: [const { MaybeUninit::uninit() }; MOST], count: 0, tally: Tally::default() }
    }

    /// Adds one that `engine` has executed.
    pub(super) fn add(&mut self, context: &Context, ended: Ended, engine: EngineId, opcode: u16, started_ns: u64) {
        self.tally.add(engine, opcode, ended.event.res, started_ns);
        self.ended[self.count].write(ended);
        self.count += 1;
        if self.count == MOST {
            self.deliver(context);
        }
    }

    /// Their events.
    pub(super) fn deliver(&mut self, context: &Context) {
        if self.count > 0 {
            self.tally.count();
            // SAFETY: the first `count` are written.
            let ended = unsafe { self.ended[..self.count].assume_init_ref() };
            self.count = 0;
            context.finish_inline(ended);
        }
    }
}
