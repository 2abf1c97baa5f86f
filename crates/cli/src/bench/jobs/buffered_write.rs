//! Writes into the page cache.

use super::super::blocks::RandomBlocks;
use super::super::ground::Ground;
use super::super::job::{Job, Row, Sampler, Unit, World};
use super::super::load::{Load, Shape};
use super::super::queue;
use super::super::request::Op;
use crate::failure::Failure;

const SHAPES: [Shape; 2] = [Shape::new(1, 1), Shape::new(32, 16)];
/// So little, 16 MiB, that nobody has to wait for its way to the device.
const BLOCKS: u64 = 4096;

pub struct BufferedWrite;

impl Job for BufferedWrite {
    fn name(&self) -> &'static str {
        "buffered-write"
    }

    fn what(&self) -> &'static str {
        "buffered overwrites of random 4 KiB blocks"
    }

    fn rows(&self, _: &Ground) -> Vec<Row> {
        SHAPES.map(|shape| Row::new(shape.name(), Unit::PerSecond).with_others()).to_vec()
    }

    fn setup(&self, row: usize, world: &World) -> Result<Box<dyn Sampler>, Failure> {
        let (shape, file) = (SHAPES[row], world.ground.open_scratch(false)?);
        let source = RandomBlocks::new(Op::Write, file, world.ground.scratch_blocks.min(BLOCKS), shape.depth);
        let queue = queue::open(world.side, shape.depth)?;
        Ok(Box::new(Load::new(queue, Box::new(source), shape, world.slice)))
    }
}
