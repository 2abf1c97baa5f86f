//! O_DIRECT reads and writes of random blocks.

use super::super::blocks::RandomBlocks;
use super::super::ground::Ground;
use super::super::job::{Job, Row, Sampler, Unit, World};
use super::super::load::{Load, Shape};
use super::super::queue;
use super::super::request::Op;
use crate::failure::Failure;

const SHAPES: [Shape; 5] =
    [Shape::new(1, 1), Shape::new(16, 1), Shape::new(16, 16), Shape::new(128, 1), Shape::new(128, 16)];

pub struct DirectRead;
pub struct DirectWrite;

impl Job for DirectRead {
    fn name(&self) -> &'static str {
        "direct-read"
    }

    fn what(&self) -> &'static str {
        "O_DIRECT reads of random 4 KiB blocks"
    }

    fn rows(&self, _: &Ground) -> Vec<Row> {
        SHAPES.map(row).to_vec()
    }

    fn setup(&self, row: usize, world: &World) -> Result<Box<dyn Sampler>, Failure> {
        let file = world.ground.open_data(true)?;
        let source = RandomBlocks::new(Op::Read, file, world.ground.data_blocks, SHAPES[row].depth);
        start(row, world, source)
    }
}

impl Job for DirectWrite {
    fn name(&self) -> &'static str {
        "direct-write"
    }

    fn what(&self) -> &'static str {
        "O_DIRECT overwrites of random 4 KiB blocks"
    }

    fn rows(&self, _: &Ground) -> Vec<Row> {
        SHAPES.map(row).to_vec()
    }

    fn setup(&self, row: usize, world: &World) -> Result<Box<dyn Sampler>, Failure> {
        let file = world.ground.open_scratch(true)?;
        let source = RandomBlocks::new(Op::Write, file, world.ground.scratch_blocks, SHAPES[row].depth);
        start(row, world, source)
    }
}

fn row(shape: Shape) -> Row {
    Row::new(shape.name(), Unit::PerSecond).with_others()
}

fn start(row: usize, world: &World, source: RandomBlocks) -> Result<Box<dyn Sampler>, Failure> {
    let shape = SHAPES[row];
    let queue = queue::open(world.side, shape.depth)?;
    Ok(Box::new(Load::new(queue, Box::new(source), shape, world.slice)))
}
