//! What a program does to a context's ring: reaping by hand, protecting, moving, unmapping.

use uaio::abi::{IoEvent, RingHeader};

use super::World;
use super::context::Ring;
use crate::plan::RingOp;
use crate::sys;

const ID: usize = std::mem::offset_of!(RingHeader, id);
const NR: usize = std::mem::offset_of!(RingHeader, nr);
const HEAD: usize = std::mem::offset_of!(RingHeader, head);
const MAGIC: usize = std::mem::offset_of!(RingHeader, magic);

/// The header of a ring that is mapped.
pub fn header(id: usize) -> RingHeader {
    sys::peek(id)
}

impl World {
    pub(super) fn ring(&mut self, n: u8, op: RingOp) {
        let n = n as usize % self.contexts.len();
        let context = &self.contexts[n];
        if !context.alive || context.foreign || matches!(context.ring, Ring::Gone | Ring::Replaced) {
            return self.line("skipped: no ring");
        }
        let whole = context.ring == Ring::Whole;
        match op {
            RingOp::TakeByHand(max) if whole => self.take_by_hand(n, max as usize),
            RingOp::HeadOutOfRange if whole => {
                let head = header(context.id).head;
                sys::poke(context.id + HEAD, head % context.ring_nr + context.ring_nr);
            }
            RingOp::ChangeNrAndMagic if whole => {
                sys::poke(context.id + NR, 3u32);
                sys::poke(context.id + MAGIC, 0u32);
            }
            RingOp::ChangeId if whole => {
                self.settle();
                let context = &mut self.contexts[n];
                // A24: not always what it was at io_setup.
                context.ring_id = header(context.id).id;
                sys::poke(context.id + ID, context.ring_id + 1000);
                context.ring = Ring::IdChanged;
            }
            RingOp::ReadOnly if whole => self.protect(n, libc::PROT_READ, Ring::ReadOnly),
            RingOp::NoAccess if whole => self.protect(n, libc::PROT_NONE, Ring::NoAccess),
            RingOp::Restore => self.restore(n),
            RingOp::Unmap | RingOp::MapOver if whole => self.unmap(n, op == RingOp::MapOver),
            RingOp::Move => self.move_ring(n),
            RingOp::DontNeed => {
                sys::advise(context.id, context.ring_bytes, libc::MADV_DONTNEED);
            }
            _ => self.line("skipped: not as the ring is now"),
        }
    }

    fn take_by_hand(&mut self, n: usize, max: usize) {
        self.settle();
        let context = &self.contexts[n];
        let (id, nr) = (context.id, context.ring_nr);
        let count = context.due.min(max);
        let head = header(id).head % nr;
        for i in 0..count as u32 {
            let at = id + 32 + ((head + i) % nr) as usize * size_of::<IoEvent>();
            self.note(n, sys::peek(at));
        }
        sys::poke(id + HEAD, (head + count as u32) % nr);
        let context = &mut self.contexts[n];
        context.due -= count;
        context.mixed = context.due > 0 && !context.simple;
        self.line(&format!("taken by hand: {count}"));
    }

    fn protect(&mut self, n: usize, prot: i32, ring: Ring) {
        self.settle();
        let context = &mut self.contexts[n];
        let answer = sys::protect(context.id, context.ring_bytes, prot);
        context.ring = ring;
        self.line(&format!("mprotect = {answer}"));
    }

    pub(super) fn restore(&mut self, n: usize) {
        let context = &mut self.contexts[n];
        match context.ring {
            Ring::IdChanged => sys::poke(context.id + ID, context.ring_id),
            Ring::ReadOnly | Ring::NoAccess => {
                sys::protect(context.id, context.ring_bytes, sys::RW);
            }
            Ring::Whole | Ring::Gone | Ring::Replaced => return,
        }
        context.ring = Ring::Whole;
    }

    fn unmap(&mut self, n: usize, over: bool) {
        // What is in the ring is lost with it: which events, must not depend on their order.
        self.drain(n);
        let context = &mut self.contexts[n];
        if over {
            sys::map_over(context.id, context.ring_bytes);
            // Zeros would be the id of the first context: the kernel would take them for its ring.
            sys::fill(context.id, &[0xff; 32]);
        } else {
            sys::unmap(context.id, context.ring_bytes);
            // Kept free, or something of the tester's comes to lie there.
            sys::map_over(context.id, context.ring_bytes);
            sys::protect(context.id, context.ring_bytes, libc::PROT_NONE);
        }
        context.ring = if over { Ring::Replaced } else { Ring::Gone };
    }

    /// Memory where no context has been: a dead one's number must not come to mean another.
    fn new_place(&self, bytes: usize) -> usize {
        loop {
            let place = sys::map(bytes);
            if !self.contexts.iter().any(|c| (place..place + bytes).contains(&c.id)) {
                return place;
            }
        }
    }

    fn move_ring(&mut self, n: usize) {
        let place = self.new_place(self.contexts[n].ring_bytes);
        let context = &mut self.contexts[n];
        let answer = sys::remap(context.id, context.ring_bytes, place);
        let moved = answer == place as isize;
        if moved {
            context.id = place;
        }
        self.line(&format!("mremap: {}", if moved { 0 } else { answer }));
    }
}
