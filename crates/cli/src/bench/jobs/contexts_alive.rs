//! io_destroy of many contexts that are all alive.

use std::fs;
use std::time::Instant;

use super::super::calls::{Calls, Context};
use super::super::ground::Ground;
use super::super::job::{Job, Reading, Row, Sampler, Unit, World};
use crate::failure::Failure;

/// Requests that each has room for.
const ROOM: usize = 32;
/// So many of the kernel's are destroyed for one sample, at 32 ms each; the figure is scaled up.
const KERNEL_SHARE: usize = 10;
/// Descriptors that the library may have for all of them together.
const DESCRIPTORS: usize = 4;

pub struct ContextsAlive;

struct Alive {
    calls: Calls,
    count: usize,
    contexts: Vec<Context>,
}

impl Job for ContextsAlive {
    fn name(&self) -> &'static str {
        "contexts-alive"
    }

    fn what(&self) -> &'static str {
        "io_destroy of all of so many contexts for 32 requests (the kernel's: of 10 of them, scaled up)"
    }

    fn rows(&self, _: &Ground) -> Vec<Row> {
        let row = |name| Row::new(name, Unit::Nanoseconds);
        let many = row("10,000").without_kernel("would take it minutes");
        vec![row("1,000"), many]
    }

    fn setup(&self, row: usize, world: &World) -> Result<Box<dyn Sampler>, Failure> {
        let calls = world.side.calls().expect("the row excludes the others");
        let count = [1000, 10_000][row];
        Ok(Box::new(Alive { calls, count, contexts: vec![] }))
    }
}

impl Sampler for Alive {
    fn sample(&mut self) -> Result<Reading, Failure> {
        let before = descriptors();
        while self.contexts.len() < self.count {
            self.contexts.push(Context::new(self.calls, ROOM)?);
        }
        let more = descriptors().saturating_sub(before);
        let complaint = (more > DESCRIPTORS).then(|| format!("{more} descriptors for {} contexts", self.count));
        let share = if self.calls == Calls::Ours { self.count } else { KERNEL_SHARE };
        let started = Instant::now();
        for context in self.contexts.drain(self.count - share..) {
            context.destroy()?;
        }
        let scale = self.count as f64 / share as f64;
        Ok(Reading::of(started.elapsed().as_nanos() as f64 * scale).complain(complaint))
    }
}

impl Drop for Alive {
    /// The end of the process destroys the kernel's all at once, which is quicker.
    fn drop(&mut self) {
        self.contexts.drain(..).for_each(Context::leave);
    }
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
