//! The engine `scripted`: the worker threads, with a script that says which requests fail, how, and when their
//! events come.
//!
//! What would not wait is performed on the caller's thread, so that its result depends on the script alone; its event
//! is delivered by the library thread once its time has come.

use core::fmt::Write;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use crate::context::Context;
use crate::errno::{Errno, Result};
use crate::facts::Facts;
use crate::fault::{Case, Plan, Script, Target};
use crate::os::{file, mem};
use crate::request::{Op, Request};
use crate::table::CONTEXTS;

/// O_DIRECT transfers stay multiples of this, bytes.
const SECTOR: u64 = 4096;
/// Longest name of a log, bytes with NUL.
pub(crate) const LOG_MAX: usize = 512;

/// What has been counted on one context.
#[derive(Debug)]
struct Counts {
    /// Number of the context.
    context: AtomicU32,
    submissions: AtomicU32,
    /// By [`Target`].
    by_target: [AtomicU32; 6],
}

/// Whose script it is.
#[derive(Debug)]
enum Scope {
    /// Every context's: contexts that were set up, and the counts of each by its index.
    Process(AtomicU32, &'static [Counts]),
    /// One context's, which is number 1 to it.
    Context(Counts),
}

/// A script, and how far it has come.
#[derive(Debug)]
pub(crate) struct Scripted {
    script: Script,
    scope: Scope,
    log: [u8; LOG_MAX],
}

impl Scripted {
    /// ENOMEM.
    pub(crate) fn new(script: Script, log: [u8; LOG_MAX]) -> Result<Scripted> {
        let base = mem::map_private(CONTEXTS * size_of::<Counts>())?;
        // SAFETY: the mapping has room for so many, zeroed memory is a valid value, and it is never unmapped.
        let counts = unsafe { core::slice::from_raw_parts(base.cast::<Counts>(), CONTEXTS) };
        Ok(Scripted { script, scope: Scope::Process(AtomicU32::new(0), counts), log })
    }

    /// For one context.
    pub(crate) fn for_one(script: Script) -> Scripted {
        let zero = || AtomicU32::new(0);
        let counts = Counts {
            context: AtomicU32::new(1),
            submissions: zero(),
            by_target: core::array::from_fn(|_| zero()),
        };
        Scripted { script, scope: Scope::Context(counts), log: [0; LOG_MAX] }
    }

    /// A context has been set up.
    pub(crate) fn born(&self, id: u32) {
        let Scope::Process(contexts, counts) = &self.scope else { return };
        let counts = &counts[id as usize];
        counts.submissions.store(0, Ordering::Relaxed);
        counts.by_target.iter().for_each(|count| count.store(0, Ordering::Relaxed));
        counts.context.store(1 + contexts.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
    }

    /// How many of `nr` requests this io_submit takes at most. EAGAIN.
    pub(crate) fn submit(&self, context: &Context, nr: usize) -> Result<usize> {
        let counts = self.counts_of(context);
        let nth = count(&counts.by_target[Target::Submit as usize]);
        let case = Case { target: Target::Submit, context: number_of(counts), number: nth, nth };
        let mut plan = self.script.plan(&case);
        if nr < 2 {
            plan.short = None;
        }
        plan.short = plan.short.map(|most| chosen(most, plan.random, nr as u64 - 1));
        self.note(&case, &plan);
        match plan.fails {
            Some(_) if nr > 0 => Err(Errno::EAGAIN),
            _ => Ok(plan.short.map_or(nr, |most| nr.min(most as usize))),
        }
    }

    /// What happens to `request`, which is otherwise accepted. It is shortened here.
    pub(crate) fn plan(&self, context: &Context, request: &mut Request, facts: &Facts) -> Plan {
        let counts = self.counts_of(context);
        let target = Target::of(request.op);
        let (number, nth) = (count(&counts.submissions), count(&counts.by_target[target as usize]));
        let case = Case { target, context: number_of(counts), number, nth };
        let mut plan = self.script.plan(&case);
        plan.short = plan.short.and_then(|most| shorten(request, facts, most, plan.random));
        self.note(&case, &plan);
        request.corrupt = plan.corrupt;
        request.delay_us = u32::try_from(plan.delay.as_micros()).unwrap_or(u32::MAX);
        if plan.delay > Duration::ZERO {
            request.delay_us = request.delay_us.max(1);
        }
        plan
    }

    fn counts_of(&self, context: &Context) -> &Counts {
        match &self.scope {
            Scope::Process(_, counts) => &counts[context.id.load(Ordering::Relaxed) as usize],
            Scope::Context(counts) => counts,
        }
    }

    /// Appends to the log what the script has decided.
    fn note(&self, case: &Case, plan: &Plan) {
        if self.log[0] == 0 || *plan == (Plan { random: plan.random, ..Plan::default() }) {
            return;
        }
        let mut line = Line { bytes: [0; 256], len: 0 };
        if plan.write(case, &mut line).is_err() {
            return;
        }
        if let Ok(fd) = file::open(&self.log, libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT, 0o600) {
            file::append(fd, &line.bytes[..line.len]);
            file::close(fd);
        }
    }
}

fn count(counter: &AtomicU32) -> u64 {
    u64::from(counter.fetch_add(1, Ordering::Relaxed)) + 1
}

fn number_of(counts: &Counts) -> u64 {
    u64::from(counts.context.load(Ordering::Relaxed))
}

/// `most`, or where that is 0 something from 1 to `limit`; never more than that.
fn chosen(most: u64, random: u64, limit: u64) -> u64 {
    let most = if most == 0 { 1 + random % limit } else { most };
    most.min(limit)
}

/// Cuts a transfer; returns its new length, bytes. None: it is too short for that.
fn shorten(request: &mut Request, facts: &Facts, most: u64, random: u64) -> Option<u64> {
    if !matches!(request.op, Op::Read | Op::Write) {
        return None;
    }
    let unit = if facts.direct() { SECTOR } else { 1 };
    let limit = u64::from(request.left()).saturating_sub(1) / unit;
    if limit == 0 {
        return None;
    }
    let length = chosen(most / unit, random, limit) * unit;
    request.cut(length as u32);
    Some(length)
}

/// A line of the log.
struct Line {
    bytes: [u8; 256],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let end = self.len + text.len();
        let place = self.bytes.get_mut(self.len..end).ok_or(core::fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}
