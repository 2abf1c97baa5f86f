//! How long io_submit takes for a read that is not in the page cache.

use std::time::Instant;

use hdrhistogram::Histogram;

use super::super::blocks::RandomBlocks;
use super::super::ground::Ground;
use super::super::job::{Job, Reading, Row, Sampler, Unit, World};
use super::super::load::Source;
use super::super::queue::{self, Queue};
use super::super::request::Op;
use crate::failure::Failure;

const DEPTH: usize = 32;
/// Reads of one sample: enough for a 99th percentile.
const READS: u32 = 1000;
/// Where time is short.
const READS_QUICK: u32 = 200;

pub struct SubmitLatency;

/// Dropped in this order.
struct Submits {
    queue: Box<dyn Queue>,
    source: RandomBlocks,
    free: Vec<usize>,
    reads: u32,
}

impl Job for SubmitLatency {
    fn name(&self) -> &'static str {
        "submit-latency"
    }

    fn what(&self) -> &'static str {
        "99th percentile of io_submit of one cold buffered read of 4 KiB, 32 in flight"
    }

    fn rows(&self, _: &Ground) -> Vec<Row> {
        vec![Row::new("qd32", Unit::Nanoseconds).with_others()]
    }

    fn setup(&self, _: usize, world: &World) -> Result<Box<dyn Sampler>, Failure> {
        let file = world.ground.open_data(false)?;
        let source = RandomBlocks::new(Op::Read, file, world.ground.data_blocks, DEPTH).cold();
        let queue = queue::open(world.side, DEPTH)?;
        let reads = if world.slice < 0.01 { READS_QUICK } else { READS };
        Ok(Box::new(Submits { queue, source, free: (0..DEPTH).collect(), reads }))
    }
}

impl Sampler for Submits {
    fn sample(&mut self) -> Result<Reading, Failure> {
        self.source.rest()?;
        let mut times = Histogram::<u64>::new(3).expect("3 digits are possible");
        for _ in 0..self.reads {
            if self.free.is_empty() {
                self.queue.reap(1, &mut self.free)?;
            }
            let tag = self.free.pop().expect("one has just come back");
            let request = [self.source.next(tag)?];
            let started = Instant::now();
            // SAFETY: the source keeps file and buffers, and the buffer of a free tag is not in flight.
            unsafe { self.queue.submit(&request) }?;
            times.record(started.elapsed().as_nanos() as u64).map_err(Failure::plain)?;
        }
        while self.free.len() < DEPTH {
            self.queue.reap(1, &mut self.free)?;
        }
        let at = |quantile| times.value_at_quantile(quantile) as f64;
        Ok(Reading::of(at(0.99)).note("p50_ns", at(0.5)).note("p90_ns", at(0.9)).note("slowest_ns", at(1.0)))
    }
}
