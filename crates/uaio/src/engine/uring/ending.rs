//! What becomes of a completion: the request starts again, or ends.

use std::sync::atomic::Ordering;

use super::{AWAITED, FILE_HELD, OWN_NOWAIT, Uring, outcome};
use crate::abi::RWF_NOWAIT;
use crate::engine::NO_FILE;
use crate::engine::bells::Bell;
use crate::errno::Errno;
use crate::os::futex;
use crate::request::Op;
use crate::slot::{Slot, State};
use crate::timers::Side;

impl Uring {
    pub(super) fn request_completed(&mut self, slot: &'static Slot, res: i32) {
        // SAFETY: the slot is with this engine, and the kernel is done with it.
        let request = unsafe { slot.request() };
        let link = slot.link.load(Ordering::Relaxed);
        let result = outcome(res);
        if result == Err(Errno::EAGAIN) && link & OWN_NOWAIT != 0 {
            request.rw_flags &= !RWF_NOWAIT;
            slot.link.store(link & !OWN_NOWAIT, Ordering::Relaxed);
            if slot.state() == State::Cancelled {
                return self.finish(slot, request.cancelled());
            }
            // A worker of the kernel's will have it, and workers die with the process: io_submit waits for its end.
            self.awaited.retain(|awaited| !core::ptr::eq(*awaited, slot));
            return self.again.push_back(slot);
        }
        if let Ok(n) = result
            && request.op == Op::Write
            && request.stream
            && n > 0
            && n < request.left() as usize
        {
            request.advance(n);
            if slot.state() == State::Cancelled {
                // The cancellation has found nothing to cancel; submitted again, the rest would wait for ever.
                return self.finish(slot, request.cancelled());
            }
            return self.again.push_back(slot);
        }
        let interrupted = result == Err(Errno::EINTR) && slot.state() == State::Cancelled;
        let stopped = result == Err(Errno::ECANCELED) || interrupted;
        let res = if stopped { request.cancelled() } else { request.result(result) };
        self.finish(slot, res);
    }

    pub(super) fn finish(&mut self, slot: &'static Slot, res: i64) {
        let link = slot.link.load(Ordering::Relaxed);
        let (file, resfd) = (slot.file.load(Ordering::Relaxed), slot.resfd.load(Ordering::Relaxed));
        if link & AWAITED != 0 {
            self.awaited.retain(|awaited| !core::ptr::eq(*awaited, slot));
        }
        // SAFETY: the slot is with this engine.
        let (op, number) = unsafe { (slot.request().op, slot.request().resfd) };
        let word = slot.futex();
        let context = slot.context();
        let quietly = resfd != NO_FILE;
        let done =
            if quietly { context.finish_quietly(slot, res) } else { context.finish(slot, res, -1, Side::Library) };
        if link & AWAITED != 0 {
            futex::wake_all(word);
        }
        if link & FILE_HELD != 0 {
            self.release(file);
        }
        if !done {
            self.late.push((slot, op));
        } else if quietly {
            let fd = self.files.fd(resfd);
            self.bells.note(Bell { context, number, eventfd: resfd, fd, op });
        } else {
            self.inbox.ended(op);
            context.leave();
        }
    }

    /// Tries again to end what could not be ended.
    pub(super) fn finish_late(&mut self) {
        for (slot, op) in core::mem::take(&mut self.late) {
            let resfd = slot.resfd.load(Ordering::Relaxed);
            let fd = if resfd == NO_FILE { -1 } else { self.files.fd(resfd) };
            let context = slot.context();
            if !context.finish_late(slot, fd) {
                self.late.push((slot, op));
                continue;
            }
            if resfd != NO_FILE {
                self.release(resfd);
            }
            self.inbox.ended(op);
            context.leave();
        }
    }

    /// Tells the eventfds of what has ended, then who waits for it.
    pub(super) fn ring_bells(&mut self) {
        self.bells.ring();
        while let Some(bell) = self.bells.next_rung() {
            self.release(bell.eventfd);
            self.inbox.ended(bell.op);
            bell.context.leave();
        }
    }
}
