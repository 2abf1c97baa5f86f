//! Performs a plan with the calls of one side, and keeps account of what must happen, so that nothing is compared
//! that AIO leaves open.
//!
//! Every decision depends only on the plan and on what both sides must answer alike; so where the sides agree they
//! are given the same calls.

pub mod context;
pub mod fds;
mod feeder;
mod finish;
pub mod guard;
pub mod memory;
mod process;
mod reap;
mod request;
mod ring;
mod streams;
mod submit;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::calls::Side;
use crate::differences;
use crate::plan::{Bad, CONTEXTS, Ctx, Plan, Step};
use crate::record::Record;
use crate::sys;
use context::{Context, Ring};
use fds::Fd;
use memory::Memory;

/// Signals that came: SIGUSR1, SIGPIPE, SIGXFSZ.
static SIGNALS: [AtomicU32; 3] = [const { AtomicU32::new(0) }; 3];
const COUNTED: [i32; 3] = [libc::SIGUSR1, libc::SIGPIPE, libc::SIGXFSZ];

extern "C" fn count_signal(signal: i32) {
    if let Some(place) = COUNTED.iter().position(|s| *s == signal) {
        SIGNALS[place].fetch_add(1, Ordering::SeqCst);
    }
}

/// One sequence's process.
pub struct World {
    side: Side,
    record: Record,
    memory: Memory,
    /// Numbers, in the order of [`fds::ALL`].
    numbers: Vec<i32>,
    /// What each of them names: the one that it was at the start, or None when closed.
    names: Vec<Option<Fd>>,
    /// Duplicates of the two eventfds that are signalled, which the plan cannot close.
    counters: [i32; 2],
    /// How often each must have been signalled, and how often it was read.
    signalled: [u64; 2],
    counted: [u64; 2],
    contexts: [Context; CONTEXTS],
    /// Pipes and sockets of which an end is going away at an unknown moment.
    unsteady: Vec<Fd>,
    /// Masks of the POLLs that waited, by the event's data.
    masks: HashMap<u64, u64>,
    next_data: u64,
    /// A forked child: it does nothing that its parent would have to know.
    is_child: bool,
    /// Files of which pages may be out of the page cache. B is written past it.
    cold: [bool; 3],
    /// B was written through the page cache.
    dirty: bool,
    /// Another thread waits for events: nothing can be settled.
    quiet: bool,
    /// There is a limit to the size of files, so a write can raise SIGXFSZ.
    limited: bool,
    /// Where the next iocb goes.
    next_place: usize,
}

impl World {
    /// Opens everything in `dir`, which is empty.
    pub fn new(side: Side, record: Record, dir: &std::path::Path) -> World {
        fds::make_files(dir);
        let numbers = fds::open_all(dir);
        let number = |fd: Fd| numbers[fd as usize];
        let counters = [sys::dup_high(number(Fd::ResA)), sys::dup_high(number(Fd::ResB))];
        let names = fds::ALL.iter().map(|fd| Some(*fd).filter(|f| !matches!(f, Fd::Closed | Fd::Negative)));
        World {
            side,
            record,
            memory: Memory::new(),
            names: names.collect(),
            numbers,
            counters,
            signalled: [0; 2],
            counted: [0; 2],
            contexts: Default::default(),
            unsteady: Vec::new(),
            masks: HashMap::new(),
            next_data: 0x1_0000_0000_0001,
            is_child: false,
            cold: [false, true, false],
            dirty: false,
            quiet: false,
            limited: false,
            next_place: 0,
        }
    }

    pub fn perform(&mut self, plan: &Plan) {
        for signal in COUNTED {
            sys::catch(signal, count_signal);
        }
        self.steps(&plan.steps, "");
        self.line("# the end");
        self.check();
        self.finish();
        self.line("done");
    }

    fn line(&self, text: &str) {
        self.record.line(text);
    }

    fn steps(&mut self, steps: &[Step], outer: &str) {
        for (i, step) in steps.iter().enumerate() {
            let place = format!("{outer}{}", i + 1);
            self.line(&format!("# step {place}"));
            self.step(step, &place);
        }
    }

