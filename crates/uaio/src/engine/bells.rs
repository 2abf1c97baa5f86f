//! Eventfds to be told of events: all of a round at once, each by one write.

use crate::context::Context;
use crate::files::Handle;
use crate::os::eventfd;
use crate::request::Op;

/// A request that has ended, and whose eventfd has to hear of it.
#[derive(Debug)]
pub(crate) struct Bell {
    pub(crate) context: &'static Context,
    /// Its number in the program's table.
    pub(crate) number: i32,
    pub(crate) eventfd: Handle,
    /// Its descriptor in the library's table, open until the handle is let go of.
    pub(crate) fd: i32,
    pub(crate) op: Op,
}

/// The ended requests of a round.
#[derive(Debug, Default)]
pub(crate) struct Bells {
    bells: Vec<Bell>,
    /// Eventfds of the round and how many events each has got. Kept, so that a round allocates nothing.
    counts: Vec<(i32, u64)>,
}

impl Bells {
    /// The event is in the ring.
    pub(crate) fn note(&mut self, bell: Bell) {
        self.bells.push(bell);
    }

    /// Tells every eventfd, and then those who sleep: the kernel's order.
    pub(crate) fn ring(&mut self) {
        if self.bells.is_empty() {
            return;
        }
        self.tell_eventfds();
        for same in self.bells.chunk_by(|a, b| core::ptr::eq(a.context, b.context)) {
            same[0].context.announce();
        }
    }

    fn tell_eventfds(&mut self) {
        self.bells.sort_unstable_by_key(|bell| (bell.number, bell.eventfd));
        self.counts.clear();
        for number in self.bells.chunk_by(|a, b| a.number == b.number) {
            let mut handles = number.chunk_by(|a, b| a.eventfd == b.eventfd);
            let is_one = number.first().map(|bell| bell.eventfd) == number.last().map(|bell| bell.eventfd);
            if is_one {
                self.counts.extend(handles.next().map(count));
            } else {
                // One eventfd under several handles, most likely: each look sees what was written before.
                handles.for_each(|same| eventfd::add_all(&[count(same)]));
            }
        }
        eventfd::add_all(&self.counts);
    }

    /// A request that has been told of: the engine lets go of its eventfd, and leaves its context.
    pub(crate) fn next_rung(&mut self) -> Option<Bell> {
        self.bells.pop()
    }
}

/// The eventfd of `same`, and the number of its events.
fn count(same: &[Bell]) -> (i32, u64) {
    (same[0].fd, same.len() as u64)
}
