//! O_DIRECT reads in a loop that sleeps in epoll_wait.

use super::super::blocks::RandomBlocks;
use super::super::ground::Ground;
use super::super::job::{Job, Row, Sampler, Unit, World};
use super::super::load::{Load, Shape};
use super::super::queue::EventLoop as Queue;
use super::super::request::Op;
use crate::failure::Failure;

/// A loop submits what it has and takes what there is.
const DEPTHS: [usize; 3] = [1, 16, 32];

pub struct EventLoop;

impl Job for EventLoop {
    fn name(&self) -> &'static str {
        "event-loop"
    }

    fn what(&self) -> &'static str {
        "O_DIRECT reads of random 4 KiB blocks: epoll_wait on an eventfd (RESFD), then io_getevents"
    }

    fn rows(&self, _: &Ground) -> Vec<Row> {
        DEPTHS.map(|depth| Row::new(format!("qd{depth}"), Unit::PerSecond)).to_vec()
    }

    fn setup(&self, row: usize, world: &World) -> Result<Box<dyn Sampler>, Failure> {
        let (depth, file) = (DEPTHS[row], world.ground.open_data(true)?);
        let source = RandomBlocks::new(Op::Read, file, world.ground.data_blocks, depth);
        let queue = Queue::new(world.side.calls().expect("the row excludes the others"), depth)?;
        Ok(Box::new(Load::new(Box::new(queue), Box::new(source), Shape::new(depth, 1), world.slice)))
    }
}