    fn step(&mut self, step: &Step, place: &str) {
        match step {
            Step::Setup { n, nr_events } => self.set_up(*n, *nr_events),
            Step::BadSetup { nr_events, at } => self.bad_setup(*nr_events, *at),
            Step::Destroy(ctx) => self.destroy(*ctx),
            Step::Submit { ctx, entries, nr } => self.submit(*ctx, entries, *nr),
            Step::SubmitBadArray { ctx, nr, at } => self.submit_bad_array(*ctx, *nr, *at),
            Step::Fill(n) => self.fill(*n),
            Step::Reap(reap) => self.reap(reap),
            Step::Cancel { ctx, victim } => self.cancel(*ctx, *victim),
            Step::Ring { n, op } => self.ring(*n, *op),
            Step::Close(fd) => self.close(*fd),
            Step::Dup { from, onto } => self.dup(*from, *onto),
            Step::Seek { fd, to } => self.seek(*fd, *to),
            Step::Lock { fd, start, len } => self.lock(*fd, *start, *len),
            Step::Feed { fd, len } => self.feed(*fd, *len),
            Step::ClobberIocbs => self.memory.clobber_iocbs(),
            Step::DropCache(fd) => self.drop_cache(*fd),
            Step::FileSizeLimit(bytes) => {
                self.limited = true;
                sys::limit_file_size(Some(u64::from(*bytes)));
            }
            Step::Check => self.check(),
            Step::Thread(steps) => self.in_thread(steps, place),
            Step::Fork(steps) => self.in_child(steps, place),
            Step::Waiter { n, count, meanwhile } => self.with_waiter(*n, *count, meanwhile, place),
        }
    }

    fn number(&self, fd: Fd) -> i32 {
        self.numbers[fd as usize]
    }

    /// What the descriptor names now.
    fn name(&self, fd: Fd) -> Option<Fd> {
        self.names[fd as usize]
    }

    /// The context id that a call gets. An address that another context may have by now is replaced by one that
    /// cannot be a context.
    fn id(&self, ctx: Ctx) -> usize {
        match ctx {
            Ctx::N(n) => match self.contexts.get(n as usize) {
                // A6: what other calls than io_destroy say to it.
                Some(context) if context.lacks_its_ring() => self.memory.elsewhere(),
                Some(context) if context.alive || context.only_one => context.id,
                _ => self.memory.elsewhere(),
            },
            Ctx::Zero => 0,
            Ctx::One => 1,
            Ctx::MinusOne => usize::MAX,
            Ctx::Inside if self.contexts[0].alive => self.contexts[0].id + 8,
            Ctx::Inside | Ctx::Elsewhere => self.memory.elsewhere(),
            Ctx::Unmapped => self.memory.bad(Bad::Unmapped, 0),
        }
    }

    /// The account of a context that calls reach.
    fn account(&mut self, ctx: Ctx) -> Option<&mut Context> {
        match ctx {
            Ctx::N(n) => self.contexts.get_mut(n as usize).filter(|c| c.answers()),
            _ => None,
        }
    }

    fn set_up(&mut self, n: u8, nr_events: u32) {
        let n = n as usize % CONTEXTS;
        if self.contexts[n].alive || !self.contexts[n].waiting.is_empty() {
            return self.line("skipped: set up already");
        }
        let place = self.memory.word(0);
        sys::poke(place, 0usize);
        let answer = self.side.io_setup(nr_events, place);
        let id = sys::peek::<usize>(place);
        self.line(&format!("io_setup({nr_events}) = {answer}; id is 0: {}", id == 0));
        if answer != 0 {
            return;
        }
        self.forget_old_addresses();
        let events = std::mem::take(&mut self.contexts[n].events);
        self.contexts[n] = Context { events, ..Context::new(id, nr_events) };
        let header = differences::first_header(self.side, ring::header(id));
        self.line(&format!("ring: {header:?}"));
    }

    fn bad_setup(&mut self, nr_events: u32, at: Option<Bad>) {
        let place = match at {
            Some(bad) => self.memory.bad(bad, 8),
            None => self.memory.word(0),
        };
        if at.is_none() {
            sys::poke(place, 77usize);
        }
        let answer = self.side.io_setup(nr_events, place);
        let after = if at.is_none() { sys::peek::<usize>(place) } else { 0 };
        self.line(&format!("io_setup({nr_events}, {at:?}) = {answer}; {after}"));
        self.forget_old_addresses();
    }

    /// From here on the address of a context that is gone may be another's.
    fn forget_old_addresses(&mut self) {
        for context in &mut self.contexts {
            context.only_one = false;
            context.alive &= !context.foreign && !matches!(context.ring, Ring::Gone | Ring::Replaced);
        }
    }

