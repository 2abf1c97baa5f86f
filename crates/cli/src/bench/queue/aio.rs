//! io_submit and io_getevents.

use uaio::abi::{IoEvent, Iocb};

use super::super::calls::{Calls, Context};
use super::super::request::Request;
use super::{Queue, check};
use crate::failure::Failure;

/// A context, and what it needs for so many requests.
pub struct Aio {
    context: Context,
    /// By tag.
    requests: Vec<Option<Request>>,
    iocbs: Vec<Iocb>,
    events: Vec<IoEvent>,
    batch: Vec<*mut Iocb>,
    /// Signalled by every completion.
    pub resfd: Option<i32>,
}

impl Aio {
    pub fn new(calls: Calls, depth: usize) -> Result<Aio, Failure> {
        Ok(Aio {
            context: Context::new(calls, depth)?,
            requests: vec![None; depth],
            iocbs: vec![Iocb::default(); depth],
            events: vec![IoEvent::default(); depth],
            batch: Vec::with_capacity(depth),
            resfd: None,
        })
    }

    /// The tags of the first `count` events.
    fn take(&self, count: usize, done: &mut Vec<usize>) -> Result<(), Failure> {
        for event in &self.events[..count] {
            let tag = event.data as usize;
            let request = self.requests.get(tag).copied().flatten();
            check(&request.ok_or_else(|| Failure::plain("an event that nobody asked for"))?, event.res)?;
            done.push(tag);
        }
        Ok(())
    }

    /// Without waiting.
    pub fn reap_now(&mut self, done: &mut Vec<usize>) -> Result<(), Failure> {
        let count = self.context.events_now(&mut self.events)?;
        self.take(count, done)
    }
}

impl Queue for Aio {
    unsafe fn submit(&mut self, requests: &[Request]) -> Result<(), Failure> {
        self.batch.clear();
        for request in requests {
            self.requests[request.tag] = Some(*request);
            let iocb = &mut self.iocbs[request.tag];
            *iocb = request.iocb(self.resfd);
            self.batch.push(iocb);
        }
        // SAFETY: the caller's promise; the iocbs live as long as the context, which is destroyed first.
        unsafe { self.context.submit(&self.batch) }
    }

    fn reap(&mut self, min: usize, done: &mut Vec<usize>) -> Result<(), Failure> {
        let count = self.context.events(min, &mut self.events)?;
        self.take(count, done)
    }
}
