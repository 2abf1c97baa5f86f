//! Reads that cost nothing but the calls.

use std::fs::File;
use std::os::fd::AsRawFd;

use super::super::ground::Ground;
use super::super::job::{Job, Row, Sampler, Unit, World};
use super::super::load::{Load, Shape, Source};
use super::super::queue;
use super::super::request::{Buffers, Op, Request};
use crate::failure::Failure;

/// Bytes of one read.
const BYTES: usize = 512;
const SHAPES: [Shape; 2] = [Shape::new(1, 1), Shape::new(32, 16)];

pub struct ZeroRead;

/// Reads of /dev/zero.
pub struct Zeros {
    file: File,
    buffers: Buffers,
}

impl Zeros {
    pub fn new(depth: usize) -> Result<Zeros, Failure> {
        let file = File::open("/dev/zero").map_err(|e| Failure::plain(format!("/dev/zero: {e}")))?;
        Ok(Zeros { file, buffers: Buffers::new(depth) })
    }
}

impl Source for Zeros {
    fn next(&mut self, tag: usize) -> Result<Request, Failure> {
        let fd = self.file.as_raw_fd();
        Ok(Request { tag, op: Op::Read, fd, buffer: self.buffers.at(tag), len: BYTES, offset: 0 })
    }
}

impl Job for ZeroRead {
    fn name(&self) -> &'static str {
        "zero-read"
    }

    fn what(&self) -> &'static str {
        "reads of 512 bytes of /dev/zero: nothing but the calls"
    }

    fn rows(&self, _: &Ground) -> Vec<Row> {
        SHAPES.map(|shape| Row::new(shape.name(), Unit::PerSecond)).to_vec()
    }

    fn setup(&self, row: usize, world: &World) -> Result<Box<dyn Sampler>, Failure> {
        let shape = SHAPES[row];
        let queue = queue::open(world.side, shape.depth)?;
        Ok(Box::new(Load::new(queue, Box::new(Zeros::new(shape.depth)?), shape, world.slice)))
    }
}
