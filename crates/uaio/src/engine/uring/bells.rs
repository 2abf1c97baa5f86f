//! Eventfds to be told of events: all of a round at once, each by one write.

use crate::context::Context;
use crate::files::{Files, Handle};
use crate::os::eventfd;
use crate::request::Op;

/// A request that has ended, and whose eventfd has to hear of it.
#[derive(Debug)]
pub(super) struct Bell {
    pub(super) context: &'static Context,
    /// Its number in the program's table.
    pub(super) number: i32,
    pub(super) eventfd: Handle,
    pub(super) op: Op,
}

/// The ended requests of a round.
#[derive(Debug, Default)]
pub(super) struct Bells {
    bells: Vec<Bell>,
    /// Eventfds of the round and how many events each has got. Kept, so that a round allocates nothing.
    counts: Vec<(i32, u64)>,
}

impl Bells {
    /// The event is in the ring.
    pub(super) fn note(&mut self, bell: Bell) {
        self.bells.push(bell);
    }

    /// Tells every eventfd, and then those who sleep: the kernel's order.
    pub(super) fn ring(&mut self, files: &Files) {
        if self.bells.is_empty() {
            return;
        }
        self.tell_eventfds(files);
        for same in self.bells.chunk_by(|a, b| core::ptr::eq(a.context, b.context)) {
            same[0].context.announce(same.len() as u32);
        }
    }

    fn tell_eventfds(&mut self, files: &Files) {
        self.bells.sort_unstable_by_key(|bell| (bell.number, bell.eventfd));
        self.counts.clear();
        for number in self.bells.chunk_by(|a, b| a.number == b.number) {
            let mut handles = number.chunk_by(|a, b| a.eventfd == b.eventfd);
            let is_one = number.first().map(|bell| bell.eventfd) == number.last().map(|bell| bell.eventfd);
            if is_one {
                self.counts.extend(handles.next().map(|same| count(files, same)));
            } else {
                // One eventfd under several handles, most likely: each look sees what was written before.
                handles.for_each(|same| eventfd::add_all(&[count(files, same)]));
            }
        }
        eventfd::add_all(&self.counts);
    }

    /// The eventfd and the kind of a request that has been told of: the engine lets go of them.
    pub(super) fn next_rung(&mut self) -> Option<(Handle, Op)> {
        self.bells.pop().map(|bell| (bell.eventfd, bell.op))
    }
}

/// The eventfd of `same`, and the number of its events.
fn count(files: &Files, same: &[Bell]) -> (i32, u64) {
    (files.fd(same[0].eventfd), same.len() as u64)
}
