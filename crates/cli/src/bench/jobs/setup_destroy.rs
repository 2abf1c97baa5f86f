//! io_setup and io_destroy of an empty context, over and over.

use std::time::{Duration, Instant};

use super::super::calls::{Calls, Context};
use super::super::ground::Ground;
use super::super::job::{Job, Reading, Row, Sampler, Unit, World};
use crate::failure::Failure;

/// Requests that each context has room for.
const ROOM: usize = 128;
/// Cycles of one sample of ours; the kernel's one takes longer than all of them.
const CYCLES: usize = 100;
/// The pause that the kernel's takes: afterwards caches are cold, and the processor has slept.
const PAUSE: Duration = Duration::from_millis(30);

pub struct SetupDestroy;

struct Cycles {
    calls: Calls,
    count: usize,
    pause: Duration,
}

impl Job for SetupDestroy {
    fn name(&self) -> &'static str {
        "setup-destroy"
    }

    fn what(&self) -> &'static str {
        "io_setup(128) + io_destroy of the empty context, one cycle"
    }

    fn rows(&self, _: &Ground) -> Vec<Row> {
        ["over and over", "after 30 ms of rest"].map(|name| Row::new(name, Unit::Nanoseconds)).to_vec()
    }

    fn setup(&self, row: usize, world: &World) -> Result<Box<dyn Sampler>, Failure> {
        let calls = world.side.calls().expect("the row excludes the others");
        // The first call of all makes the library's state, which is not what is measured.
        Context::new(calls, ROOM)?.destroy()?;
        let many = row == 0 && calls == Calls::Ours;
        let pause = if row == 0 { Duration::ZERO } else { PAUSE };
        Ok(Box::new(Cycles { calls, count: if many { CYCLES } else { 1 }, pause }))
    }
}

impl Sampler for Cycles {
    fn sample(&mut self) -> Result<Reading, Failure> {
        std::thread::sleep(self.pause);
        let started = Instant::now();
        for _ in 0..self.count {
            Context::new(self.calls, ROOM)?.destroy()?;
        }
        Ok(Reading::of(started.elapsed().as_nanos() as f64 / self.count as f64))
    }
}
