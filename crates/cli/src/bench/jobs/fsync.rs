//! fsync of a file with a fresh block.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::ptr;

use super::super::ground::{BLOCK, Ground};
use super::super::job::{Job, Row, Sampler, Unit, World};
use super::super::load::{Load, Shape, Source};
use super::super::queue;
use super::super::request::{Op, Request};
use crate::failure::Failure;

const SHAPES: [Shape; 2] = [Shape::new(1, 1), Shape::new(16, 1)];

pub struct Fsync;

struct DirtyFile {
    file: File,
    blocks: u64,
}

impl Source for DirtyFile {
    fn next(&mut self, tag: usize) -> Result<Request, Failure> {
        let at = fastrand::u64(..self.blocks) * BLOCK as u64;
        self.file.write_all_at(&[tag as u8; BLOCK], at).map_err(Failure::plain)?;
        Ok(Request { tag, op: Op::Fsync, fd: self.file.as_raw_fd(), buffer: ptr::null_mut(), len: 0, offset: 0 })
    }
}

impl Job for Fsync {
    fn name(&self) -> &'static str {
        "fsync"
    }

    fn what(&self) -> &'static str {
        "pwrite(2) of 4 KiB, then FSYNC by io_submit"
    }

    fn rows(&self, _: &Ground) -> Vec<Row> {
        SHAPES.map(|shape| Row::new(shape.name(), Unit::PerSecond).with_others()).to_vec()
    }

    fn setup(&self, row: usize, world: &World) -> Result<Box<dyn Sampler>, Failure> {
        let (shape, file) = (SHAPES[row], world.ground.open_scratch(false)?);
        // What earlier jobs have left.
        file.sync_all().map_err(Failure::plain)?;
        let source = DirtyFile { file, blocks: world.ground.scratch_blocks };
        let queue = queue::open(world.side, shape.depth)?;
        Ok(Box::new(Load::new(queue, Box::new(source), shape, world.slice)))
    }
}
