//! Reads through the page cache: of what is there, and of what is not.

use std::io::{self, Read};

use super::super::blocks::RandomBlocks;
use super::super::ground::{BLOCK, Ground};
use super::super::job::{Job, Row, Sampler, Unit, World};
use super::super::load::{Load, Shape};
use super::super::queue;
use super::super::request::Op;
use crate::failure::Failure;

const WARM: [Shape; 2] = [Shape::new(1, 1), Shape::new(32, 16)];
const COLD: [Shape; 1] = [Shape::new(16, 1)];
/// So many blocks are warm: 64 MiB.
const WARM_BLOCKS: u64 = 16 << 10;

pub struct WarmRead;
pub struct ColdRead;

impl Job for WarmRead {
    fn name(&self) -> &'static str {
        "warm-read"
    }

    fn what(&self) -> &'static str {
        "buffered reads of random 4 KiB blocks that are in the page cache"
    }

    fn rows(&self, _: &Ground) -> Vec<Row> {
        WARM.map(row).to_vec()
    }

    fn setup(&self, row: usize, world: &World) -> Result<Box<dyn Sampler>, Failure> {
        let (shape, file) = (WARM[row], world.ground.open_data(false)?);
        let blocks = world.ground.data_blocks.min(WARM_BLOCKS);
        io::copy(&mut (&file).take(blocks * BLOCK as u64), &mut io::sink()).map_err(Failure::plain)?;
        let source = RandomBlocks::new(Op::Read, file, blocks, shape.depth);
        let queue = queue::open(world.side, shape.depth)?;
        Ok(Box::new(Load::new(queue, Box::new(source), shape, world.slice)))
    }
}

impl Job for ColdRead {
    fn name(&self) -> &'static str {
        "cold-read"
    }

    fn what(&self) -> &'static str {
        "buffered reads of random 4 KiB blocks that are not in the page cache"
    }

    fn rows(&self, _: &Ground) -> Vec<Row> {
        COLD.map(row).to_vec()
    }

    fn setup(&self, row: usize, world: &World) -> Result<Box<dyn Sampler>, Failure> {
        let (shape, file) = (COLD[row], world.ground.open_data(false)?);
        let source = RandomBlocks::new(Op::Read, file, world.ground.data_blocks, shape.depth).cold();
        let queue = queue::open(world.side, shape.depth)?;
        Ok(Box::new(Load::new(queue, Box::new(source), shape, world.slice)))
    }
}

fn row(shape: Shape) -> Row {
    Row::new(shape.name(), Unit::PerSecond).with_others()
}
