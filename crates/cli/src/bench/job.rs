//! What a job is, and what it measures.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ground::Ground;
use super::side::Side;
use crate::failure::Failure;

/// One subject of measurement. Its rows are measured one after another, each on every side in turn.
pub trait Job: Sync {
    /// As the command line names it.
    fn name(&self) -> &'static str;
    /// One line: what is done, and what the figure is.
    fn what(&self) -> &'static str;
    /// What is compared with what; the same in every process of one run.
    fn rows(&self, ground: &Ground) -> Vec<Row>;
    /// Gets everything ready, in the process of one side, for row number `row`.
    fn setup(&self, row: usize, world: &World) -> Result<Box<dyn Sampler>, Failure>;
}

/// Takes samples of one row on one side.
pub trait Sampler {
    /// One turn: some tens of milliseconds where time is what limits it.
    fn sample(&mut self) -> Result<Reading, Failure>;
}

/// What a figure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// More is better.
    PerSecond,
    /// Less is better.
    Nanoseconds,
    /// Less is better.
    Bytes,
}

/// One line of a job's table.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    pub unit: Unit,
    /// Why the kernel's AIO has no part in it.
    pub without_kernel: Option<&'static str>,
    /// Whether io_uring and POSIX AIO can do it, too.
    pub others: bool,
    /// Whether a process of ours is started with the preload library, and the kernel's with no library at all.
    pub preloaded: bool,
}

impl Row {
    pub fn new(name: impl Into<String>, unit: Unit) -> Row {
        Row { name: name.into(), unit, without_kernel: None, others: false, preloaded: false }
    }

    pub fn without_kernel(mut self, why: &'static str) -> Row {
        self.without_kernel = Some(why);
        self
    }

    pub fn preloaded(mut self) -> Row {
        self.preloaded = true;
        self
    }

    pub fn with_others(mut self) -> Row {
        self.others = true;
        self
    }

    /// Whether `side` has calls for this at all.
    pub fn concerns(&self, side: Side) -> bool {
        self.others || side.calls().is_some()
    }

    /// Why `side`, which has such calls, is not measured.
    pub fn excludes(&self, side: Side) -> Option<&'static str> {
        self.without_kernel.filter(|_| side == Side::Kernel)
    }
}

/// Where and on which side a sampler works.
#[derive(Debug)]
pub struct World {
    pub side: Side,
    pub ground: Ground,
    /// Seconds of steady work that one sample of a rate takes.
    pub slice: f64,
}

/// One sample.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Reading {
    pub value: f64,
    /// What else was seen, by name; names end in their unit.
    pub notes: BTreeMap<String, f64>,
    /// What should have been and was not.
    pub complaints: Vec<String>,
}

/// Processor time of the whole process per request, user and system, nanoseconds.
pub const CPU: &str = "cpu_per_request_ns";
/// How long the same requests took that were waited for instead, nanoseconds.
pub const DRAIN: &str = "drain_ns";

impl Reading {
    pub fn of(value: f64) -> Reading {
        Reading { value, ..Reading::default() }
    }

    pub fn note(mut self, name: &str, value: f64) -> Reading {
        self.notes.insert(name.into(), value);
        self
    }

    pub fn complain(mut self, complaint: Option<String>) -> Reading {
        self.complaints.extend(complaint);
        self
    }
}
