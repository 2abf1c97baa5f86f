//! Many contexts, each with one request in flight.

use super::super::blocks::RandomBlocks;
use super::super::ground::Ground;
use super::super::job::{Job, Row, Sampler, Unit, World};
use super::super::load::{Load, Shape};
use super::super::queue::{self, Queue};
use super::super::request::{Op, Request};
use super::super::side::Side;
use crate::failure::Failure;

const CONTEXTS: usize = 64;

pub struct ManyContexts;

/// A queue for each tag.
struct Spread(Vec<Box<dyn Queue>>);

impl Spread {
    fn new(side: Side) -> Result<Spread, Failure> {
        (0..CONTEXTS).map(|_| queue::open(side, CONTEXTS)).collect::<Result<_, _>>().map(Spread)
    }
}

impl Queue for Spread {
    unsafe fn submit(&mut self, requests: &[Request]) -> Result<(), Failure> {
        for request in requests {
            // SAFETY: the caller's promise.
            unsafe { self.0[request.tag].submit(std::slice::from_ref(request)) }?;
        }
        Ok(())
    }

    /// All are in flight: a batch is as large as the depth.
    fn reap(&mut self, _: usize, done: &mut Vec<usize>) -> Result<(), Failure> {
        self.0.iter_mut().try_for_each(|queue| queue.reap(1, done))
    }
}

impl Job for ManyContexts {
    fn name(&self) -> &'static str {
        "many-contexts"
    }

    fn what(&self) -> &'static str {
        "64 contexts, one O_DIRECT read of 4 KiB in each at a time, by one thread"
    }

    fn rows(&self, _: &Ground) -> Vec<Row> {
        vec![Row::new("64 contexts", Unit::PerSecond)]
    }

    fn setup(&self, _: usize, world: &World) -> Result<Box<dyn Sampler>, Failure> {
        let file = world.ground.open_data(true)?;
        let source = RandomBlocks::new(Op::Read, file, world.ground.data_blocks, CONTEXTS);
        let (queue, shape) = (Spread::new(world.side)?, Shape::new(CONTEXTS, CONTEXTS));
        Ok(Box::new(Load::new(Box::new(queue), Box::new(source), shape, world.slice)))
    }
}
