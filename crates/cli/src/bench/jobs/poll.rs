//! POLL of a pipe.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::ptr;

use nix::unistd::pipe;

use super::super::goal::Goal;
use super::super::ground::Ground;
use super::super::job::{Job, Row, Sampler, Unit, World};
use super::super::load::{Load, Shape, Source};
use super::super::queue;
use super::super::request::{Op, Request};
use crate::failure::Failure;

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

impl Job for Poll {
    fn name(&self) -> &'static str {
        "poll"
    }

    fn what(&self) -> &'static str {
        "POLL of a pipe, one at a time"
    }

    fn rows(&self, _: &Ground) -> Vec<Row> {
        let row = |name| Row::new(name, Unit::PerSecond).with_others();
        vec![row("ready at submit").goal(Goal::Times(1.0)), row("woken later").goal(Goal::Times(0.95))]
    }

    fn setup(&self, row: usize, world: &World) -> Result<Box<dyn Sampler>, Failure> {
        let queue = queue::open(world.side, 1)?;
        let source = Pipe::new(row == 1)?;
        Ok(Box::new(Load::new(queue, Box::new(source), Shape::new(1, 1), world.slice)))
    }
}
