//! Several threads at once, on one context and on one each.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use uaio::abi::IoEvent;

use super::super::calls::Context;
use super::super::ground::Ground;
use super::super::job::{Job, Reading, Row, Sampler, Unit, World};
use super::super::load::Mark;
use super::super::request::{Buffers, Op, Request};
use crate::failure::Failure;

const THREADS: usize = 4;
/// Looks at the clock are so many requests apart.
const REQUESTS: usize = 64;

pub struct Threads;

struct Crowd {
    /// One, or one each.
    contexts: Vec<Context>,
    file: File,
    slice: Duration,
}

impl Job for Threads {
    fn name(&self) -> &'static str {
        "threads"
    }

    fn what(&self) -> &'static str {
        "4 threads, each with one read of 512 bytes of /dev/zero at a time; all together"
    }

    fn rows(&self, _: &Ground) -> Vec<Row> {
        ["one context", "a context each"].map(|name| Row::new(name, Unit::PerSecond)).to_vec()
    }

    fn setup(&self, row: usize, world: &World) -> Result<Box<dyn Sampler>, Failure> {
        let calls = world.side.calls().expect("the row excludes the others");
        let contexts = (0..[1, THREADS][row]).map(|_| Context::new(calls, 128)).collect::<Result<_, _>>()?;
        let file = File::open("/dev/zero").map_err(|e| Failure::plain(format!("/dev/zero: {e}")))?;
        Ok(Box::new(Crowd { contexts, file, slice: Duration::from_secs_f64(world.slice) }))
    }
}

impl Crowd {
    /// One thread: as many events as requests, if not always its own.
    fn work(&self, context: &Context, until: Instant) -> Result<usize, Failure> {
        let mut buffers = Buffers::new(1);
        let (fd, buffer) = (self.file.as_raw_fd(), buffers.at(0));
        let mut iocb = Request { tag: 0, op: Op::Read, fd, buffer, len: 512, offset: 0 }.iocb(None);
        let mut count = 0;
        // Once at least: where the machine is busy, the time may be over before a thread starts.
        while count == 0 || Instant::now() < until {
            for _ in 0..REQUESTS {
                // SAFETY: reads of /dev/zero are over when io_submit returns, whoever takes the event.
                unsafe { context.submit(&[&raw mut iocb]) }?;
                context.events(1, &mut [IoEvent::default()])?;
            }
            count += REQUESTS;
        }
        Ok(count)
    }
}

impl Sampler for Crowd {
    fn sample(&mut self) -> Result<Reading, Failure> {
        let (begun, until) = (Mark::now(0), Instant::now() + self.slice);
        let count = thread::scope(|scope| {
            let contexts = self.contexts.iter().cycle().take(THREADS);
            let all: Vec<_> = contexts.map(|context| scope.spawn(|| self.work(context, until))).collect();
            all.into_iter().map(|one| one.join().expect("it does not panic")).sum::<Result<usize, Failure>>()
        })?;
        Ok(Mark::now(count).since(begun))
    }
}
