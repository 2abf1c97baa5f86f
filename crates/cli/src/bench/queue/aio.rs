//! io_submit and io_getevents.

use std::ptr;

use uaio::abi::{IoEvent, Iocb};

use super::super::calls::{Calls, Context};
use super::super::request::Request;
use super::{Queue, check};
use crate::failure::Failure;

/// Events taken by one call, and iocbs given to one.
const MOST: usize = 32;

/// A context, and what it needs for so many requests. Pointers and events are on the stack during the calls, as MariaDB, Ceph
/// and LVM have them; iocbs live longer.
pub struct Aio {
    context: Context,
    /// By tag.
    requests: Vec<Option<Request>>,
    iocbs: Vec<Iocb>,
    /// Signalled by every completion.
    pub resfd: Option<i32>,
}

impl Aio {
    pub fn new(calls: Calls, depth: usize) -> Result<Aio, Failure> {
        Ok(Aio {
            context: Context::new(calls, depth)?,
            requests: vec![None; depth],
            iocbs: vec![Iocb::default(); depth],
            resfd: None,
        })
    }

    /// The tags of some events.
    fn take(&self, events: &[IoEvent], done: &mut Vec<usize>) -> Result<(), Failure> {
        for event in events {
            let tag = event.data as usize;
            let request = self.requests.get(tag).copied().flatten();
            check(&request.ok_or_else(|| Failure::plain("an event that nobody asked for"))?, event.res)?;
            done.push(tag);
        }
        Ok(())
    }

    /// Without waiting.
    pub fn reap_now(&mut self, done: &mut Vec<usize>) -> Result<(), Failure> {
        let mut events = [IoEvent::default(); MOST];
        let count = self.context.events_now(&mut events)?;
        self.take(&events[..count], done)
    }
}

impl Queue for Aio {
    unsafe fn submit(&mut self, requests: &[Request]) -> Result<(), Failure> {
        for some in requests.chunks(MOST) {
            let mut batch = [ptr::null_mut(); MOST];
            for (request, place) in some.iter().zip(&mut batch) {
                self.requests[request.tag] = Some(*request);
                let iocb = &mut self.iocbs[request.tag];
                *iocb = request.iocb(self.resfd);
                *place = iocb;
            }
            // SAFETY: the caller's promise; the iocbs live as long as the context, which is destroyed first.
            unsafe { self.context.submit(&batch[..some.len()]) }?;
        }
        Ok(())
    }

    fn reap(&mut self, min: usize, done: &mut Vec<usize>) -> Result<(), Failure> {
        let mut events = [IoEvent::default(); MOST];
        let count = self.context.events(min, &mut events)?;
        self.take(&events[..count], done)
    }
}
