//! Memory of a context.

use std::fs;

use uaio::abi::IoEvent;

use super::super::calls::Context;
use super::super::ground::Ground;
use super::super::job::{Job, Reading, Row, Sampler, Unit, World};
use super::super::load::Source;
use super::zero_read::Zeros;
use crate::failure::Failure;

const CONTEXTS: usize = 256;
/// Requests that each has room for.
const READS: usize = 128;

pub struct Memory;

struct Footprint {
    contexts: Vec<Context>,
    /// Before any of them was made, bytes.
    before: f64,
}

impl Job for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn what(&self) -> &'static str {
        "resident memory of the process per context for 128 requests; what the kernel keeps for itself is not in it"
    }

    fn rows(&self, _: &Ground) -> Vec<Row> {
        ["fresh", "after 128 reads"].map(|name| Row::new(name, Unit::Bytes)).to_vec()
    }

    fn setup(&self, row: usize, world: &World) -> Result<Box<dyn Sampler>, Failure> {
        let calls = world.side.calls().expect("the row excludes the others");
        let (before, mut zeros) = (resident()?, Zeros::new(1)?);
        let contexts = (0..CONTEXTS).map(|_| Context::new(calls, READS)).collect::<Result<Vec<_>, _>>()?;
        if row == 1 {
            contexts.iter().try_for_each(|context| read(context, &mut zeros))?;
        }
        Ok(Box::new(Footprint { contexts, before }))
    }
}

impl Sampler for Footprint {
    fn sample(&mut self) -> Result<Reading, Failure> {
        Ok(Reading::of((resident()? - self.before) / self.contexts.len() as f64))
    }
}

impl Drop for Footprint {
    /// The end of the process destroys the kernel's all at once, which is quicker.
    fn drop(&mut self) {
        self.contexts.drain(..).for_each(Context::leave);
    }
}

/// Fills the ring once.
fn read(context: &Context, zeros: &mut Zeros) -> Result<(), Failure> {
    let mut iocb = zeros.next(0)?.iocb(None);
    let pointers = [&raw mut iocb; READS];
    // SAFETY: reads of /dev/zero are over when io_submit returns.
    unsafe { context.submit(&pointers) }?;
    let (mut events, mut got) = ([IoEvent::default(); READS], 0);
    while got < READS {
        got += context.events(1, &mut events)?;
    }
    Ok(())
}

/// Pages of the process, those that are mapped twice counted once; bytes.
fn resident() -> Result<f64, Failure> {
    let text = fs::read_to_string("/proc/self/smaps_rollup").map_err(Failure::plain)?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    number.map(|kib| kib * 1024.0).ok_or_else(|| Failure::plain("/proc/self/smaps_rollup: no Pss"))
}
