//! POLL of a pipe.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::ptr;

use nix::sys::eventfd::EventFd;
use nix::unistd::pipe;

use super::super::ground::Ground;
use super::super::job::{Job, Reading, Row, Sampler, Unit, World};
use super::super::load::{Load, Mark, Shape, Source};
use super::super::queue::{self, Queue};
use super::super::request::{Op, Request};
use super::super::side::Side;
use super::destroy::eventfds;
use crate::failure::Failure;

/// In flight at once, in one context.
const MANY: usize = 10_000;
/// Submitted by one call.
const BATCH: usize = 32;

pub struct Poll;

struct Pipe {
    reader: File,
    writer: File,
    /// The byte comes when the POLL is in flight.
    later: bool,
}

impl Pipe {
    fn new(later: bool) -> Result<Pipe, Failure> {
        let (reader, writer) = pipe().map_err(Failure::plain)?;
        let mut pipe = Pipe { reader: reader.into(), writer: writer.into(), later };
        if !later {
            pipe.writer.write_all(&[0]).map_err(Failure::plain)?;
        }
        Ok(pipe)
    }
}

impl Source for Pipe {
    fn next(&mut self, tag: usize) -> Result<Request, Failure> {
        Ok(Request { tag, op: Op::Poll, fd: self.reader.as_raw_fd(), buffer: ptr::null_mut(), len: 0, offset: 0 })
    }

    fn submitted(&mut self) -> Result<(), Failure> {
        if self.later { self.writer.write_all(&[0]).map_err(Failure::plain) } else { Ok(()) }
    }

    fn completed(&mut self, _: usize) -> Result<(), Failure> {
        if self.later { self.reader.read_exact(&mut [0]).map_err(Failure::plain) } else { Ok(()) }
    }
}

/// A POLL of each eventfd. Dropped in this order.
struct Many {
    queue: Box<dyn Queue>,
    eventfds: Vec<EventFd>,
}

impl Many {
    fn new(side: Side) -> Result<Many, Failure> {
        let eventfds = eventfds(MANY)?;
        Ok(Many { queue: queue::open(side, MANY)?, eventfds })
    }

    fn requests(&self) -> Vec<Request> {
        let of = |(tag, eventfd): (usize, &EventFd)| {
            let fd = eventfd.as_raw_fd();
            Request { tag, op: Op::Poll, fd, buffer: ptr::null_mut(), len: 0, offset: 0 }
        };
        self.eventfds.iter().enumerate().map(of).collect()
    }
}

impl Sampler for Many {
    fn sample(&mut self) -> Result<Reading, Failure> {
        let (requests, mut done) = (self.requests(), Vec::with_capacity(MANY));
        let begun = Mark::now(0);
        for batch in requests.chunks(BATCH) {
            // SAFETY: a POLL has no buffer, and the eventfds live longer than the queue.
            unsafe { self.queue.submit(batch) }?;
        }
        self.eventfds.iter().try_for_each(|eventfd| eventfd.write(1).map(drop)).map_err(Failure::plain)?;
        while done.len() < MANY {
            self.queue.reap(1, &mut done)?;
        }
        let reading = Mark::now(MANY).since(begun);
        self.eventfds.iter().try_for_each(|eventfd| eventfd.read().map(drop)).map_err(Failure::plain)?;
        Ok(reading)
    }
}

impl Job for Poll {
    fn name(&self) -> &'static str {
        "poll"
    }

    fn what(&self) -> &'static str {
        "POLL of a pipe, one at a time; of 10,000 eventfds at once, which are written to when all are in flight"
    }

    fn rows(&self, _: &Ground) -> Vec<Row> {
        let names = ["ready at submit", "woken later", "10,000 in flight"];
        names.map(|name| Row::new(name, Unit::PerSecond).with_others()).to_vec()
    }

    fn setup(&self, row: usize, world: &World) -> Result<Box<dyn Sampler>, Failure> {
        if row == 2 {
            return Ok(Box::new(Many::new(world.side)?));
        }
        let (queue, source) = (queue::open(world.side, 1)?, Pipe::new(row == 1)?);
        Ok(Box::new(Load::new(queue, Box::new(source), Shape::new(1, 1), world.slice)))
    }
}