    fn destroy(&mut self, ctx: Ctx) {
        let mut id = self.id(ctx);
        if let Ctx::N(n) = ctx {
            let n = n as usize % CONTEXTS;
            self.before_destroy(n);
            if self.contexts[n].lacks_its_ring() {
                id = self.contexts[n].id;
            }
        }
        let answer = self.side.io_destroy(id);
        self.line(&format!("io_destroy = {answer}"));
        if let (Ctx::N(n), 0) = (ctx, answer) {
            self.after_destroy(n as usize % CONTEXTS);
        }
    }

    /// Which events are discarded must not depend on their order.
    fn before_destroy(&mut self, n: usize) {
        if self.contexts[n].mixed && self.contexts[n].answers() {
            self.drain(n);
        }
    }

    fn after_destroy(&mut self, n: usize) {
        let context = &mut self.contexts[n];
        context.alive = false;
        context.only_one = true;
        context.ring = Ring::Gone;
        let ended = std::mem::take(&mut context.pending);
        let waiting = std::mem::take(&mut context.waiting);
        // Reads that io_destroy found in flight may have been performed or not.
        for buffer in ended.iter().flat_map(|p| p.fills.iter()) {
            self.memory.refill(*buffer);
        }
        for waiter in waiting {
            self.signal(waiter.resfd);
            self.release(waiter.file);
        }
    }

    fn cancel_target(&mut self, victim: crate::plan::Victim, n: usize) -> usize {
        use crate::plan::Victim;
        let waiting = |i: u8| {
            let all = &self.contexts[n].waiting;
            all.get(i as usize % all.len().max(1)).map_or(self.memory.iocb(0), |w| w.iocb)
        };
        match victim {
            Victim::Waiting(i) | Victim::KeyChanged(i) => waiting(i),
            Victim::CopyOfWaiting(i) => self.memory.copy_of(waiting(i)),
            Victim::Place(i) => self.memory.iocb(i as usize),
            Victim::Bad(bad) => self.memory.bad(bad, 24),
        }
    }

    fn cancel(&mut self, ctx: Ctx, victim: crate::plan::Victim) {
        const KEY: usize = std::mem::offset_of!(uaio::abi::Iocb, key);
        self.settle();
        let n = if let Ctx::N(n) = ctx { n as usize % CONTEXTS } else { 0 };
        let iocb = self.cancel_target(victim, n);
        let changed = matches!(victim, crate::plan::Victim::KeyChanged(_));
        let key = if changed { sys::peek::<u32>(iocb + KEY) } else { 0 };
        if changed {
            sys::poke(iocb + KEY, 5u32);
        }
        let answer = self.side.io_cancel(self.id(ctx), iocb, 8);
        if changed {
            sys::poke(iocb + KEY, key);
        }
        self.line(&format!("io_cancel = {answer}"));
        if answer == -(libc::EINPROGRESS as isize) {
            self.cancelled(n, iocb);
        }
    }

    /// The oldest POLL of that iocb ends.
    fn cancelled(&mut self, n: usize, iocb: usize) {
        let Some(at) = self.contexts[n].waiting.iter().position(|w| w.iocb == iocb) else { return };
        let waiter = self.contexts[n].waiting.remove(at);
        self.contexts[n].due += 1;
        self.signal(waiter.resfd);
        self.release(waiter.file);
    }

    fn signal(&mut self, resfd: Option<usize>) {
        if let Some(which) = resfd {
            self.signalled[which] += 1;
        }
    }

    fn seek(&mut self, fd: Fd, to: u16) {
        if self.name(fd).is_some() {
            sys::seek(self.number(fd), i64::from(to), libc::SEEK_SET);
        }
    }

    fn lock(&mut self, fd: Fd, start: u16, len: u16) {
        if !self.is_child && self.name(fd).and_then(Fd::inode).is_some() {
            let answer = sys::lock(self.number(fd), i64::from(start), i64::from(len) + 1);
            self.line(&format!("lock = {answer}"));
        }
    }

    fn drop_cache(&mut self, fd: Fd) {
        if let Some(inode) = self.name(fd).and_then(Fd::inode) {
            self.settle();
            self.cold[inode] = true;
            sys::drop_cache(self.number(fd));
        }
    }
}
