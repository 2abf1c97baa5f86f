//! So many requests in flight, all the time.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use super::job::{CPU, Reading, Sampler};
use super::queue::Queue;
use super::request::Request;
use crate::failure::Failure;

/// Looks at the clock are so many turns apart: they would be seen in the figure.
const TURNS: u32 = 8;

/// How much is in flight, and how it is submitted.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub depth: usize,
    /// Requests of one io_submit; as many are waited for.
    pub batch: usize,
}

impl Shape {
    pub const fn new(depth: usize, batch: usize) -> Shape {
        Shape { depth, batch }
    }

    /// "qd16, batch 16".
    pub fn name(self) -> String {
        if self.batch == 1 {
            format!("qd{}", self.depth)
        } else {
            format!("qd{}, batch {}", self.depth, self.batch)
        }
    }
}

/// What is asked for: the next request, given its tag.
pub trait Source {
    fn next(&mut self, tag: usize) -> Result<Request, Failure>;

    /// Once before each sample, untimed.
    fn rest(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// When the request is in flight.
    fn submitted(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// When request `tag` is complete.
    fn completed(&mut self, _tag: usize) -> Result<(), Failure> {
        Ok(())
    }
}

/// A sampler of requests per second. Fields are dropped in this order: nothing is in flight between samples, and on
/// a failure the queue goes first.
pub struct Load {
    queue: Box<dyn Queue>,
    source: Box<dyn Source>,
    shape: Shape,
    slice: Duration,
    free: Vec<usize>,
    batch: Vec<Request>,
}

/// A moment in the work.
#[derive(Clone, Copy)]
pub struct Mark {
    at: Instant,
    completed: usize,
    cpu: f64,
}

impl Load {
    pub fn new(queue: Box<dyn Queue>, source: Box<dyn Source>, shape: Shape, slice: f64) -> Load {
        let slice = Duration::from_secs_f64(slice);
        Load { queue, source, shape, slice, free: (0..shape.depth).collect(), batch: vec![] }
    }

    /// Submits as many whole batches as there is room for.
    fn submit(&mut self) -> Result<(), Failure> {
        while self.free.len() >= self.shape.batch {
            self.batch.clear();
            for _ in 0..self.shape.batch {
                let tag = self.free.pop().expect("there are as many");
                self.batch.push(self.source.next(tag)?);
            }
            // SAFETY: a source keeps its files and buffers, and touches no buffer in flight.
            unsafe { self.queue.submit(&self.batch) }?;
            self.source.submitted()?;
        }
        Ok(())
    }

    /// Waits for a batch; returns how many requests have completed.
    fn reap(&mut self) -> Result<usize, Failure> {
        let before = self.free.len();
        let min = self.shape.batch.min(self.shape.depth - before);
        self.queue.reap(min, &mut self.free)?;
        for i in before..self.free.len() {
            self.source.completed(self.free[i])?;
        }
        Ok(self.free.len() - before)
    }
}

impl Sampler for Load {
    /// Starts, works for a while until things are steady, measures, and lets the rest complete.
    fn sample(&mut self) -> Result<Reading, Failure> {
        self.source.rest()?;
        let (mut completed, mut turn) = (0, 0);
        let started = Instant::now();
        let mut from: Option<Mark> = None;
        let (from, to) = loop {
            self.submit()?;
            completed += self.reap()?;
            turn += 1;
            if turn % TURNS != 0 {
                continue;
            }
            match from {
                None if started.elapsed() >= self.slice / 4 => from = Some(Mark::now(completed)),
                Some(from) if from.at.elapsed() >= self.slice => break (from, Mark::now(completed)),
                _ => {}
            }
        };
        while self.free.len() < self.shape.depth {
            self.reap()?;
        }
        Ok(to.since(from))
    }
}

impl Mark {
    /// Now, when so many requests have completed.
    pub fn now(completed: usize) -> Mark {
        let cpu = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID);
        let cpu = cpu.map_or(0.0, |time| time.tv_sec() as f64 * 1e9 + time.tv_nsec() as f64);
        Mark { at: Instant::now(), completed, cpu }
    }

    /// What was done since `from`: requests per second, and the processor time of one.
    pub fn since(self, from: Mark) -> Reading {
        let count = (self.completed - from.completed) as f64;
        Reading::of(count / (self.at - from.at).as_secs_f64()).note(CPU, (self.cpu - from.cpu) / count)
    }
}
