//! The account of one context: what was accepted, and what must have become of it.

use super::fds::Fd;

/// The state of a context's ring, by what the program did to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ring {
    #[default]
    Whole,
    /// Every call is EINVAL until it is undone.
    IdChanged,
    /// Only the program cannot write.
    ReadOnly,
    /// Neither calls nor the program can read it.
    NoAccess,
    /// Unmapped, or destroyed.
    Gone,
    /// Other memory lies where it was.
    Replaced,
}

/// A request that must end by itself.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    pub inode: Option<usize>,
    /// Bytes of the file that it reads or writes.
    pub range: (i64, i64),
    pub direct: bool,
    pub writes: bool,
    /// Makes the file longer: performed inside io_submit on both sides.
    pub extends: bool,
    /// Buffers that it reads into, and out of.
    pub fills: Vec<usize>,
    pub takes: Vec<usize>,
}

/// A POLL that waits for something to happen.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub iocb: usize,
    /// What the descriptor named when it was submitted.
    pub file: Fd,
    pub mask: u16,
    pub resfd: Option<usize>,
}

/// One context.
#[derive(Debug, Default)]
pub struct Context {
    /// What calls get; follows the ring when it is moved.
    pub id: usize,
    pub nr_events: u32,
    /// Events that the ring has room for.
    pub ring_nr: u32,
    pub ring_bytes: usize,
    /// The header's id before the program has overwritten it.
    pub ring_id: u32,
    pub alive: bool,
    /// Dead, and no context was set up since: so the address means nothing on either side.
    pub only_one: bool,
    /// Of the parent process.
    pub foreign: bool,
    pub ring: Ring,
    /// Accepted, not reaped, and not waiting: they end by themselves.
    pub due: usize,
    /// Of these, those that may be in flight, and touch memory or files.
    pub pending: Vec<Pending>,
    pub waiting: Vec<Waiting>,
    /// Some of the events that are there were taken; which, depends on the order in which they came.
    pub mixed: bool,
    /// Every request so far ended inside io_submit.
    pub simple: bool,
    /// What io_getevents gave.
    pub events: Vec<String>,
}

impl Context {
    pub fn new(id: usize, nr_events: u32) -> Context {
        let nr = super::ring::header(id).nr;
        let ring_bytes = (32 + 32 * nr as usize).next_multiple_of(crate::sys::PAGE);
        Context {
            id,
            nr_events,
            ring_nr: nr,
            ring_bytes,
            ring_id: 0,
            alive: true,
            simple: true,
            ..Context::default()
        }
    }

    /// The program has taken its ring away from where it should be.
    pub fn lacks_its_ring(&self) -> bool {
        self.ring == Ring::Replaced || (self.alive && matches!(self.ring, Ring::NoAccess | Ring::Gone))
    }

    /// Calls reach it.
    pub fn answers(&self) -> bool {
        self.alive && !self.foreign && matches!(self.ring, Ring::Whole | Ring::ReadOnly)
    }

    /// The program can read its ring.
    pub fn is_readable(&self) -> bool {
        self.alive && !self.foreign && matches!(self.ring, Ring::Whole | Ring::ReadOnly | Ring::IdChanged)
    }

    /// Events in its ring now.
    pub fn in_ring(&self) -> usize {
        let header = super::ring::header(self.id);
        let nr = self.ring_nr;
        ((header.tail + nr - header.head % nr) % nr) as usize
    }
}
